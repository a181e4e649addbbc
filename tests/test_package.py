"""What is shipped: wheel and sdist carry the built front end, and need no Node."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build both with a PATH on which there is no npm."""
    folder = tmp_path_factory.mktemp("dist")
    bare = tmp_path_factory.mktemp("bin")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder)]
    env = {**os.environ, "PATH": str(bare)}
    done = subprocess.run(
        [*command, str(REPOSITORY)],
        env=env,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_wheel_holds_package_and_front_end(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "mistudio_widgets/static/widget.js" in names
    assert "mistudio_widgets/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    strangers = [
        name for name in names if not name.startswith(("mistudio_widgets/", "mistudio_widgets-"))
    ]
    assert strangers == []


def test_the_sdist_can_be_built_again_without_node(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = ["/".join(name.split("/")[1:]) for name in archive.getnames()]
    for needed in ("mistudio_widgets/static/widget.js", "js/src/index.tsx", "pyproject.toml"):
        assert needed in names
    assert not any("node_modules" in name or name.startswith(".venv") for name in names)
