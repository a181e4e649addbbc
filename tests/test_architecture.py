"""The folder listing is the architecture: imports only go down."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mistudio_widgets
from mistudio_widgets import manager

PACKAGE = Path(mistudio_widgets.__file__).parent
LAYERS = {
    0: ("errors", "records", "progress", "packing"),
    1: ("storage", "catalog", "hub", "importer", "encoders", "samples", "logs", "metrics"),
    2: ("tokenization", "jobs"),
    3: ("manager",),
    4: ("messages",),
    5: ("panel", "dashboard"),
}
LAYER_OF = {module: layer for layer, modules in LAYERS.items() for module in modules}
# layer 0 builds on itself in this order; in the layers above, siblings do not know each other
LAYER_0_ORDER = ("errors", "records", "progress", "packing")
OUTSIDE = {
    "duckdb": {"catalog", "importer", "samples"},
    "huggingface_hub": {"hub"},
    "fastokens": {"encoders"},
    "transformers": {"encoders"},
    "tokenizers": {"encoders"},
    "anywidget": {"panel"},
    "jupyter_server": {"dashboard"},
    "traitlets": {"panel"},
    "ijson": {"importer"},
    "jinja2": {"encoders"},
    "tantivy": {"samples"},
    "prometheus_client": {"metrics"},
}


def _modules() -> list[str]:
    names = [path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__"]
    return names + [path.parent.name for path in PACKAGE.glob("*/__init__.py")]


def _files(module: str) -> list[Path]:
    path = PACKAGE / f"{module}.py"
    return [path] if path.exists() else sorted((PACKAGE / module).glob("*.py"))


def _imports(path: Path) -> set[str]:
    """Return the modules of the package that a file imports, and foreign top-level names."""
    depth = len(path.relative_to(PACKAGE).parts)
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level == 0:
                found.add((node.module or "").split(".")[0])
            elif node.level == depth:
                head = (node.module or "").split(".")[0]
                found |= {head} if head else {alias.name for alias in node.names}
    return found


def test_every_module_has_a_layer() -> None:
    assert sorted(_modules()) == sorted(LAYER_OF)


@pytest.mark.parametrize("module", sorted(LAYER_OF))
def test_imports_only_go_down(module: str) -> None:
    layer = LAYER_OF[module]
    for path in _files(module):
        for other in _imports(path) & set(LAYER_OF):
            if other == module:
                continue
            if layer == 0:
                assert LAYER_0_ORDER.index(other) < LAYER_0_ORDER.index(module), path
            else:
                assert LAYER_OF[other] < layer, f"{path.name} imports {other}"


@pytest.mark.parametrize("foreign", sorted(OUTSIDE))
def test_each_outside_thing_has_its_module(foreign: str) -> None:
    users = {m for m in LAYER_OF for path in _files(m) if foreign in _imports(path)}
    assert users <= OUTSIDE[foreign]
    assert users


def test_importing_the_package_brings_nothing_heavy() -> None:
    heavy = ["torch", "transformers", "datasets", "duckdb", "pyarrow", "ipywidgets", "tokenizers"]
    code = (
        f"import sys, mistudio_widgets\nprint([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_making_a_manager_brings_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom mistudio_widgets import DatasetManager\n"
        "with DatasetManager(sys.argv[1]) as manager: manager.list_datasets()\n"
        "print([name for name in ('torch', 'transformers', 'datasets') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.strip() == "[]"


def test_all_public_names_can_be_had() -> None:
    for name in mistudio_widgets.__all__:
        assert getattr(mistudio_widgets, name) is not None
    assert dir(mistudio_widgets) == sorted(mistudio_widgets.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        mistudio_widgets.nonsense  # noqa: B018 -- the access is the test


def test_no_remote_code_is_ever_trusted() -> None:
    for path in PACKAGE.rglob("*.py"):
        assert "trust_remote_code" not in path.read_text()


def test_the_manager_names_its_modules() -> None:
    named = {line.split(" ")[0] for line in (manager.__doc__ or "").splitlines() if "  " in line}
    assert named == {path.stem for path in _files("manager")} - {"__init__"}
