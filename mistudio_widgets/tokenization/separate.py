"""mode="per_sample": every sample has sequences of its own."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from .. import packing
from ..records import TokenizationSettings
from .documents import Documents
from .output import Assembled, Chunk, Output, Shapes
from .pairs import PairChunks, join_pairs, split_pairs
from .specials import Specials


def separate(
    chunks: Iterator[Chunk],
    documents: Documents,
    specials: Specials,
    settings: TokenizationSettings,
    output: Output,
) -> Assembled:
    """Write each document as sequences of its own."""
    width = _sequence_width(documents, specials, settings)
    totals = dict.fromkeys(("sequences", "content", "truncated", "kept"), 0)
    for ids, lengths, firsts in chunks:
        cut = _cut(lengths, firsts, specials, settings)
        real = cut.lengths + specials.affixes.num_around
        per_sample = packing.sum_by_document(cut.documents, real, len(lengths))
        output.append("sample_starts", totals["kept"] + torch.cumsum(per_sample, 0) - per_sample)
        output.add_lengths(per_sample)
        if width is None:
            output.append("offsets", totals["kept"] + torch.cumsum(real, 0) - real)
        _write_sequences(ids, cut, specials, width, output)
        totals["sequences"] += len(real)
        totals["content"] += int(cut.lengths.sum())
        totals["kept"] += int(real.sum())
        if not settings.stride:
            totals["truncated"] += len(ids) - int(cut.lengths.sum())
    end = torch.tensor([totals["kept"]])
    output.append("sample_starts", end)
    if width is None:
        output.append("offsets", end)
    accounting = _separate_accounting(documents, totals, width)
    shapes = _separate_shapes(totals, width, settings)
    return totals["sequences"], accounting, shapes


def _sequence_width(
    documents: Documents, specials: Specials, settings: TokenizationSettings
) -> int | None:
    """Return the width that sequences are padded to, None when they are not."""
    if settings.padding == "do_not_pad":
        return None
    if settings.padding == "max_length":
        return settings.max_length
    documents.complete()
    if not documents.num_documents:
        return 0
    longest = documents.longest
    text = longest if specials.room is None else min(longest, specials.room)
    return text + specials.affixes.num_around


def _cut(
    lengths: Tensor, firsts: Tensor, specials: Specials, settings: TokenizationSettings
) -> packing.Chunks:
    if settings.pair_column is None:
        return packing.split_documents(lengths, room=specials.room, stride=settings.stride)
    return split_pairs(
        firsts,
        lengths,
        room=specials.room,
        truncation=settings.truncation,
        stride=settings.stride,
    )


def _write_sequences(
    ids: Tensor, cut: packing.Chunks, specials: Specials, width: int | None, output: Output
) -> None:
    """Write sequences in blocks of bounded size: overlap and padding can be many times the text."""
    sizes = cut.lengths + specials.affixes.num_around
    weights = sizes if width is None else torch.full_like(sizes, max(width, 1))
    numbers = torch.div(torch.cumsum(weights, 0) - 1, output.block_tokens, rounding_mode="floor")
    first = 0
    for count in torch.unique_consecutive(numbers, return_counts=True)[1].cpu().tolist():
        block = slice(first, first + count)
        first += count
        flat = _joined(ids, cut, block, specials.affixes)
        output.count(flat)
        if width is None:
            output.append("input_ids", flat)
            output.append("attention_mask", torch.ones_like(flat, dtype=torch.uint8))
        else:
            rows, mask = packing.pad_sequences(flat, sizes[block], width, specials.fill)
            output.append("input_ids", rows)
            output.append("attention_mask", mask.to(torch.uint8))


def _joined(ids: Tensor, cut: packing.Chunks, block: slice, affixes: packing.Affixes) -> Tensor:
    if isinstance(cut, PairChunks):
        return join_pairs(ids, cut.pieces[block], affixes)
    content = packing.gather_chunks(ids, cut.starts[block], cut.lengths[block])
    return packing.join_documents(content, cut.lengths[block], affixes)


def _separate_accounting(
    documents: Documents, totals: dict[str, int], width: int | None
) -> dict[str, int]:
    cells = totals["kept"] if width is None else totals["sequences"] * width
    return {
        "tokens_in": documents.num_tokens,
        "tokens_inserted": totals["kept"] - totals["content"],
        "tokens_repeated": totals["content"] + totals["truncated"] - documents.num_tokens,
        "tokens_kept": totals["kept"],
        "tokens_truncated": totals["truncated"],
        "tokens_padding": cells - totals["kept"],
    }


def _separate_shapes(
    totals: dict[str, int], width: int | None, settings: TokenizationSettings
) -> Shapes:
    shape = (totals["kept"],) if width is None else (totals["sequences"], width)
    shapes: Shapes = {"input_ids": shape}
    if width is None:
        shapes["offsets"] = (totals["sequences"] + 1,)
    is_filled = width is not None and totals["sequences"] * width > totals["kept"]
    if settings.return_attention_mask or is_filled:
        shapes["attention_mask"] = shape
    return shapes
