"""Documents to sequences: `packing` chunk by chunk, from runs to raw files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from .. import packing
from ..records import Accounting, TokenizationSettings
from .documents import Documents
from .output import Chunk, Output, Place, RawArray, Shapes
from .packed import pack
from .separate import separate
from .specials import Specials


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
    with Output(place, likely, claim) as output:
        assemble = pack if settings.mode == "packed" else separate
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


def _likely_shapes(documents: Documents, settings: TokenizationSettings, num_rows: int) -> Shapes:
    """Guess from the first run which arrays there will be, and the digits of their shapes."""
    num_tokens = documents.num_tokens * num_rows // max(documents.num_documents, 1)
    shape: tuple[int, ...] = (num_tokens // settings.max_length + 1, settings.max_length)
    has_mask = bool(settings.return_attention_mask)
    shapes: Shapes = {"sample_starts": (num_rows + 1,)}
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


def _chunks(documents: Documents, device: str, advance: Callable[[int], None]) -> Iterator[Chunk]:
    """Yield ids, lengths and first lengths on the device."""
    for chunk in documents.chunks():
        ids, lengths, firsts = map(torch.from_numpy, (chunk.ids, chunk.lengths, chunk.firsts))
        yield ids.to(device), lengths.to(device), firsts.to(device)
        advance(len(chunk.lengths))


def _write_rows(documents: Documents, output: Output) -> Shapes:
    """Write the rows where they are not simply 0, 1, 2; return the shapes of all by sample."""
    num_samples = documents.num_documents
    shapes: Shapes = {"sample_starts": (num_samples + 1,), "lengths": (num_samples,)}
    if documents.has_rows:
        for _, rows in documents.index():
            output.append("sample_rows", torch.from_numpy(rows))
        shapes["sample_rows"] = (num_samples,)
    return shapes
