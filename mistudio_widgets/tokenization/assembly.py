"""Documents to sequences: `packing` chunk by chunk, from runs to raw files."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from .. import packing
from ..errors import TokenizationError
from ..progress import Progress
from ..records import Accounting, TokenizationSettings
from .documents import DocumentChunk, Documents
from .files import RawFile
from .pairs import PairChunks, join_pairs, split_pairs
from .specials import Specials

BLOCK_TOKENS: Final = 2_000_000
"""Ids of the result that are held at once."""

_DTYPES: Final = {
    "input_ids": np.int32,
    "attention_mask": np.uint8,
    "offsets": np.int64,
    "sample_starts": np.int64,
    "sample_rows": np.int64,
    "lengths": np.int64,
}


@dataclass(frozen=True)
class SplitResult:
    """One split, assembled but not saved.

    Attributes
    ----------
    arrays : dict
        Raw file and shape of every tensor of ``{split}.pt``, and of "lengths".
    token_counts : Tensor of int64, shape (num_ids,)
        How often each id stands in the result, padding not counted.
    """

    num_samples: int
    num_sequences: int
    accounting: Accounting
    arrays: dict[str, tuple[Path, np.dtype[Any], tuple[int, ...]]]
    token_counts: Tensor
    length_counts: packing.LengthCounts

    def remove_files(self) -> None:
        """Remove the raw files."""
        for path, _, _ in self.arrays.values():
            path.unlink(missing_ok=True)


class _Output:
    """The raw files of one split, and what is counted while they are written."""

    def __init__(
        self, work_dir: Path, name: str, num_ids: int, stack: contextlib.ExitStack
    ) -> None:
        self._work_dir, self._name, self._stack = work_dir, name, stack
        self._files: dict[str, RawFile] = {}
        self._num_ids = num_ids
        self.token_counts = torch.zeros(num_ids, dtype=torch.int64)
        self.length_counts = packing.no_lengths()

    def append(self, kind: str, values: Tensor) -> None:
        """Write more of one array."""
        if kind not in self._files:
            path = self._work_dir / f"{self._name}.{kind}"
            self._files[kind] = self._stack.enter_context(RawFile(path, _DTYPES[kind]))
        self._files[kind].append(values.cpu().numpy())

    def count(self, ids: Tensor) -> None:
        """Count real ids."""
        self.token_counts += packing.count_tokens(ids, self._num_ids)

    def add_lengths(self, lengths: Tensor) -> None:
        """Write and count the samples' lengths."""
        self.append("lengths", lengths)
        parts = [self.length_counts, packing.count_lengths(lengths)]
        self.length_counts = packing.merge_lengths(parts)

    def publish(
        self, shapes: dict[str, tuple[int, ...]]
    ) -> dict[str, tuple[Path, np.dtype[Any], tuple[int, ...]]]:
        """Close the files that have a shape; the others go."""
        arrays = {}
        for kind, shape in shapes.items():
            self.append(kind, torch.empty(0, dtype=torch.int64))
            file = self._files[kind]
            # the final .pt is what must survive a power cut
            file.publish(durable=False)
            arrays[kind] = (file.path, file.dtype, shape)
        return arrays


def assemble_split(
    documents: Documents,
    specials: Specials,
    settings: TokenizationSettings,
    *,
    num_ids: int,
    dropped: dict[str, int],
    cleaned: dict[str, int],
    work_dir: Path,
    name: str,
    device: str,
    progress: Progress,
) -> SplitResult:
    """Turn the documents of one split into raw files of sequences.

    *Cancellation:* before every chunk.
    """
    with contextlib.ExitStack() as stack:
        output = _Output(work_dir, name, num_ids, stack)
        assemble = _pack if settings.mode == "packed" else _separate
        num_sequences, accounting, shapes = assemble(
            _chunks(documents, dropped, output, device, progress),
            documents,
            specials,
            settings,
            output,
        )
        arrays = output.publish(_with_samples(shapes, documents, dropped))
    return SplitResult(
        num_samples=documents.num_documents,
        num_sequences=num_sequences,
        accounting=Accounting(
            **accounting,
            samples_dropped=dropped,
            samples_cleaned=cleaned.get("samples", 0),
            chars_cleaned=cleaned.get("chars", 0),
        ),
        arrays=arrays,
        token_counts=output.token_counts,
        length_counts=output.length_counts,
    )


