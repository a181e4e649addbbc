"""A data folder with a dataset in every status, which stay as they are while they are looked at."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hub_server import HubServer
from playwright.sync_api import Page

from mistudio_widgets import DatasetManager

READY = "acme/library"
DOWNLOADING = "acme/endless"
PROCESSING = "Being read"
FAILED = "Without a text"
UNKNOWN = "Of an unknown status"

CARD = """---
configs:
- config_name: default
  data_files:
  - {split: train, path: train.parquet}
  - {split: validation, path: validation.parquet}
  - {split: test, path: test.parquet}
---
# Library

Sources of a library, each divided where a line is empty.
"""

# No kernel of today sends such a status: the page is made to believe that it got one.
_FROM_THE_FUTURE = """
const parse = JSON.parse;
const known = /("name": ?"%s"[^{}]*?"status": ?)"ready"/g;
JSON.parse = (text, ...rest) =>
  parse(typeof text === "string" ? text.replace(known, '$1"archived"') : text, ...rest);
"""


def show_unknown_status(page: Page) -> None:
    """Let one of the ready datasets have a status that the front end does not know."""
    page.add_init_script(_FROM_THE_FUTURE % UNKNOWN)


def paragraphs(files: list[Path]) -> list[str]:
    """Return what is between empty lines in some of the files: enough for several pages."""
    return [
        paragraph
        for file in files[:150]
        for paragraph in file.read_text("utf-8").split("\n\n")
        if paragraph.strip()
    ]


def _parquet(texts: list[str]) -> bytes:
    out = io.BytesIO()
    names = [f"file {number % 7}" for number in range(len(texts))]
    pq.write_table(pa.table({"text": texts, "source": names}), out)
    return out.getvalue()


@dataclass(frozen=True)
class Gallery:
    """What is shown, and a tokenizer that can be loaded; that of the first tokenization is gone."""

    dataset_id: str
    tokenizer: Path


@contextmanager
def hung(
    manager: DatasetManager, hub: HubServer, texts: list[str], tokenizer: Path, folder: Path
) -> Iterator[Gallery]:
    """Fill an empty data folder; what is active ends when the context does."""
    files = {
        "README.md": CARD.encode(),
        "train.parquet": _parquet(texts[:-300]),
        "validation.parquet": _parquet(texts[-300:-100]),
        "test.parquet": _parquet(texts[-100:]),
    }
    hub.add("dataset", READY, files)
    hub.add("dataset", DOWNLOADING, {"train.parquet": _parquet(texts)})
    record = manager.download(READY, hf_token=False).wait(120)
    gone = folder / "gone.json"
    gone.write_bytes(tokenizer.read_bytes())
    manager.tokenize(record.id, tokenizer=str(gone), max_length=128).wait(120)
    gone.unlink()
    manager.tokenize(record.id, tokenizer=str(tokenizer), max_length=64).wait(120)
    manager.import_dataset(pa.table({"text": texts[:10]}), name=UNKNOWN).wait(60)
    failed = manager.import_dataset(pa.table({"number": [1, 2]}), name=FAILED)
    done = threading.Event()

    def batches() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"text": texts[:100]})
        done.wait()

    schema = pa.schema([("text", pa.string())])
    reader = pa.RecordBatchReader.from_batches(schema, batches())
    active = [manager.import_dataset(reader, name=PROCESSING)]
    hub.throttle = 5_000
    active.append(manager.download(DOWNLOADING, hf_token=False))
    assert failed.wait_until_ended(60)
    try:
        yield Gallery(record.id, tokenizer)
    finally:
        done.set()
        for job in active:
            job.cancel()
        hub.reset()
