"""Documents to sequences: `packing` chunk by chunk, from runs to raw files."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import torch
from torch import Tensor

from .. import packing
from ..errors import TokenizationError
from ..records import Accounting, TokenizationSettings
from .archive import data_offset
from .documents import Documents
from .files import RawFile
from .pairs import PairChunks, join_pairs, split_pairs
from .specials import Specials

BLOCK_TOKENS: Final = 2_000_000
"""Ids of the result that are held at once."""

_DTYPES: Final[dict[str, np.dtype[Any]]] = {
    # in the order of the file; the ids come first, and are written once (see archive)
    "input_ids": np.dtype(np.int32),
    "attention_mask": np.dtype(np.uint8),
    "offsets": np.dtype(np.int64),
    "sample_starts": np.dtype(np.int64),
    "sample_rows": np.dtype(np.int64),
    "lengths": np.dtype(np.int64),
}

_Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class RawArray:
    """A whole array in a raw file, from ``first_byte`` on."""

    path: Path
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    first_byte: int


@dataclass(frozen=True)
class SplitResult:
    """One split, assembled but not saved.

    Attributes
    ----------
    arrays : dict
        Every tensor of ``{split}.pt`` in its order, and "lengths".
    token_counts : Tensor of int64, shape (num_ids,)
        How often each id stands in the result, padding not counted.
    """

    num_samples: int
    num_sequences: int
    accounting: Accounting
    arrays: dict[str, RawArray]
    token_counts: Tensor
    length_counts: packing.LengthCounts

    def remove_files(self) -> None:
        """Remove the raw files."""
        for array in self.arrays.values():
            array.path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Place:
    """Where a split is assembled, and on what.

    Attributes
    ----------
    work_dir, name : Path, str
        Folder and first part of the name of the raw files.
    ids_path : Path
        The raw file of the ids, which becomes ``{split}.pt``.
    device : str
        A torch device.
    num_ids : int
        The largest id plus one.
    num_rows : int
        Rows of the split, dropped ones included.
    """

    work_dir: Path
    name: str
    ids_path: Path
    device: str
    num_ids: int
    num_rows: int


class _Output:
    """The raw files of one split, and what is counted while they are written."""

    def __init__(
        self, place: Place, likely: Callable[[], _Shapes], claim: Callable[[int], None]
    ) -> None:
        self.device = place.device
        self._place = place
        self._likely = likely
        self._claim = claim
        self._stack = contextlib.ExitStack()
        self._files: dict[str, RawFile] = {}
        self.token_counts = torch.zeros(place.num_ids, dtype=torch.int64)
        self.length_counts = packing.no_lengths()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def append(self, kind: str, values: Tensor) -> None:
        """Write more of one array."""
        if kind not in self._files:
            self._files[kind] = self._stack.enter_context(self._open(kind))
        self._claim(values.nbytes)
        self._files[kind].append(values.cpu().numpy())

    def _open(self, kind: str) -> RawFile:
        if kind == "input_ids":
            likely = self._likely()
            offset = data_offset({k: (_DTYPES[k], likely[k]) for k in _DTYPES if k in likely})
            path = self._place.ids_path
            return RawFile(path, _DTYPES[kind], first_byte=offset, is_kept=True)
        return RawFile(self._place.work_dir / f"{self._place.name}.{kind}", _DTYPES[kind])

    def count(self, ids: Tensor) -> None:
        """Count real ids."""
        self.token_counts += packing.count_tokens(ids, self._place.num_ids)

    def add_lengths(self, lengths: Tensor) -> None:
        """Write and count the samples' lengths."""
        self.append("lengths", lengths)
        parts = [self.length_counts, packing.count_lengths(lengths)]
        self.length_counts = packing.merge_lengths(parts)

    def publish(self, shapes: _Shapes) -> dict[str, RawArray]:
        """Close the files that have a shape; the others go."""
        arrays = {}
        for kind in (kind for kind in _DTYPES if kind in shapes):
            self.append(kind, torch.empty(0, dtype=torch.int64))
            file = self._files[kind]
            file.publish()
            arrays[kind] = RawArray(file.path, file.dtype, shapes[kind], file.first_byte)
        return arrays


def assemble_split(
    documents: Documents,
    specials: Specials,
    settings: TokenizationSettings,
    place: Place,
    *,
    advance: Callable[[int], None],
    claim: Callable[[int], None],
) -> SplitResult:
    """Turn the documents of one split into raw files of sequences, as they come.

    *Cancellation:* ``advance`` is called with the number of documents of every chunk, ``claim``
    with a number of bytes before they are written; both may raise.
    """
    likely = partial(_likely_shapes, documents, settings, place.num_rows)
    with _Output(place, likely, claim) as output:
        assemble = _pack if settings.mode == "packed" else _separate
        num_sequences, accounting, shapes = assemble(
            _chunks(documents, place.device, advance),
            documents,
            specials,
            settings,
            output,
        )
        shapes = {**shapes, **_write_rows(documents, output)}
        arrays = output.publish(shapes)
    cleaned = documents.cleaned
    return SplitResult(
        num_samples=documents.num_documents,
        num_sequences=num_sequences,
        accounting=Accounting(
            **accounting,
            samples_dropped=documents.dropped,
            samples_cleaned=cleaned.get("samples", 0),
            chars_cleaned=cleaned.get("chars", 0),
        ),
        arrays=arrays,
        token_counts=output.token_counts,
        length_counts=output.length_counts,
    )