def _chunks(
    documents: Documents,
    dropped: dict[str, int],
    output: _Output,
    device: str,
    progress: Progress,
) -> Iterator[_Chunk]:
    """Yield ids, lengths and first lengths on the device; write the rows on the way."""
    has_rows = _needs_rows(documents, dropped)
    progress.check()
    for chunk in documents.chunks():
        if has_rows:
            output.append("sample_rows", torch.from_numpy(chunk.rows))
        yield _to_device(chunk, device)
        progress.advance(len(chunk.lengths))


def _to_device(chunk: DocumentChunk, device: str) -> _Chunk:
    ids, lengths, firsts = map(torch.from_numpy, (chunk.ids, chunk.lengths, chunk.firsts))
    return ids.to(device), lengths.to(device), firsts.to(device)


def _needs_rows(documents: Documents, dropped: dict[str, int]) -> bool:
    return documents.is_shuffled or any(dropped.values())


def _with_samples(
    shapes: dict[str, tuple[int, ...]], documents: Documents, dropped: dict[str, int]
) -> dict[str, tuple[int, ...]]:
    num_samples = documents.num_documents
    shapes = {**shapes, "sample_starts": (num_samples + 1,), "lengths": (num_samples,)}
    if _needs_rows(documents, dropped):
        shapes["sample_rows"] = (num_samples,)
    return shapes


_Chunk = tuple[Tensor, Tensor, Tensor]
_Assembled = tuple[int, dict[str, int], dict[str, tuple[int, ...]]]


def plan_packed(
    documents: Documents, specials: Specials, settings: TokenizationSettings
) -> packing.PackedPlan:
    """Plan the sequences of a packed split."""
    plan = packing.plan_packed(
        specials.affixes.stream_length(documents.num_documents, documents.num_tokens),
        max_length=settings.max_length,
        stride=settings.stride,
        has_begin=specials.begin is not None,
        drop_tail=settings.drop_tail,
    )
    if plan.num_padding and settings.return_attention_mask is False:
        raise TokenizationError(
            f"The last sequence has {plan.num_padding} empty positions; without an attention "
            "mask their filling would be trained on.",
            hint="Use drop_tail=True, or leave return_attention_mask out.",
        )
    return plan


