"""Dividing rows at random, exactly, without knowing how many will come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

_BLOCK_ROWS: Final = 1000


class Division:
    """Gives each row of a stream a split.

    After every call each split has its share of all rows so far to within one row. How many rows
    of a block go where follows the chairman assignment (R. Tijdeman, Discrete Mathematics 32,
    1980), which keeps every prefix that close; which rows of the block they are is random.

    Parameters
    ----------
    fractions : dict
        Share by split; they add up to 1.
    seed : int
        Equal seeds and equal calls give equal divisions.

    Examples
    --------
    >>> Division({"train": 0.75, "test": 0.25}, seed=0).assign(8).tolist().count(1)
    2
    """

    def __init__(self, fractions: Mapping[str, float], seed: int) -> None:
        total = sum(fractions.values())
        self.splits = tuple(fractions)
        self._shares = [share / total for share in fractions.values()]
        self._counts = [0] * len(self.splits)
        self._num_rows = 0
        self._random = np.random.Generator(np.random.PCG64(abs(seed)))

    def assign(self, num_rows: int) -> npt.NDArray[np.uint16]:
        """Return the index of a split for each of the next rows."""
        blocks = [
            self._block(min(_BLOCK_ROWS, num_rows - start))
            for start in range(0, num_rows, _BLOCK_ROWS)
        ]
        return np.concatenate(blocks) if blocks else np.empty(0, np.uint16)

    def _block(self, num_rows: int) -> npt.NDArray[np.uint16]:
        block = np.fromiter((self._choose() for _ in range(num_rows)), np.uint16, num_rows)
        self._random.shuffle(block)
        return block

    def _choose(self) -> int:
        """Give the next row to the split that would fall behind first."""
        self._num_rows += 1
        margin = 1 / (2 * len(self._shares) - 2) if len(self._shares) > 1 else 0.0
        chosen, earliest = 0, float("inf")
        for index, share in enumerate(self._shares):
            count = self._counts[index]
            # the tolerance is for shares like 0.1, that no float holds exactly
            if share * self._num_rows - count < margin - 1e-9:
                continue
            deadline = (count + 1 - margin) / share
            if deadline < earliest:
                chosen, earliest = index, deadline
        self._counts[chosen] += 1
        return chosen
