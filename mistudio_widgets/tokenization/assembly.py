"""Documents to sequences: `packing` chunk by chunk, from runs to ``{split}.pt``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from .. import packing
from ..records import Accounting, TokenFile, TokenizationSettings
from .documents import Documents
from .output import Chunk, Output, Place, Shapes
from .packed import pack
from .separate import separate
from .specials import Specials


@dataclass(frozen=True)
class SplitResult:
    """One split, assembled; what is left is to bring the lengths into a file of their own.

    Attributes
    ----------
    file, path : TokenFile, Path
        ``{split}.pt``.
    lengths : Path
        A raw file of int64, one for each sample.
    token_counts : Tensor of int64, shape (num_ids,)
        How often each id stands in the result, padding not counted.
    """

    num_samples: int
    num_sequences: int
    accounting: Accounting
    file: TokenFile
    path: Path
    lengths: Path
    token_counts: Tensor
    length_counts: packing.LengthCounts

    def remove_files(self) -> None:
        """Remove what there is of the split."""
        for path in (self.path, self.lengths):
            path.unlink(missing_ok=True)


def assemble_split(
    documents: Documents,
    specials: Specials,
    settings: TokenizationSettings,
    place: Place,
    *,
    advance: Callable[[int], None],
    claim: Callable[[int], None],
) -> SplitResult:
    """Turn the documents of one split into sequences on disk, as they come.

    *Cancellation:* ``advance`` is called with the number of documents of every chunk, ``claim``
    with a number of bytes before they are written; both may raise.
    """
    with Output(place, claim) as output:
        assemble = pack if settings.mode == "packed" else separate
        num_sequences, accounting, shapes = assemble(
            _chunks(documents, place.device, advance),
            documents,
            specials,
            settings,
            output,
        )
        shapes = {**shapes, **_write_rows(documents, output)}
        file, lengths = output.publish(shapes)
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
        file=file,
        path=place.path,
        lengths=lengths,
        token_counts=output.token_counts,
        length_counts=output.length_counts,
    )


def _chunks(documents: Documents, device: str, advance: Callable[[int], None]) -> Iterator[Chunk]:
    """Yield ids, lengths and first lengths on the device."""
    for chunk in documents.chunks():
        ids, lengths, firsts = map(torch.from_numpy, (chunk.ids, chunk.lengths, chunk.firsts))
        yield ids.to(device), lengths.to(device), firsts.to(device)
        advance(len(chunk.lengths))


def _write_rows(documents: Documents, output: Output) -> Shapes:
    """Write the rows where they are not simply 0, 1, 2; return the shapes of all by sample."""
    num_samples = documents.num_documents
    shapes: Shapes = {"sample_starts": (num_samples + 1,)}
    if documents.has_rows:
        for _, rows in documents.index():
            output.append("sample_rows", torch.from_numpy(rows))
        shapes["sample_rows"] = (num_samples,)
    return shapes
