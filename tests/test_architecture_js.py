"""The front end's folders are its layers, too."""

from __future__ import annotations

import re
from pathlib import Path

SOURCES = Path(__file__).parents[1] / "js" / "src"
# who may be imported by whom comes later; those of one line do not know each other
LAYERS = (
    {"kernel"},
    {"ui"},
    {"tokenization"},
    {"samples", "statistics", "list", "forms"},
    {"detail"},
)
LAYER_OF = {folder: number for number, layer in enumerate(LAYERS) for folder in layer}
_OF_MODEL = re.compile(r"\bmodel\.(get|set|send|on|off|save_changes)\(")
_IMPORT = re.compile(r'from "(\.{1,2}/[^"]+)"')


def _imports(path: Path) -> set[str]:
    """Return the folders, and the modules beside them, that a file imports."""
    found = set()
    for name in _IMPORT.findall(path.read_text()):
        target = (path.parent / name).resolve().relative_to(SOURCES)
        found.add(target.parts[0])
    return found


def test_folders_import_only_what_is_below_them() -> None:
    folders = {path.name for path in SOURCES.iterdir() if path.is_dir()}
    assert folders == {*LAYER_OF, "testing"}
    for folder, layer in LAYER_OF.items():
        files = [*(SOURCES / folder).glob("*.ts"), *(SOURCES / folder).glob("*.tsx")]
        assert files
        below = {name for name, number in LAYER_OF.items() if number < layer}
        for path in files:
            if ".test." in path.name:
                continue
            foreign = _imports(path) - below - {folder, "protocol.gen"}
            assert not foreign, f"{folder}/{path.name} imports {sorted(foreign)}"


def test_only_the_bridge_touches_the_model() -> None:
    for path in [*SOURCES.rglob("*.ts"), *SOURCES.rglob("*.tsx")]:
        if ".test." in path.name or "testing" in path.parts or path.name == "bridge.ts":
            continue
        assert not _OF_MODEL.search(path.read_text()), path
