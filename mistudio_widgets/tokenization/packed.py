"""mode="packed": one stream of documents, cut into sequences of one length."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from .. import packing
from ..errors import TokenizationError
from ..records import TokenizationSettings
from .documents import Documents
from .output import Assembled, Chunk, Output, Shapes
from .specials import Specials


def pack(
    chunks: Iterator[Chunk],
    documents: Documents,
    specials: Specials,
    settings: TokenizationSettings,
    output: Output,
) -> Assembled:
    """Write the documents as packed sequences."""
    width, step = packing.window_size(
        settings.max_length, settings.stride, has_begin=specials.begin is not None
    )
    num_written = 0
    rest: Tensor | None = None
    for ids, lengths, _ in chunks:
        stream = packing.join_documents(ids, lengths, specials.affixes, continues=rest is not None)
        stream = stream if rest is None else torch.cat([rest, stream])
        windows, rest = packing.cut_windows(stream, width, step)
        num_rows = max(1, output.block_tokens // settings.max_length)
        for first in range(0, len(windows), num_rows):
            rows = packing.begin_rows(windows[first : first + num_rows], specials.begin)
            output.count(rows)
            output.append("input_ids", rows)
        num_written += len(windows)
    plan = _plan_packed(documents, specials, settings)
    if num_written < plan.num_sequences:
        assert rest is not None
        _write_last(rest, plan, specials, output)
    shape = (plan.num_sequences, settings.max_length)
    shapes: Shapes = {"input_ids": shape}
    if settings.return_attention_mask or plan.num_padding:
        output.go_on_with("attention_mask")
        _write_packed_mask(plan, settings, output)
        shapes["attention_mask"] = shape
    output.go_on_with("sample_starts")
    _place_samples(documents, specials.affixes, plan, output)
    return plan.num_sequences, _packed_accounting(documents, specials, plan), shapes


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


def _place_samples(
    documents: Documents, affixes: packing.Affixes, plan: packing.PackedPlan, output: Output
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


def _write_last(rest: Tensor, plan: packing.PackedPlan, specials: Specials, output: Output) -> None:
    row = packing.begin_rows(rest[None], specials.begin)
    output.count(row)
    output.append(
        "input_ids", torch.nn.functional.pad(row, (0, plan.num_padding), value=specials.fill)
    )


def _write_packed_mask(
    plan: packing.PackedPlan, settings: TokenizationSettings, output: Output
) -> None:
    """Ones everywhere but at the end of the last sequence."""
    real = plan.num_sequences * settings.max_length - plan.num_padding
    for first in range(0, real, output.block_tokens):
        size = min(output.block_tokens, real - first)
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