def _pack(
    chunks: Iterator[_Chunk],
    documents: Documents,
    specials: Specials,
    settings: TokenizationSettings,
    output: _Output,
) -> _Assembled:
    plan = plan_packed(documents, specials, settings)
    affixes = specials.affixes
    position, num_written = 0, 0
    rest: Tensor | None = None
    for ids, lengths, _ in chunks:
        starts, sizes = packing.place_documents(
            lengths, affixes, first=position, num_kept=plan.num_kept
        )
        output.append("sample_starts", starts)
        output.add_lengths(sizes)
        stream = packing.join_documents(ids, lengths, affixes, continues=rest is not None)
        position += affixes.stream_length(len(lengths), len(ids)) + affixes.num_between
        stream = stream if rest is None else torch.cat([rest, stream])
        windows, rest = packing.cut_windows(stream, plan.width, plan.step)
        num_rows = max(1, BLOCK_TOKENS // settings.max_length)
        for first in range(0, len(windows), num_rows):
            rows = packing.begin_rows(windows[first : first + num_rows], specials.begin)
            output.count(rows)
            output.append("input_ids", rows)
        num_written += len(windows)
    if num_written < plan.num_sequences:
        assert rest is not None
        _write_last(rest, plan, specials, output)
    output.append("sample_starts", torch.tensor([plan.num_kept]))
    shape = (plan.num_sequences, settings.max_length)
    shapes: dict[str, tuple[int, ...]] = {"input_ids": shape}
    if settings.return_attention_mask or plan.num_padding:
        _write_packed_mask(plan, settings, output)
        shapes["attention_mask"] = shape
    return plan.num_sequences, _packed_accounting(documents, specials, plan), shapes


def _write_last(
    rest: Tensor, plan: packing.PackedPlan, specials: Specials, output: _Output
) -> None:
    row = packing.begin_rows(rest[None], specials.begin)
    output.count(row)
    output.append(
        "input_ids", torch.nn.functional.pad(row, (0, plan.num_padding), value=specials.fill)
    )


def _write_packed_mask(
    plan: packing.PackedPlan, settings: TokenizationSettings, output: _Output
) -> None:
    """Ones everywhere but at the end of the last sequence."""
    real = plan.num_sequences * settings.max_length - plan.num_padding
    for first in range(0, real, BLOCK_TOKENS):
        size = min(BLOCK_TOKENS, real - first)
        output.append("attention_mask", torch.ones(size, dtype=torch.uint8))
    output.append("attention_mask", torch.zeros(plan.num_padding, dtype=torch.uint8))


def _packed_accounting(
    documents: Documents, specials: Specials, plan: packing.PackedPlan
) -> dict[str, int]:
    num_begin = plan.num_sequences if specials.begin is not None else 0
    stream = plan.num_kept + plan.num_tail
    return {
        "tokens_in": documents.num_tokens,
        "tokens_inserted": stream - documents.num_tokens + num_begin,
        "tokens_repeated": plan.num_repeated,
        "tokens_kept": plan.num_kept + plan.num_repeated + num_begin,
        "tokens_tail": plan.num_tail,
        "tokens_padding": plan.num_padding,
    }


def sequence_width(
    documents: Documents, specials: Specials, settings: TokenizationSettings
) -> int | None:
    """Return the width that sequences are padded to, None when they are not."""
    if settings.padding == "do_not_pad":
        return None
    if settings.padding == "max_length":
        return settings.max_length
    if not documents.num_documents:
        return 0
    longest = documents.longest
    text = longest if specials.room is None else min(longest, specials.room)
    return text + specials.affixes.num_around


def output_bytes(documents: Documents, specials: Specials, settings: TokenizationSettings) -> int:
    """Return the size of the split's tensors, as far as it can be known before."""
    if settings.mode == "packed":
        plan = plan_packed(documents, specials, settings)
        has_mask = bool(settings.return_attention_mask or plan.num_padding)
        cells = plan.num_sequences * settings.max_length
        return cells * (5 if has_mask else 4) + 24 * documents.num_documents
    around = specials.affixes.num_around
    num_sequences = cells = 0
    width = sequence_width(documents, specials, settings)
    for lengths, firsts in documents.lengths():
        cut = _cut(torch.from_numpy(lengths), torch.from_numpy(firsts), specials, settings)
        num_sequences += len(cut.lengths)
        cells += int(cut.lengths.sum()) + around * len(cut.lengths)
    if width is not None:
        cells = num_sequences * width
    return 5 * cells + 8 * num_sequences + 24 * documents.num_documents


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


def _separate(
    chunks: Iterator[_Chunk],
    documents: Documents,
    specials: Specials,
    settings: TokenizationSettings,
    output: _Output,
) -> _Assembled:
    width = sequence_width(documents, specials, settings)
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


def _write_sequences(
    ids: Tensor, cut: packing.Chunks, specials: Specials, width: int | None, output: _Output
) -> None:
    """Write sequences in blocks of bounded size: overlap and padding can be many times the text."""
    sizes = cut.lengths + specials.affixes.num_around
    weights = sizes if width is None else torch.full_like(sizes, max(width, 1))
    numbers = torch.div(torch.cumsum(weights, 0) - 1, BLOCK_TOKENS, rounding_mode="floor")
    first = 0
    for count in torch.unique_consecutive(numbers, return_counts=True)[1].tolist():
        block = slice(first, first + count)
        first += count
        flat = _joined(ids, cut, block, specials.affixes)
        output.count(flat)
        if width is None:
            output.append("input_ids", flat)
            output.append("attention_mask", torch.ones(len(flat), dtype=torch.uint8))
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
) -> dict[str, tuple[int, ...]]:
    shape = (totals["kept"],) if width is None else (totals["sequences"], width)
    shapes: dict[str, tuple[int, ...]] = {"input_ids": shape}
    if width is None:
        shapes["offsets"] = (totals["sequences"] + 1,)
    is_filled = width is not None and totals["sequences"] * width > totals["kept"]
    if settings.return_attention_mask or is_filled:
        shapes["attention_mask"] = shape
    return shapes
