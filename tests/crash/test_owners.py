"""Owners that appear while another process sweeps the dead ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mistudio_widgets.jobs import Owner, is_owner_alive

NUM_OWNERS = 5_000

SWEEPER = """
import sys
from pathlib import Path
from mistudio_widgets.jobs import is_owner_alive

folder = Path(sys.argv[1])
print("sweeping", flush=True)
while not (folder / "stop").exists():
    for path in folder.glob("*.lock"):
        is_owner_alive(folder, path.stem, remove_dead=True)
"""


def test_a_sweep_never_takes_the_lock_of_a_living_owner(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SWEEPER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "sweeping\n"
        lost = 0
        for _ in range(NUM_OWNERS):
            owner = Owner(tmp_path)
            lost += not is_owner_alive(tmp_path, owner.id)
            owner.release()
        (tmp_path / "stop").touch()
    assert (process.returncode, lost) == (0, 0)
