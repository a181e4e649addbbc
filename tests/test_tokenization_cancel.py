"""A cancel ends a tokenization within one step, whatever it is doing, and leaves nothing.

The steps of a small tokenization are counted: every call into the tokenizer's file, an engine,
Parquet, the tensor code and the disk. The test cancels in the middle of each kind of step and
counts what still happens.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from test_tokenization import tokenize, write_parquet
from trained_tokenizers import save_byte_level

from mistudio_widgets import DatasetManager, packing
from mistudio_widgets.encoders import (
    choose_engine,
    engines,
    load_tokenizer,
    loading,
    probes,
    proofs,
)
from mistudio_widgets.errors import JobCancelled
from mistudio_widgets.importer import writer
from mistudio_widgets.jobs import Job
from mistudio_widgets.progress import Progress
from mistudio_widgets.records import DatasetRecord
from mistudio_widgets.tokenization import (
    batches,
    documents,
    files,
    output,
    plan_shards,
    planning,
    run,
    saving,
    shards,
    tokenize_shard,
)

OPTIONS: dict[str, dict[str, Any]] = {
    "packed": {"shuffle_seed": 1, "return_attention_mask": True, "max_length": 16},
    "per_sample": {"mode": "per_sample", "stride": 2, "max_length": 16, "padding": "longest"},
    "reference": {"max_length": 16},
}

STEPS: dict[str, tuple[Any, str]] = {
    "load": (loading, "open_backend"),
    "open": (engines.FastokensEncoder, "__init__"),
    "probe": (probes, "is_equal_on_probes"),
    "plan": (planning, "check_columns"),
    "read": (batches, "as_strings"),
    "encode": (engines.FastokensEncoder, "encode"),
    "reference": (engines.ReferenceEncoder, "encode"),
    "write": (files.RawFile, "append"),
    "stream": (packing, "join_documents"),
    "windows": (packing, "cut_windows"),
    "pad": (packing, "pad_sequences"),
    "place": (packing, "place_documents"),
    "count": (packing, "count_tokens"),
    "save": (files.SteadyFile, "write"),
}

NUM_THREADS = 2
# every worker ends its batch, of anything else there is one more at most
MOST_AFTER = dict.fromkeys(("read", "encode", "reference", "write"), 3 * NUM_THREADS)


class Steps:
    """Counts the steps, and cancels a job at one of them."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.counts: Counter[str] = Counter()
        self.num_after: Counter[str] = Counter()
        self._fatal: tuple[str, int] | None = None
        self._stop: Callable[[], None] = bool
        self._is_stopped = False
        self._lock = threading.Lock()
        for name, (owner, attribute) in STEPS.items():
            patch.setattr(owner, attribute, self._counted(name, getattr(owner, attribute)))

    def _counted(self, name: str, step: Callable[..., Any]) -> Callable[..., Any]:
        def count_and_do(*arguments: Any, **options: Any) -> Any:
            with self._lock:
                self.counts[name] += 1
                if self._is_stopped:
                    self.num_after[name] += 1
                if self._fatal == (name, self.counts[name]):
                    self._is_stopped = True
                    self._stop()
            return step(*arguments, **options)

        return count_and_do

    def cancel_at(self, name: str, number: int, stop: Callable[[], None]) -> None:
        self.counts.clear()
        self.num_after.clear()
        self._fatal, self._stop, self._is_stopped = (name, number), stop, False


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    """Make every step small, and count them."""
    monkeypatch.setattr(run, "plan_shards", partial(plan_shards, shard_bytes=5000))
    for module in (files, saving):
        monkeypatch.setattr(module, "PIECE_BYTES", 512)
    for name, value in (("CHUNK_TOKENS", 300), ("CHUNK_DOCUMENTS", 20)):
        monkeypatch.setattr(documents, name, value)
    monkeypatch.setattr(output, "BLOCK_TOKENS", 300)
    monkeypatch.setattr(batches, "BATCH_BYTES", 500)
    # what was proven or opened before would not be again
    monkeypatch.setattr(proofs, "_known", {})
    monkeypatch.setattr(engines, "_opened", {})
    monkeypatch.setattr(loading, "_recalled", type(loading._recalled)())
    return Steps(monkeypatch)


