"""All of a tokenization: shards in parallel, then one ordered pass, then the files."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..encoders import ChatTemplate, EncoderSpec, Tokenizer
from ..errors import InvalidRequestError, TokenizationError
from ..progress import Progress
from ..records import TokenFile, TokenizationSettings
from .files import TEMPORARY_SUFFIX, disk_full_is_clear, sync_folder
from .rendering import choose_rendering
from .shards import Shard, ShardRun, plan_shards
from .summary import TokenizationResult, summarize
from .texts import TextRules
from .workers import tokenize_shards

if TYPE_CHECKING:
    from .assembly import SplitResult
    from .specials import Specials

# a split's name becomes a file's name
_SPLIT_NAME: Final = re.compile(r"\w[\w.\-]*")


def tokenize_splits(  # noqa: PLR0917 -- seven things, each of its own type
    splits: Mapping[str, Sequence[Path]],
    tokenizer: Tokenizer,
    spec: EncoderSpec,
    settings: TokenizationSettings,
    text_column: str,
    work_dir: Path,
    out_dir: Path,
    *,
    device: str,
    executor: Executor | None,
    progress: Progress,
    check_space: Callable[[int], None],
) -> TokenizationResult:
    """Tokenize Parquet files into ``{split}.pt`` and ``lengths_{split}.npy``.

    Parameters
    ----------
    splits : dict
        Parquet files by split, in order.
    tokenizer : Tokenizer
        Names the special tokens.
    spec : EncoderSpec
        What makes the ids, from `choose_engine`.
    settings : TokenizationSettings
    text_column : str
        The column to tokenize.
    work_dir : Path
        Keeps finished shards for the next run of the same tokenization. Not ``out_dir``; may
        be removed after success.
    out_dir : Path
        Gets the files, each whole or not at all.
    device : str
        A torch device for packing and statistics, or "auto".
    executor : Executor or None
        Runs the shards. None: threads of our own.
    progress : Progress
        Phases "tokenizing" and "packing" (samples) and "saving" (files).
    check_space : callable
        Called with a number of bytes before they are written; raises when they do not fit.

    Returns
    -------
    TokenizationResult
        ``{split}.pt`` holds ``input_ids`` and, where they apply, ``attention_mask``,
        ``offsets`` and ``sample_rows`` as the design says. ``sample_starts`` are positions

        - packed: in the stream of documents (prefix, text, suffix, and a separator between
          two documents) before it is cut: begin tokens and ids repeated by the stride are not
          counted, and positions behind what was kept are clipped to it;
        - per_sample: in all sequences' real ids one after another, special ids included.

        ``lengths`` are each sample's kept ids, its template's included: in packed mode without
        separator, begin token and repeats; in per_sample mode those of all its sequences.

    Raises
    ------
    InvalidRequestError
        For a split, column or token that does not exist.
    TokenizationError
        For a row that is not text, and settings that this tokenizer cannot serve.
    InsufficientDiskSpaceError
        When the disk fills, and whatever ``check_space`` raises.

    *Threads:* one call per ``work_dir`` at a time.
    *Cancellation:* within every batch and chunk; all workers have stopped when it raises, and
    ``work_dir`` holds whole shards only.
    """
    began = time.monotonic()
    chosen = _choose_splits(splits, settings)
    rendering = choose_rendering(chain(*chosen.values()), text_column, tokenizer, settings)
    run = _Run(tokenizer, settings, rendering.template, work_dir, _resolve_device(device), progress)
    rules = run.text_rules()
    shards = plan_shards(chosen, text_column, settings.pair_column)
    required_bytes = 3 * sum(shard.num_bytes for shard in shards)
    check_space(required_bytes)
    for folder in (work_dir, out_dir):
        folder.mkdir(parents=True, exist_ok=True)
    _sweep(work_dir)
    num_rows = sum(shard.num_rows for shard in shards)
    progress.start("tokenizing", total=num_rows, unit="samples", share=0.8)
    with disk_full_is_clear(work_dir, required_bytes):
        runs = tokenize_shards(shards, spec, rules, work_dir, executor=executor, progress=progress)
        _refuse_nothing(runs, num_rows, settings)
        results = run.assemble(_by_split(chosen, shards, runs), check_space)
        files = _save(results, out_dir, progress)
    return summarize(
        results,
        files,
        tokenizer,
        text_column=text_column,
        rendered_by=rendering.source,
        engine=spec.engine,
        device=run.device,
        elapsed_s=time.monotonic() - began,
    )


def _choose_splits(
    splits: Mapping[str, Sequence[Path]], settings: TokenizationSettings
) -> dict[str, Sequence[Path]]:
    names = tuple(splits) if settings.splits is None else settings.splits
    for name in names:
        if name not in splits or not _SPLIT_NAME.fullmatch(name):
            raise InvalidRequestError(
                f"splits: there is no split {name!r} to tokenize.",
                field="splits",
                hint=f"The dataset has {', '.join(splits)}." if splits else None,
            )
    # the dataset's order, whatever the order of the wish
    return {name: paths for name, paths in splits.items() if name in names}


def _resolve_device(device: str) -> str:
    # torch takes a second to import; workers in other processes do without it
    from ..packing import resolve_device

    return resolve_device(device)


def _sweep(work_dir: Path) -> None:
    """Remove what a killed run had not finished."""
    for path in (*work_dir.glob(f"*{TEMPORARY_SUFFIX}"), *work_dir.glob("split-*")):
        path.unlink(missing_ok=True)


def _refuse_nothing(
    runs: Sequence[ShardRun], num_rows: int, settings: TokenizationSettings
) -> None:
    if not num_rows or any(run.num_documents for run in runs):
        return
    dropped: Counter[str] = Counter()
    for run in runs:
        dropped.update(run.dropped)
    reasons = ", ".join(f"{reason}: {count:,}" for reason, count in sorted(dropped.items()))
    raise TokenizationError(
        f"None of the {num_rows:,} texts is left to tokenize ({reasons}).",
        hint=f"Lower min_chars, which is {settings.min_chars}." if settings.min_chars else None,
    )


def _by_split(
    splits: Iterable[str], shards: Sequence[Shard], runs: Sequence[ShardRun]
) -> dict[str, list[ShardRun]]:
    by_split: dict[str, list[ShardRun]] = {split: [] for split in splits}
    for shard, run in zip(shards, runs, strict=True):
        by_split[shard.split].append(run)
    return by_split


@dataclass(frozen=True)
class _Run:
    """What stays the same from split to split."""

    tokenizer: Tokenizer
    settings: TokenizationSettings
    chat: ChatTemplate | None
    work_dir: Path
    device: str
    progress: Progress

    def specials(self) -> Specials:
        """Resolve the special tokens, or raise where the tokenizer cannot serve the settings."""
        from .specials import find_specials

        return find_specials(self.tokenizer, self.settings, self.chat)

    def text_rules(self) -> TextRules:
        """Return what makes texts of rows; raises as `specials` does."""
        return TextRules.of(self.settings, self.specials().room, self.chat)

    def assemble(
        self, runs: Mapping[str, Sequence[ShardRun]], check_space: Callable[[int], None]
    ) -> dict[str, SplitResult]:
        """Bring every split into raw files."""
        num_documents = sum(run.num_documents for part in runs.values() for run in part)
        self.progress.start("packing", total=num_documents, unit="samples", share=0.15)
        results: dict[str, SplitResult] = {}
        try:
            for number, (split, part) in enumerate(runs.items()):
                results[split] = self._assemble_split(f"split-{number}", part, check_space)
        except BaseException:
            for result in results.values():
                result.remove_files()
            raise
        return results

    def _assemble_split(
        self, name: str, runs: Sequence[ShardRun], check_space: Callable[[int], None]
    ) -> SplitResult:
        from .assembly import assemble_split, output_bytes
        from .documents import Documents

        specials = self.specials()
        dropped: Counter[str] = Counter()
        cleaned: Counter[str] = Counter()
        for run in runs:
            dropped.update(run.dropped)
            cleaned.update(run.cleaned)
        documents = Documents(runs, self.settings.shuffle_seed, self.work_dir, name)
        try:
            # once as raw files, once as the result
            check_space(2 * output_bytes(documents, specials, self.settings))
            return assemble_split(
                documents,
                specials,
                self.settings,
                num_ids=self.tokenizer.num_ids,
                dropped=dict(dropped),
                cleaned=dict(cleaned),
                work_dir=self.work_dir,
                name=name,
                device=self.device,
                progress=self.progress,
            )
        finally:
            documents.remove_files()


def _save(
    results: Mapping[str, SplitResult], out_dir: Path, progress: Progress
) -> tuple[TokenFile, ...]:
    from .saving import save_split

    progress.start("saving", total=2 * len(results), unit="files", share=0.05)
    files: list[TokenFile] = []
    try:
        for split, result in results.items():
            progress.check()
            saved = save_split(result, split, out_dir)
            files.extend(saved)
            progress.advance(len(saved))
    except BaseException:
        for result in results.values():
            result.remove_files()
        raise
    sync_folder(out_dir)
    return tuple(files)
