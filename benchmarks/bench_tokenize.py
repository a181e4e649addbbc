"""Parquet text to packed token ids on disk: ours against ``datasets.map`` + ``save_to_disk``.

Every figure comes from a fresh process, in one run, on the same Parquet file in a warm page
cache. Counted on both sides: loading the tokenizer, tokenizing, packing, saving, fsync; on ours
the equality probe, the catalog and the statistics too. Not counted on either: importing Python
modules; and on the peer's side not even its conversion of Parquet to Arrow, shown in a column of
its own. The ids of all runs are compared.

    python benchmarks/bench_tokenize.py [--mb 50] [--rounds 3] [--tokenizer PATH]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from setting import in_child, machine, table, texts

if TYPE_CHECKING:
    from mistudio_widgets.jobs import Job

MAX_LENGTH = 512
VOCAB_SIZE = 32_000
TRAINING_BYTES = 5_000_000
EOS = "<|endoftext|>"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mb", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokenizer", type=Path)
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        what, *arguments = chosen.child
        print(json.dumps(CHILDREN[what](*map(Path, arguments))))
        return
    with tempfile.TemporaryDirectory() as folder:
        _compare(Path(folder), chosen.mb, chosen.rounds, chosen.tokenizer)


def _compare(folder: Path, mb: int, rounds: int, tokenizer: Path | None) -> None:
    print(machine())
    parquet, num_bytes = _make_corpus(folder, mb * 1_000_000)
    tokenizer = tokenizer.absolute() if tokenizer else _train(folder)
    dataset_id = _import(folder / "data", parquet)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in CHILDREN}
    peers = ["map1", "map2"]
    for _ in range(rounds):
        runs["ceiling"].append(_child("ceiling", parquet))
        runs["ours"].append(_child("ours", folder / "data", dataset_id, tokenizer))
        for peer in peers:
            runs[peer].append(_child(peer, parquet, tokenizer, folder / peer))
        # the slower one cannot be the peer any more: its minutes go to the rounds
        peers = [min(peers, key=lambda peer: _seconds(runs[peer]))]
    _report(runs, num_bytes)
    _check_ids(folder, runs["ours"][0], ["map1", "map2"], tokenizer)


def _child(what: str, *arguments: object) -> dict[str, Any]:
    parallelism = {"TOKENIZERS_PARALLELISM": "false"} if what == "map2" else {}
    return in_child(__file__, "--child", what, *arguments, **parallelism)


def _seconds(runs: list[dict[str, Any]]) -> float:
    return statistics.median(run["elapsed_s"] for run in runs)


def _report(runs: dict[str, list[dict[str, Any]]], num_bytes: int) -> None:
    names = {
        "ceiling": "iter_batches + to_pylist",
        "ours": f"mistudio_widgets ({runs['ours'][0]['engine']})",
        "map1": "datasets.map, num_proc=1",
        "map2": "datasets.map, num_proc=2",
    }
    rows = [("", "rounds", "median s", "MB/s", "of which", "x ours")]
    ours = _seconds(runs["ours"])
    for key, name in names.items():
        seconds = _seconds(runs[key])
        parts = ", ".join(f"{part} {value}" for part, value in runs[key][-1].get("parts", []))
        cells = (f"{seconds:.2f}", f"{num_bytes / 1e6 / seconds:.1f}", parts)
        rows.append((name, str(len(runs[key])), *cells, f"{seconds / ours:.2f}"))
    print(table(rows))
    peer = min(_seconds(runs["map1"]), _seconds(runs["map2"]))
    print(f"ratio to datasets.map + save_to_disk, the faster one: {peer / ours:.1f}x")
    print(f"share of the ceiling: {100 * _seconds(runs['ceiling']) / ours:.1f} %")


def _make_corpus(folder: Path, num_bytes: int) -> tuple[Path, int]:
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


def _train(folder: Path) -> Path:
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


def _eos_of(tokenizer: Path) -> str:
    """Return the text of the token that ours puts between documents."""
    from mistudio_widgets.encoders import load_tokenizer

    loaded = load_tokenizer(tokenizer)
    text = loaded.text_of(loaded.eos_id) if loaded.eos_id is not None else None
    if text is None:
        raise SystemExit("The tokenizer names no end of text.")
    return text


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
    """Wait for a job; return the seconds of each phase, to 10 ms."""
    parts: dict[str, float] = {}
    before = time.perf_counter()
    while not job.has_ended:
        phase = job.snapshot().phase or "starting"
        with suppress(TimeoutError):
            job.wait(0.01)
        now = time.perf_counter()
        parts[phase] = parts.get(phase, 0) + now - before
        before = now
    return parts


def run_map(parquet: Path, tokenizer_path: Path, out: Path, num_proc: int) -> dict[str, Any]:
    import datasets
    from transformers import PreTrainedTokenizerFast

    datasets.disable_progress_bars()
    eos = _eos_of(tokenizer_path)
    shutil.rmtree(out, ignore_errors=True)
    cache = str(out / "cache")
    started = time.perf_counter()
    data = datasets.load_dataset("parquet", data_files=str(parquet), split="train", cache_dir=cache)
    loaded = time.perf_counter()
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(tokenizer_path), eos_token=eos)
    eos_id = tokenizer.eos_token_id

    def chunks(batch: dict[str, list[str]]) -> dict[str, list[list[int]]]:
        """Tokenize, join and cut; the batch's tail stays, or tokens would be lost."""
        found = tokenizer(
            batch["text"],
            add_special_tokens=False,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )["input_ids"]
        stream: list[int] = []
        for ids in found:
            stream.extend(ids)
            stream.append(eos_id)
        starts = range(0, len(stream), MAX_LENGTH)
        return {"input_ids": [stream[start : start + MAX_LENGTH] for start in starts]}

    packed = data.map(
        chunks,
        batched=True,
        remove_columns=data.column_names,
        num_proc=num_proc if num_proc > 1 else None,
        features=datasets.Features({"input_ids": datasets.List(datasets.Value("int32"))}),
    )
    mapped = time.perf_counter()
    packed.save_to_disk(str(out / "saved"))
    for path in (out / "saved").iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    ended = time.perf_counter()
    parts = [("map", f"{mapped - loaded:.1f}"), ("save", f"{ended - mapped:.1f}")]
    parts.append(("(load, not counted)", f"{loaded - started:.1f}"))
    return {"elapsed_s": ended - loaded, "parts": parts}


def run_ceiling(parquet: Path) -> dict[str, Any]:
    import pyarrow.parquet as pq

    started = time.perf_counter()
    file = pq.ParquetFile(parquet, pre_buffer=False)
    num_chars = 0
    for batch in file.iter_batches(1000, columns=["text"]):
        num_chars += sum(map(len, batch.column(0).to_pylist()))
    return {"elapsed_s": time.perf_counter() - started, "num_chars": num_chars}


CHILDREN: dict[str, Any] = {
    "ceiling": run_ceiling,
    "ours": run_ours,
    "map1": lambda parquet, tokenizer, out: run_map(parquet, tokenizer, out, 1),
    "map2": lambda parquet, tokenizer, out: run_map(parquet, tokenizer, out, 2),
}


def _check_ids(folder: Path, ours: dict[str, Any], peers: list[str], tokenizer: Path) -> None:
    """Compare every id; the peer ends the last document with the separator, ours does not."""
    import datasets
    import numpy as np
    import torch
    from tokenizers import Tokenizer

    eos_id = Tokenizer.from_file(str(tokenizer)).token_to_id(_eos_of(tokenizer))
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