def _likely_shapes(documents: Documents, settings: TokenizationSettings, num_rows: int) -> _Shapes:
    """Guess from the first run which arrays there will be, and the digits of their shapes."""
    num_tokens = documents.num_tokens * num_rows // max(documents.num_documents, 1)
    shape: tuple[int, ...] = (num_tokens // settings.max_length + 1, settings.max_length)
    has_mask = bool(settings.return_attention_mask)
    shapes: _Shapes = {"sample_starts": (num_rows + 1,)}
    if settings.mode == "packed":
        has_mask = has_mask or not settings.drop_tail
    elif settings.padding == "do_not_pad":
        shape = (num_tokens,)
        shapes["offsets"] = shapes["sample_starts"]
    else:
        has_mask = True
        shape = (num_rows, settings.max_length)
    if has_mask:
        shapes["attention_mask"] = shape
    if settings.shuffle_seed is not None:
        shapes["sample_rows"] = shapes["sample_starts"]
    return {**shapes, "input_ids": shape}


def _chunks(documents: Documents, device: str, advance: Callable[[int], None]) -> Iterator[_Chunk]:
    """Yield ids, lengths and first lengths on the device."""
    for chunk in documents.chunks():
        ids, lengths, firsts = map(torch.from_numpy, (chunk.ids, chunk.lengths, chunk.firsts))
        yield ids.to(device), lengths.to(device), firsts.to(device)
        advance(len(chunk.lengths))


def _write_rows(documents: Documents, output: _Output) -> _Shapes:
    """Write the rows where they are not simply 0, 1, 2; return the shapes of all by sample."""
    num_samples = documents.num_documents
    shapes: _Shapes = {"sample_starts": (num_samples + 1,), "lengths": (num_samples,)}
    if documents.has_rows:
        for _, rows in documents.index():
            output.append("sample_rows", torch.from_numpy(rows))
        shapes["sample_rows"] = (num_samples,)
    return shapes


_Chunk = tuple[Tensor, Tensor, Tensor]
_Assembled = tuple[int, dict[str, int], _Shapes]


def _plan_packed(
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
    width, step = packing.window_size(
        settings.max_length, settings.stride, has_begin=specials.begin is not None
    )
    num_written = 0
    rest: Tensor | None = None
    for ids, lengths, _ in chunks:
        stream = packing.join_documents(ids, lengths, specials.affixes, continues=rest is not None)
        stream = stream if rest is None else torch.cat([rest, stream])
        windows, rest = packing.cut_windows(stream, width, step)
        num_rows = max(1, BLOCK_TOKENS // settings.max_length)
        for first in range(0, len(windows), num_rows):
            rows = packing.begin_rows(windows[first : first + num_rows], specials.begin)
            output.count(rows)
            output.append("input_ids", rows)
        num_written += len(windows)
    plan = _plan_packed(documents, specials, settings)
    if num_written < plan.num_sequences:
        assert rest is not None
        _write_last(rest, plan, specials, output)
    _place_samples(documents, specials.affixes, plan, output)
    shape = (plan.num_sequences, settings.max_length)
    shapes: _Shapes = {"input_ids": shape}
    if settings.return_attention_mask or plan.num_padding:
        _write_packed_mask(plan, settings, output)
        shapes["attention_mask"] = shape
    return plan.num_sequences, _packed_accounting(documents, specials, plan), shapes


def _place_samples(
    documents: Documents, affixes: packing.Affixes, plan: packing.PackedPlan, output: _Output
) -> None:
    """Write where each sample begins and how long it is; only now is known what was kept."""
    position = 0
    for lengths, _ in documents.index():
        on_device = torch.from_numpy(lengths).to(output.device)
        starts, sizes = packing.place_documents(
            on_device, affixes, first=position, num_kept=plan.num_kept
        )
        output.append("sample_starts", starts)
        output.add_lengths(sizes)
        between = affixes.num_between
        position += affixes.stream_length(len(lengths), int(lengths.sum())) + between
    output.append("sample_starts", torch.tensor([plan.num_kept]))


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
        output.append("attention_mask", torch.ones(size, dtype=torch.uint8, device=output.device))
    output.append(
        "attention_mask", torch.zeros(plan.num_padding, dtype=torch.uint8, device=output.device)
    )


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


def _separate(
    chunks: Iterator[_Chunk],
    documents: Documents,
    specials: Specials,
    settings: TokenizationSettings,
    output: _Output,
) -> _Assembled:
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


def _write_sequences(
    ids: Tensor, cut: packing.Chunks, specials: Specials, width: int | None, output: _Output
) -> None:
    """Write sequences in blocks of bounded size: overlap and padding can be many times the text."""
    sizes = cut.lengths + specials.affixes.num_around
    weights = sizes if width is None else torch.full_like(sizes, max(width, 1))
    numbers = torch.div(torch.cumsum(weights, 0) - 1, BLOCK_TOKENS, rounding_mode="floor")
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
) -> _Shapes:
    shape = (totals["kept"],) if width is None else (totals["sequences"], width)
    shapes: _Shapes = {"input_ids": shape}
    if width is None:
        shapes["offsets"] = (totals["sequences"] + 1,)
    is_filled = width is not None and totals["sequences"] * width > totals["kept"]
    if settings.return_attention_mask or is_filled:
        shapes["attention_mask"] = shape
    return shapes
