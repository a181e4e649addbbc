"""Pairs of texts to sequences: pure tensor code on any torch device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from .. import packing

Truncation = Literal["longest_first", "only_first", "only_second", "do_not_truncate"]


@dataclass(frozen=True)
class PairChunks(packing.Chunks):
    """Stretches of pairs that become sequences of their own.

    ``lengths`` are those of both texts' stretches together, ``starts`` those of the first.

    Attributes
    ----------
    pieces : Tensor of int64, shape (n_chunks, 2, 2)
        Start in the flat ids and length of both stretches.
    """

    pieces: Tensor


def split_pairs(
    firsts: Tensor,
    totals: Tensor,
    *,
    room: int | None,
    truncation: Truncation,
    stride: int,
) -> PairChunks:
    """Cut pairs into chunks of at most ``room`` ids, as transformers' fast tokenizers do.

    Parameters
    ----------
    firsts, totals : Tensor of int64, shape (n_pairs,)
        Ids of the first text, and of both.
    room : int or None
        None: pairs are never cut.
    truncation : str
        only_first and only_second leave the other text whole, which must leave room for more
        than ``stride`` ids.
    stride : int
        Ids that neighbouring chunks of the text that is cut share; 0: only the first is kept.
    """
    starts = torch.cumsum(totals, dim=0) - totals
    lengths = torch.stack([firsts, totals - firsts], dim=1)
    numbers = torch.arange(len(totals), device=totals.device)
    shifts = torch.zeros_like(lengths)
    kept = lengths
    if room is not None and truncation == "longest_first":
        kept = _cut_longest(lengths, room)
    elif room is not None and truncation != "do_not_truncate":
        cut = 0 if truncation == "only_first" else 1
        widths = room - lengths[:, 1 - cut]
        if stride:
            numbers, within = _windows(lengths[:, cut], widths, stride)
            lengths, widths = lengths[numbers], widths[numbers]
            shifts = torch.zeros_like(lengths)
            shifts[:, cut] = within
        kept = lengths.clone()
        kept[:, cut] = torch.minimum(lengths[:, cut] - shifts[:, cut], widths)
    begins = torch.stack([starts[numbers], starts[numbers] + firsts[numbers]], dim=1) + shifts
    pieces = torch.stack([begins, kept], dim=2)
    return PairChunks(numbers, begins[:, 0], kept.sum(dim=1), pieces)


def _cut_longest(lengths: Tensor, room: int) -> Tensor:
    """Cut the longer text first, both to halves of the room where neither fits a half."""
    short = lengths.amin(dim=1)
    long = torch.where(short > room, short, torch.maximum(short, room - short))
    is_halved = short + long > room
    short = torch.where(is_halved, room // 2, short)
    long = torch.where(is_halved, room // 2 + room % 2, long)
    is_swapped = lengths[:, 0] > lengths[:, 1]
    first = torch.where(is_swapped, long, short)
    second = torch.where(is_swapped, short, long)
    is_cut = lengths.sum(dim=1, keepdim=True) > room
    return torch.where(is_cut, torch.stack([first, second], dim=1), lengths)


def _windows(lengths: Tensor, widths: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """Return for each window its pair, and where in the text it begins."""
    steps = (widths - stride).clamp(min=1)
    counts = 1 + ((lengths - widths).clamp(min=0) + steps - 1) // steps
    numbers = torch.repeat_interleave(counts)
    firsts = torch.cumsum(counts, dim=0) - counts
    places = torch.arange(len(numbers), device=numbers.device) - firsts[numbers]
    return numbers, places * steps[numbers]


def join_pairs(ids: Tensor, pieces: Tensor, affixes: packing.Affixes) -> Tensor:
    """Put the stretches of pairs between the template's ids, one sequence after another.

    Parameters
    ----------
    ids : Tensor of int32, shape (n_tokens,)
    pieces : Tensor of int64, shape (n_sequences, 2, 2)
        As `PairChunks` has them.

    Returns
    -------
    Tensor of int32, shape (n_flat,)
    """
    starts, lengths = pieces[:, :, 0], pieces[:, :, 1]
    content = packing.gather_chunks(ids, starts.reshape(-1), lengths.reshape(-1))
    sizes = lengths.sum(dim=1) + affixes.num_around
    ends = torch.cumsum(sizes, dim=0)
    begins = ends - sizes
    places = [(begins + place, token) for place, token in enumerate(affixes.prefix)]
    after_first = begins + len(affixes.prefix) + lengths[:, 0]
    places += [(after_first + place, token) for place, token in enumerate(affixes.middle)]
    last = ends - len(affixes.suffix)
    places += [(last + place, token) for place, token in enumerate(affixes.suffix)]
    return packing.insert_tokens(content, places)