@pytest.fixture
def manager(data_dir: Path) -> Iterator[DatasetManager]:
    with (
        ThreadPoolExecutor(NUM_THREADS) as pool,
        DatasetManager(data_dir, device="cpu", executor=pool) as made,
    ):
        yield made


@pytest.fixture
def dataset(manager: DatasetManager, monkeypatch: pytest.MonkeyPatch) -> DatasetRecord:
    monkeypatch.setattr(writer, "_GROUP_ROWS", 40)
    texts = [f"text number {number} of a few hundred, " * 3 for number in range(400)]
    record: DatasetRecord = manager.import_dataset(pa.table({"text": texts}), name="a").wait(60)
    return record


def begin(manager: DatasetManager, dataset: DatasetRecord, tokenizer: Path, kind: str) -> Job:
    engine = "tokenizers" if kind == "reference" else "auto"
    options = OPTIONS[kind]
    return manager.tokenize(dataset.id, tokenizer=str(tokenizer), engine=engine, **options)


def forget(data_dir: Path) -> None:
    for proof in (data_dir / "tokenizers").glob("proof-*"):
        proof.unlink()
    proofs._known.clear()
    engines._opened.clear()
    loading._recalled.clear()


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_cancel_at_any_step_ends_the_job_and_leaves_nothing(
    kind: str, manager: DatasetManager, dataset: DatasetRecord, steps: Steps, tmp_path: Path
) -> None:
    tokenizer = save_byte_level(tmp_path / "tokenizer")
    made = begin(manager, dataset, tokenizer, kind).wait(120)
    whole = steps.counts.copy()
    # many would still come after a cancel that nobody sees
    assert whole["save"] > 200
    manager.delete_tokenization(made.id)
    folder = manager.data_dir / "datasets" / dataset.id
    bare = sorted(path for path in folder.rglob("*") if path.is_file())
    seen = set()
    for name, count in whole.items():
        for number in {max(n, 1) for n in (1, count // 3, count * 5 // 6, count - 4)}:
            forget(manager.data_dir)
            # no job begins before it is known how to cancel it
            job_is_known = threading.Event()
            jobs: list[Job] = []

            def stop(known: threading.Event = job_is_known, jobs: list[Job] = jobs) -> None:
                assert known.wait(60)
                jobs[0].cancel()

            steps.cancel_at(name, number, stop)
            jobs.append(begin(manager, dataset, tokenizer, kind))
            job_is_known.set()
            with pytest.raises(JobCancelled):
                jobs[0].wait(120)
            for step, num_after in steps.num_after.items():
                assert num_after <= MOST_AFTER.get(step, 1), (name, number, steps.num_after)
            assert manager.list_tokenizations(dataset.id) == []
            assert manager.jobs() == []
            assert sorted(path for path in folder.rglob("*") if path.is_file()) == bare
            seen.add(name)
    assert seen >= {"load", "plan", "read", "reference", "write", "count", "save"}


def test_workers_in_other_processes_stop_within_their_shard(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(save_byte_level(tmp_path / "tokenizer"))
    text = "a few words, " * 5000
    path = write_parquet(tmp_path / "a.parquet", [text] * 2000, row_group_size=2000)
    progress = Progress()
    (shard,) = plan_shards({"train": [path]}, "text", shard_bytes=10**9)
    ids_file = tmp_path / "work" / f"{shard.name}.ids.tmp"

    def cancel_when_begun() -> None:
        while not (ids_file.exists() and ids_file.stat().st_size):
            progress.wait(0.001)
        progress.cancel()

    canceller = threading.Thread(target=cancel_when_begun)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        canceller.start()
        with pytest.raises(JobCancelled):
            tokenize(tmp_path, tokenizer, {"train": [path]}, executor=pool, progress=progress)
        canceller.join()
        assert list((tmp_path / "work").iterdir()) == []
        # the stop is over: the same workers go on with what comes next
        work = str(tmp_path / "work")
        spec = choose_engine(tokenizer)
        small = write_parquet(tmp_path / "b.parquet", ["a"])
        (other,) = plan_shards({"train": [small]}, "text")
        found = pool.submit(tokenize_shard, other, spec, shards.TextRules(), work).result(60)
        assert found.num_documents == 1
