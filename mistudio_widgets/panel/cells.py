"""Which panel belongs to which run of a notebook's cell."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import Any, NamedTuple

from IPython import get_ipython


class _Cell(NamedTuple):
    """A notebook's cell, and one run of it."""

    cell_id: str
    run_id: str


_made_in: weakref.WeakKeyDictionary[Any, _Cell] = weakref.WeakKeyDictionary()


def replaced_by(panel: object) -> list[Any]:
    """Remember where ``panel`` was made; return those of earlier runs of the same cell."""
    cell = _running_cell()
    if cell is None:
        return []
    older = [
        other
        for other, made_in in list(_made_in.items())
        if made_in.cell_id == cell.cell_id and made_in.run_id != cell.run_id
    ]
    _made_in[panel] = cell
    return older


def _running_cell() -> _Cell | None:
    """Return the cell that is running; None outside of notebooks that name their cells."""
    parent: Mapping[str, Any] = getattr(get_ipython(), "get_parent", dict)()
    cell_id = parent.get("metadata", {}).get("cellId")
    run_id = parent.get("header", {}).get("msg_id")
    return _Cell(cell_id, run_id) if cell_id and run_id else None
