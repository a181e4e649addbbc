"""Parquet text to packed token ids on disk: ours against ``datasets.map`` + ``save_to_disk``.

Every figure comes from a fresh process, in one run, on the same Parquet file in a warm page
cache. Counted on both sides: loading the tokenizer, tokenizing, packing, saving, fsync; on ours
the equality proof, the catalog and the statistics too; a second run finds that proof in its data
folder, as all but the first with a tokenizer do, and has a line of its own. Not counted on either:
importing Python modules; and on the peer's side not even its conversion of Parquet to Arrow, shown
in a column of its own. The ids of all runs are compared.

Beside it, once: the concat-and-chunk way of SAE training code (one map tokenizes, a second one
joins and cuts), the batch call of ``transformers`` and ``encode_batch_fast`` of ``tokenizers``
alone (nothing is packed or saved), and the ceiling (Parquet to Python strings). In every round,
the floor: the libraries that we use, put together with nothing around them. Then where our
seconds go, by stage, and the peak of our anonymous memory over idle.

    python benchmarks/bench_tokenize.py [--mb 50] [--rounds 3] [--tokenizer PATH] [--only-ours]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from setting import anonymous_bytes, in_child, machine, table, texts
from tokenize_peers import (
    MAX_LENGTH,
    eos_of,
    run_bare,
    run_ceiling,
    run_chunks,
    run_map,
    run_reference,
    run_transformers,
)

if TYPE_CHECKING:
    from mistudio_widgets.jobs import Job

VOCAB_SIZE = 32_000
TRAINING_BYTES = 5_000_000
EOS = "<|endoftext|>"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mb", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokenizer", type=Path)
    parser.add_argument("--only-ours", action="store_true", help="no peer but the ceiling")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        what, *arguments = chosen.child
        print(json.dumps(CHILDREN[what](*map(Path, arguments))))
        return
    with tempfile.TemporaryDirectory() as folder:
        _compare(
            Path(folder), chosen.mb, chosen.rounds, chosen.tokenizer, only_ours=chosen.only_ours
        )


def _compare(
    folder: Path, mb: int, rounds: int, tokenizer: Path | None, *, only_ours: bool
) -> None:
    print(machine())
    parquet, num_bytes = make_corpus(folder, mb * 1_000_000)
    tokenizer = tokenizer.absolute() if tokenizer else train(folder)
    dataset_id = _import(folder / "data", parquet)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in NAMES}
    peers = [] if only_ours else ["map1", "map2"]
    for number in range(rounds):
        runs["ceiling"].append(_child("ceiling", parquet))
        runs["bare"].append(_child("bare", parquet, tokenizer, folder / "bare"))
        for proof in (folder / "data" / "tokenizers").glob("proof-*"):
            proof.unlink()
        for name in ("ours", "known"):
            runs[name].append(_child("ours", folder / "data", dataset_id, tokenizer))
        for peer in peers:
            runs[peer].append(_child(peer, parquet, tokenizer, folder / peer))
        if number == 0 and not only_ours:
            for peer in ("chunks", "transformers", "reference"):
                runs[peer].append(_child(peer, parquet, tokenizer, folder / peer))
        # the slower one cannot be the peer any more: its minutes go to the rounds
        peers = sorted(peers, key=lambda peer: _seconds(runs[peer]))[:1]
    _report(runs, num_bytes)
    _report_stages(folder, parquet, tokenizer)
    if not only_ours:
        _check_ids(folder, runs["ours"][0], ["map1", "map2"], tokenizer)


def _report_stages(folder: Path, parquet: Path, tokenizer: Path) -> None:
    found = _child("stages", parquet, tokenizer, folder / "stages")
    stages = ", ".join(f"{stage} {seconds:.2f}" for stage, seconds in found["stages"].items())
    print(f"seconds by stage, those of {os.cpu_count()} workers added up: {stages}")
    print(f"wall {found['elapsed_s']:.2f} s, CPU {found['cpu_s']:.2f} s")
    memory = _child("memory", parquet, tokenizer, folder / "memory")
    print(
        f"anonymous memory: {memory['idle'] / 1e6:.0f} MB idle, "
        f"{(memory['peak'] - memory['idle']) / 1e6:.0f} MB more at the peak (at most 512)"
    )


def _child(what: str, *arguments: object) -> dict[str, Any]:
    parallelism = {"TOKENIZERS_PARALLELISM": "false"} if what == "map2" else {}
    return in_child(__file__, "--child", what, *arguments, **parallelism)


def _seconds(runs: list[dict[str, Any]]) -> float:
    return statistics.median(run["elapsed_s"] for run in runs)


NAMES = {
    "ceiling": "iter_batches + to_pylist",
    "ours": "mistudio_widgets",
    "known": "mistudio_widgets, engine proven before",
    "map1": "datasets.map, num_proc=1",
    "map2": "datasets.map, num_proc=2",
    "bare": "the same libraries, nothing around them",
    "chunks": "datasets.map + group_texts",
    "transformers": "transformers' batch call alone",
    "reference": "encode_batch_fast alone",
}


def _report(runs: dict[str, list[dict[str, Any]]], num_bytes: int) -> None:
    rows = [("", "rounds", "median s", "MB/s", "of which", "x ours")]
    ours = _seconds(runs["ours"])
    for key, name in NAMES.items():
        if not runs[key]:
            continue
        seconds = _seconds(runs[key])
        parts = ", ".join(f"{part} {value}" for part, value in runs[key][-1].get("parts", []))
        cells = (f"{seconds:.2f}", f"{num_bytes / 1e6 / seconds:.1f}", parts)
        rows.append((name, str(len(runs[key])), *cells, f"{seconds / ours:.2f}"))
    print(table(rows))
    print(f"engine: {runs['ours'][0]['engine']}")
    if runs["map1"]:
        peer = min(_seconds(runs["map1"]), _seconds(runs["map2"]))
        print(f"ratio to datasets.map + save_to_disk, the faster one: {peer / ours:.1f}x")
    floors = [own["elapsed_s"] / bare["elapsed_s"] for bare, own in _pairs(runs, "bare")]
    listed = ", ".join(f"{ratio:.2f}" for ratio in floors)
    print(
        f"seconds of ours to those of the floor: {statistics.median(floors):.2f}x (pairs: {listed})"
    )
    shares = [
        100 * ceiling["elapsed_s"] / own["elapsed_s"] for ceiling, own in _pairs(runs, "ceiling")
    ]
    listed = ", ".join(f"{share:.1f}" for share in shares)
    print(f"share of the ceiling: {statistics.median(shares):.1f} % (pairs: {listed})")


def _pairs(
    runs: dict[str, list[dict[str, Any]]], peer: str
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    return zip(runs[peer], runs["ours"], strict=True)


def make_corpus(folder: Path, num_bytes: int) -> tuple[Path, int]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    found = texts(num_bytes)
    path = folder / "corpus.parquet"
    pq.write_table(pa.table({"text": found}), path, row_group_size=1000, compression="snappy")
    total = sum(len(text.encode()) for text in found)
    print(f"{len(found)} distinct files of this machine, {total / 1e6:.0f} MB of text")
    sample, size = [], 0
    for text in found[:: max(1, num_bytes // TRAINING_BYTES)]:
        sample.append(text)
        size += len(text)
        if size > TRAINING_BYTES:
            break
    (folder / "training.json").write_text(json.dumps(sample))
    return path, total


def train(folder: Path) -> Path:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=[EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(json.loads((folder / "training.json").read_text()), trainer)
    path = folder / "tokenizer.json"
    tokenizer.save(str(path))
    print(f"byte-level BPE trained on 5 MB of it, {tokenizer.get_vocab_size()} ids")
    return path


def _import(data_dir: Path, parquet: Path) -> str:
    from mistudio_widgets import DatasetManager

    with DatasetManager(data_dir) as manager:
        dataset_id: str = manager.import_files(parquet, name="corpus").wait().id
        return dataset_id


def run_ours(data_dir: Path, dataset_id: Path, tokenizer: Path) -> dict[str, Any]:
    # imported here, as the peer imports its own before the clock starts
    import fastokens  # noqa: F401
    import torch  # noqa: F401
    import transformers  # noqa: F401

    from mistudio_widgets import DatasetManager

    started = time.perf_counter()
    with DatasetManager(data_dir) as manager:
        job = manager.tokenize(str(dataset_id), tokenizer=str(tokenizer), max_length=MAX_LENGTH)
        parts = _follow(job)
        record = job.wait()
        elapsed_s = time.perf_counter() - started
        kept = data_dir / "kept"
        folder = Path(manager.get_dataset(str(dataset_id)).tokenized_path or "")
        kept.mkdir(exist_ok=True)
        shutil.copy(folder / "train.pt", kept / "train.pt")
        manager.delete_tokenization(record.id)
    return {
        "elapsed_s": elapsed_s,
        "parts": [(phase, f"{seconds:.2f}") for phase, seconds in parts.items()],
        "engine": record.engine,
        "num_tokens": record.num_tokens,
        "path": str(kept / "train.pt"),
    }


def _follow(job: Job) -> dict[str, float]:
    """Wait for a job; return the seconds of each phase, to 50 ms."""
    parts: dict[str, float] = {}
    before = time.perf_counter()
    while not job.has_ended:
        phase = job.snapshot().phase or "starting"
        with suppress(TimeoutError):
            job.wait(0.05)
        now = time.perf_counter()
        parts[phase] = parts.get(phase, 0) + now - before
        before = now
    return parts


def run_stages(parquet: Path, tokenizer_path: Path, out: Path) -> dict[str, Any]:
    """Run ours without manager and catalog; where do the seconds go?"""
    import fastokens  # noqa: F401
    import torch  # noqa: F401

    from mistudio_widgets.encoders import choose_engine, load_tokenizer
    from mistudio_widgets.progress import Progress
    from mistudio_widgets.records import TokenizationSettings
    from mistudio_widgets.tokenization import tokenize_splits

    shutil.rmtree(out, ignore_errors=True)
    proofs = out.with_name("proofs")
    choose_engine(load_tokenizer(tokenizer_path), proofs=proofs)
    started, started_cpu = time.perf_counter(), time.process_time()
    tokenizer = load_tokenizer(tokenizer_path)
    spec = choose_engine(tokenizer, proofs=proofs)
    loaded = time.perf_counter()
    result = tokenize_splits(
        {"train": [parquet]},
        tokenizer,
        spec,
        TokenizationSettings(tokenizer=str(tokenizer_path), max_length=MAX_LENGTH),
        "text",
        out / "work",
        out / "out",
        device="cpu",
        executor=None,
        progress=Progress(),
        check_space=lambda _: None,
    )
    return {
        "elapsed_s": time.perf_counter() - started,
        "cpu_s": time.process_time() - started_cpu,
        "stages": {"tokenizer": loaded - started, **result.stage_seconds},
    }


def run_memory(parquet: Path, tokenizer_path: Path, out: Path) -> dict[str, Any]:
    """Watch the anonymous memory of a run from beside it."""
    import fastokens  # noqa: F401
    import torch  # noqa: F401
    import transformers  # noqa: F401

    import mistudio_widgets.tokenization  # noqa: F401

    idle = peak = anonymous_bytes()
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(run_stages, parquet, tokenizer_path, out)
        while not run.done():
            peak = max(peak, anonymous_bytes())
            time.sleep(0.005)
        run.result()
    return {"idle": idle, "peak": peak}


CHILDREN: dict[str, Any] = {
    "ceiling": run_ceiling,
    "ours": run_ours,
    "map1": lambda parquet, tokenizer, out: run_map(parquet, tokenizer, out, 1),
    "map2": lambda parquet, tokenizer, out: run_map(parquet, tokenizer, out, 2),
    "bare": run_bare,
    "chunks": run_chunks,
    "transformers": run_transformers,
    "reference": run_reference,
    "stages": run_stages,
    "memory": run_memory,
}


def _check_ids(folder: Path, ours: dict[str, Any], peers: list[str], tokenizer: Path) -> None:
    """Compare every id; the peer ends the last document with the separator, ours does not."""
    import datasets
    import numpy as np
    import torch
    from tokenizers import Tokenizer

    eos_id = Tokenizer.from_file(str(tokenizer)).token_to_id(eos_of(tokenizer))
    tokens = torch.load(ours["path"], mmap=True, weights_only=True)
    mine = tokens["input_ids"].flatten()[: ours["num_tokens"]].numpy()
    for peer in peers:
        saved = datasets.load_from_disk(str(folder / peer / "saved"))
        chunks = saved.data.column("input_ids").chunks
        theirs = np.concatenate([chunk.flatten().to_numpy() for chunk in chunks])
        is_equal = np.array_equal(theirs, np.append(mine, eos_id))
        print(f"ids equal to {peer}: {is_equal} ({len(mine):,} ids)")
        if not is_equal:
            raise SystemExit("the ids differ")


if __name__ == "__main__":
    main()
