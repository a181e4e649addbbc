"""The peers of ``bench_tokenize.py``: what others do with the same file and tokenizer."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import time
import zlib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from queue import Queue
from typing import Any

MAX_LENGTH = 512


def eos_of(tokenizer: Path) -> str:
    """Return the text of the token that ours puts between documents."""
    from mistudio_widgets.encoders import load_tokenizer

    loaded = load_tokenizer(tokenizer)
    text = loaded.text_of(loaded.eos_id) if loaded.eos_id is not None else None
    if text is None:
        raise SystemExit("The tokenizer names no end of text.")
    return text


def run_map(parquet: Path, tokenizer_path: Path, out: Path, num_proc: int) -> dict[str, Any]:
    import datasets
    from transformers import PreTrainedTokenizerFast

    datasets.disable_progress_bars()
    eos = eos_of(tokenizer_path)
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


def run_chunks(parquet: Path, tokenizer_path: Path, out: Path) -> dict[str, Any]:
    """Tokenize in one map, join and cut in another, as transformers' and SAE examples do."""
    import datasets
    from transformers import PreTrainedTokenizerFast

    datasets.disable_progress_bars()
    cache = str(out / "cache")
    data = datasets.load_dataset("parquet", data_files=str(parquet), split="train", cache_dir=cache)
    started = time.perf_counter()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(tokenizer_path), eos_token=eos_of(tokenizer_path)
    )
    ends = [tokenizer.eos_token_id]

    def tokenize(batch: dict[str, list[str]]) -> dict[str, list[list[int]]]:
        found = tokenizer(batch["text"], add_special_tokens=False, verbose=False)
        return {"input_ids": [ids + ends for ids in found["input_ids"]]}

    def group_texts(batch: dict[str, list[list[int]]]) -> dict[str, list[list[int]]]:
        stream = list(chain.from_iterable(batch["input_ids"]))
        last = len(stream) // MAX_LENGTH * MAX_LENGTH
        return {"input_ids": [stream[i : i + MAX_LENGTH] for i in range(0, last, MAX_LENGTH)]}

    found = data.map(tokenize, batched=True, remove_columns=data.column_names)
    found.map(group_texts, batched=True).save_to_disk(str(out / "saved"))
    return {"elapsed_s": time.perf_counter() - started}


def run_transformers(parquet: Path, tokenizer_path: Path, _out: Path) -> dict[str, Any]:
    from transformers import PreTrainedTokenizerFast

    started = time.perf_counter()
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(tokenizer_path))
    num_tokens = 0
    for texts_ in _batches(parquet):
        found = tokenizer(texts_, add_special_tokens=False, verbose=False)["input_ids"]
        num_tokens += sum(map(len, found))
    return {"elapsed_s": time.perf_counter() - started, "num_tokens": num_tokens}


def run_reference(parquet: Path, tokenizer_path: Path, _out: Path) -> dict[str, Any]:
    from tokenizers import Tokenizer

    started = time.perf_counter()
    tokenizer = Tokenizer.from_file(str(tokenizer_path))
    num_tokens = 0
    for texts_ in _batches(parquet):
        found = tokenizer.encode_batch_fast(texts_, add_special_tokens=False)
        num_tokens += sum(len(encoding.ids) for encoding in found)
    return {"elapsed_s": time.perf_counter() - started, "num_tokens": num_tokens}


def _batches(parquet: Path) -> Iterator[list[str]]:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(parquet, pre_buffer=False)
    for batch in file.iter_batches(200, columns=["text"]):
        yield batch.column(0).to_pylist()


def run_bare(parquet: Path, tokenizer_path: Path, out: Path) -> dict[str, Any]:
    """Run the same libraries with nothing around them: the floor of any such pipeline.

    One thread reads, two encode, this one joins, counts, hashes, writes and syncs one flat file.
    Nothing is proven, resumed, cancelled or accounted for, and no bound is kept.
    """
    import fastokens
    import numpy as np
    import torch

    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    eos = eos_of(tokenizer_path)
    started = time.perf_counter()
    encoder = fastokens.Tokenizer.from_file(str(tokenizer_path))
    loaded = time.perf_counter()
    separator = torch.tensor([encoder.token_to_id(eos)], dtype=torch.int32)
    texts: Queue[tuple[int, list[str]] | None] = Queue(4)
    encoded: Queue[tuple[int, bytes, bytes] | None] = Queue()

    def read() -> None:
        for item in enumerate(_batches(parquet)):
            texts.put(item)
        for _ in range(2):
            texts.put(None)

    def encode() -> None:
        while (item := texts.get()) is not None:
            encoded.put((item[0], *encoder.encode_batch_flat(item[1], False)))
        encoded.put(None)

    for target in (read, encode, encode):
        threading.Thread(target=target).start()
    digest, crc32, num_tokens = hashlib.sha256(), 0, 0
    counts = torch.zeros(encoder.vocab_size, dtype=torch.int64)
    with (out / "bare.bin").open("wb", buffering=0) as file:
        for ids, offsets in _in_order(encoded):
            lengths = np.diff(np.frombuffer(offsets, np.int64)).tolist()
            documents = torch.frombuffer(bytearray(ids), dtype=torch.int32).split(lengths)
            stream = torch.cat([part for document in documents for part in (separator, document)])
            counts += torch.bincount(stream, minlength=len(counts))
            content = stream.numpy().data
            digest.update(content)
            crc32 = zlib.crc32(content, crc32)
            file.write(content)
            num_tokens += len(stream)
        os.fsync(file.fileno())
    elapsed_s = time.perf_counter() - started
    parts = [("load", f"{loaded - started:.2f}")]
    return {"elapsed_s": elapsed_s, "num_tokens": num_tokens, "parts": parts}


def _in_order(encoded: Queue[tuple[int, bytes, bytes] | None]) -> Iterator[tuple[bytes, bytes]]:
    early: dict[int, tuple[bytes, bytes]] = {}
    number, running = 0, 2
    while running or early:
        while number in early:
            yield early.pop(number)
            number += 1
        if not running:
            continue
        item = encoded.get()
        if item is None:
            running -= 1
        else:
            early[item[0]] = item[1:]


def run_ceiling(parquet: Path) -> dict[str, Any]:
    import pyarrow.parquet as pq

    started = time.perf_counter()
    file = pq.ParquetFile(parquet, pre_buffer=False)
    num_chars = 0
    for batch in file.iter_batches(1000, columns=["text"]):
        num_chars += sum(map(len, batch.column(0).to_pylist()))
    return {"elapsed_s": time.perf_counter() - started, "num_chars": num_chars}
