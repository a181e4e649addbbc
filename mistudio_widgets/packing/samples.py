"""Documents to sequences of their own."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Chunks:
    """Stretches of documents that become sequences of their own.

    Attributes
    ----------
    documents : Tensor of int64, shape (n_chunks,)
        Which document each comes from, ascending.
    starts, lengths : Tensor of int64, shape (n_chunks,)
        Where in the flat ids each begins, and how many ids it has.
    """

    documents: Tensor
    starts: Tensor
    lengths: Tensor


def split_documents(lengths: Tensor, *, room: int | None, stride: int) -> Chunks:
    """Cut each document into chunks of at most ``room`` ids.

    The chunks are those of transformers' ``return_overflowing_tokens``: with a positive stride
    neighbours share ``stride`` ids, with stride 0 only the first chunk is kept. A document
    without ids is one empty chunk.

    Parameters
    ----------
    lengths : Tensor of int64, shape (n_documents,)
    room : int or None
        None: documents are never cut.
    stride : int
        0 <= stride < room.
    """
    document_starts = torch.cumsum(lengths, dim=0) - lengths
    if room is None or not stride:
        kept = lengths if room is None else lengths.clamp(max=room)
        numbers = torch.arange(lengths.numel(), device=lengths.device)
        return Chunks(numbers, document_starts, kept)
    step = room - stride
    num_chunks = 1 + ((lengths - room).clamp(min=0) + step - 1) // step
    documents = torch.repeat_interleave(num_chunks)
    firsts = torch.cumsum(num_chunks, dim=0) - num_chunks
    within = (torch.arange(documents.numel(), device=lengths.device) - firsts[documents]) * step
    return Chunks(
        documents,
        document_starts[documents] + within,
        (lengths[documents] - within).clamp(max=room),
    )


def gather_chunks(ids: Tensor, starts: Tensor, lengths: Tensor) -> Tensor:
    """Copy the ids of chunks, one chunk after another."""
    ends = torch.cumsum(lengths, dim=0)
    shift = torch.repeat_interleave(starts - (ends - lengths), lengths)
    return ids[torch.arange(shift.numel(), device=ids.device) + shift]


def pad_sequences(flat: Tensor, lengths: Tensor, width: int, fill: int) -> tuple[Tensor, Tensor]:
    """Fill sequences on the right up to ``width``.

    Returns
    -------
    rows : Tensor of int32, shape (n_sequences, width)
    mask : Tensor of bool, shape (n_sequences, width)
        True for real ids.
    """
    mask = torch.arange(width, device=flat.device) < lengths[:, None]
    rows = torch.full(mask.shape, fill, dtype=flat.dtype, device=flat.device)
    rows.masked_scatter_(mask, flat)
    return rows, mask


def sum_by_document(documents: Tensor, values: Tensor, num_documents: int) -> Tensor:
    """Add the values of each document's chunks; int64, shape (num_documents,)."""
    sums = torch.zeros(num_documents, dtype=torch.int64, device=values.device)
    return sums.index_add_(0, documents, values)
