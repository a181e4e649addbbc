"""All of a tokenization: shards in parallel, one ordered pass that follows them, the files."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..encoders import ChatTemplate, EncoderSpec, Tokenizer
from ..errors import InvalidRequestError, TokenizationError
from ..progress import Progress
from ..records import TokenFile, TokenizationSettings
from .files import TEMPORARY_SUFFIX, disk_full_is_clear, sync_folder
from .memory import note_idle
from .planning import Shard, plan_shards
from .rendering import choose_rendering
from .shards import ShardRun
from .specials import find_frame
from .stages import Stages
from .summary import TokenizationResult, summarize
from .texts import TextRules
from .workers import shard_runs

if TYPE_CHECKING:
    from .assembly import SplitResult

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
    confirm: Callable[[], None] = lambda: None,
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
    confirm : callable
        Called before the first shard is used; raises when the engine turned out to be wrong.

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
    note_idle()
    chosen = _choose_splits(splits, settings)
    paths = chain.from_iterable(chosen.values())
    rendering = choose_rendering(paths, text_column, tokenizer, settings)
    frame = find_frame(tokenizer, settings, rendering.template)
    rules = TextRules.of(settings, frame.room, rendering.template)
    shards = plan_shards(chosen, text_column, settings.pair_column, check=progress.check)
    required_bytes = 3 * sum(shard.num_bytes for shard in shards)
    check_space(required_bytes)
    for folder in (work_dir, out_dir):
        folder.mkdir(parents=True, exist_ok=True)
    _sweep(work_dir, out_dir)
    num_rows = sum(shard.num_rows for shard in shards)
    progress.start("tokenizing", total=num_rows, unit="samples", share=0.9)
    with (
        disk_full_is_clear(work_dir, required_bytes),
        shard_runs(shards, spec, rules, work_dir, executor=executor, progress=progress) as runs,
    ):
        # the workers run already while torch is imported
        from ..packing import one_thread, resolve_device

        run = _Run(
            tokenizer,
            settings,
            rendering.template,
            work_dir,
            out_dir,
            resolve_device(device),
            progress,
            confirm,
        )
        with one_thread():
            results = run.assemble(_by_split(chosen, shards), runs, check_space)
        run.refuse_nothing(num_rows)
        files = run.save(results)
    return summarize(
        results,
        files,
        tokenizer,
        text_column=text_column,
        rendered_by=rendering.source,
        engine=spec.engine,
        device=run.device,
        elapsed_s=time.monotonic() - began,
        stage_seconds=run.stage_seconds(),
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


def _sweep(work_dir: Path, out_dir: Path) -> None:
    """Remove what a killed run had not finished."""
    unfinished = {work_dir: ("split-*", "stop"), out_dir: ()}
    for folder, patterns in unfinished.items():
        for pattern in (f"*{TEMPORARY_SUFFIX}", *patterns):
            for path in folder.glob(pattern):
                path.unlink(missing_ok=True)


def _by_split(splits: Iterable[str], shards: Sequence[Shard]) -> dict[str, list[Shard]]:
    return {split: [shard for shard in shards if shard.split == split] for split in splits}


class _Run:
    """The ordered pass: it follows the workers shard by shard."""

    def __init__(  # noqa: PLR0917 -- eight things, each of its own type
        self,
        tokenizer: Tokenizer,
        settings: TokenizationSettings,
        chat: ChatTemplate | None,
        work_dir: Path,
        out_dir: Path,
        device: str,
        progress: Progress,
        confirm: Callable[[], None],
    ) -> None:
        from .specials import find_specials

        self.device = device
        self.stages = Stages()
        self._tokenizer = tokenizer
        self._settings = settings
        self._specials = find_specials(tokenizer, settings, chat)
        self._work_dir, self._out_dir = work_dir, out_dir
        self._progress = progress
        self._confirm = confirm
        self._runs: list[ShardRun] = []
        self._num_packed = 0
        self._is_packing = False

    def stage_seconds(self) -> dict[str, float]:
        """Return the seconds by stage; packing without its waiting for shards."""
        seconds = {"wait": 0.0, "pack": 0.0, **self.stages.seconds()}
        return {**seconds, "pack": seconds["pack"] - seconds["wait"]}

    def assemble(
        self,
        shards: Mapping[str, Sequence[Shard]],
        runs: Iterator[ShardRun],
        check_space: Callable[[int], None],
    ) -> dict[str, SplitResult]:
        """Bring every split onto the disk."""
        coming = self._follow(runs, sum(map(len, shards.values())))
        results: dict[str, SplitResult] = {}
        try:
            for number, (split, part) in enumerate(shards.items()):
                of_split = islice(coming, len(part))
                results[split] = self._assemble_split(number, split, of_split, check_space)
        except BaseException:
            for result in results.values():
                result.remove_files()
            raise
        if not self._is_packing:
            self._start_packing()
        return results

    def _follow(self, runs: Iterator[ShardRun], num_runs: int) -> Iterator[ShardRun]:
        for run in self.stages.each("wait", runs):
            if not self._runs:
                with self.stages.time("wait"):
                    self._confirm()
            self._runs.append(run)
            self.stages.add(run.seconds)
            if len(self._runs) == num_runs:
                self._start_packing()
            yield run

    def _start_packing(self) -> None:
        num_documents = sum(run.num_documents for run in self._runs)
        self._progress.start("packing", total=num_documents, unit="samples", share=0.05)
        self._is_packing = True
        self._progress.advance(self._num_packed, measured=False)

    def _advance(self, num_documents: int) -> None:
        self._num_packed += num_documents
        if self._is_packing:
            self._progress.advance(num_documents)
        else:
            self._progress.check()

    def _assemble_split(
        self,
        number: int,
        split: str,
        runs: Iterator[ShardRun],
        check_space: Callable[[int], None],
    ) -> SplitResult:
        from .assembly import assemble_split
        from .documents import Documents
        from .output import Place

        name = f"split-{number}"
        place = Place(
            work_dir=self._work_dir,
            name=name,
            path=self._out_dir / f"{split}.pt",
            device=self.device,
            num_ids=self._tokenizer.num_ids,
        )
        documents = Documents(
            runs, self._settings.shuffle_seed, self._work_dir, name, check=self._progress.check
        )

        def claim(num_bytes: int) -> None:
            self._progress.check()
            check_space(num_bytes)

        try:
            with self.stages.time("pack"):
                return assemble_split(
                    documents,
                    self._specials,
                    self._settings,
                    place,
                    advance=self._advance,
                    claim=claim,
                )
        finally:
            documents.remove_files()

    def refuse_nothing(self, num_rows: int) -> None:
        """Raise when there were rows and none of them is a document."""
        if not num_rows or any(run.num_documents for run in self._runs):
            return
        dropped: Counter[str] = Counter()
        for run in self._runs:
            dropped.update(run.dropped)
        reasons = ", ".join(f"{reason}: {count:,}" for reason, count in sorted(dropped.items()))
        shortest = self._settings.min_chars
        raise TokenizationError(
            f"None of the {num_rows:,} texts is left to tokenize ({reasons}).",
            hint=f"Lower min_chars, which is {shortest}." if shortest else None,
        )

    def save(self, results: Mapping[str, SplitResult]) -> tuple[TokenFile, ...]:
        """Bring the lengths of every split onto the disk."""
        from .saving import save_split

        self._progress.start("saving", total=2 * len(results), unit="files", share=0.05)
        files: list[TokenFile] = []
        try:
            for split, result in results.items():
                self._progress.check()
                with self.stages.time("save"):
                    saved = save_split(result, split, self._out_dir, check=self._progress.check)
                files.extend(saved)
                self._progress.advance(len(saved))
        except BaseException:
            for result in results.values():
                result.remove_files()
            raise
        sync_folder(self._out_dir)
        return tuple(files)
