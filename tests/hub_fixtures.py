"""The hub that tests see: `tests/hub_server.py` with one repository of every kind.

Importing this module starts the server and points the HuggingFace libraries to it, because they
read their environment when they are imported. So it comes before them, in ``conftest.py``.
"""

from __future__ import annotations

import atexit
import gzip
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hub_repos import Blob
from hub_server import HubServer

if TYPE_CHECKING:
    from mistudio_widgets.hub import Hub

READER_TOKEN = "hf_readerTokenForTests"
STRANGER_TOKEN = "hf_strangerTokenForTests"

_SERVER = HubServer(page_size=7)
_CACHE = tempfile.TemporaryDirectory(prefix="mistudio-hf-home-")
atexit.register(_CACHE.cleanup)
atexit.register(_SERVER.close)
for _name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE", "HF_HUB_CACHE"):
    os.environ.pop(_name, None)
os.environ.update(
    HF_ENDPOINT=_SERVER.url,
    HF_HOME=_CACHE.name,
    HF_HUB_DISABLE_TELEMETRY="1",
    HF_HUB_DISABLE_PROGRESS_BARS="1",
    HF_UPDATE_DOWNLOAD_COUNTS="0",
    NO_PROXY="127.0.0.1",
)

STORIES_CARD = """---
license: mit
configs:
- config_name: en
  data_files:
  - split: train
    path: en/train-*
  - split: test
    path: en/test-*
- config_name: fr
  data_files:
  - split: train
    path: fr/*.parquet
dataset_info:
- config_name: en
  splits:
  - name: train
    num_examples: 30
    num_bytes: 1000
  - name: test
    num_examples: 5
    num_bytes: 100
- config_name: fr
  splits:
  - name: train
    num_bytes: 70
---
<!-- for the owner only -->
# Stories

![badge](https://img.example/b.svg) **Short** stories, see [the paper](https://paper.example).

| split | rows |
|-------|------|
| train | 30   |

<div align="center">By &amp; for people.</div>
"""


def parquet(texts: list[str]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"text": texts, "id": range(len(texts))}), out)
    return out.getvalue()


def lines(count: int, *, word: str = "tale") -> list[str]:
    return [f"{word} number {i} ünïcode" for i in range(count)]


def jsonl(texts: list[str]) -> bytes:
    return "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()


def tar(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def tokenizer_json() -> bytes:
    from trained_tokenizers import byte_level

    return byte_level(lines(50), 300).to_str().encode()


def populate(server: HubServer) -> None:
    server.tokens |= {READER_TOKEN, STRANGER_TOKEN}
    readers = {READER_TOKEN}
    stories = {
        "README.md": STORIES_CARD.encode(),
        ".gitattributes": b"*.parquet filter=lfs\n",
        "en/train-00000-of-00003.parquet": parquet(lines(10)),
        "en/train-00001-of-00003.parquet": parquet(lines(11)),
        "en/train-00002-of-00003.parquet": parquet(lines(9)),
        "en/test-00000-of-00001.parquet": parquet(lines(5)),
        "fr/train-00000-of-00001.parquet": parquet(lines(7, word="conte")),
    }
    server.add("dataset", "acme/stories", stories).commit(stories, ref="v1")
    server.add(
        "dataset", "plain", {"data.csv": b"id,text\n1,one\n2,two\n", "README.md": b"# Plain\n"}
    )
    server.add("dataset", "acme/v1.5.dots", {"data/train.jsonl.gz": gzip.compress(jsonl(lines(4)))})
    server.add("dataset", "acme/notes", {"train.txt": b"one\ntwo\n", "test.txt": b"three\n"})
    server.add("dataset", "acme/empty", {"README.md": b"# Nothing yet\n"})
    server.add("dataset", "acme/zipped", {"data.zip": b"PK", "more.zip": b"PK"})
    server.add("dataset", "acme/pictures", {"train/cat.png": b"png", "train/dog.png": b"png"})
    server.add("dataset", "acme/gated", {"train.txt": b"secret\n"}, gated=True, readers=readers)
    server.add("dataset", "acme/private", {"train.txt": b"mine\n"}, private=True, readers=readers)
    server.add("dataset", "acme/disabled", {"train.txt": b"gone\n"}, disabled=True)
    odd = {"data/train part (1) ünï & 50%.txt": b"odd\n", "data/train #2?.txt": b"odder\n"}
    server.add("dataset", "acme/odd-names", odd)
    server.add("dataset", "acme/escape", {"train.txt": b"x\n", "../../evil.txt": b"x\n"})
    server.add("dataset", "acme/case", {"train/A.txt": b"x\n", "train/a.txt": b"y\n"})
    huge = Blob(b"x", is_lfs=True, claimed_bytes=60_000_000_000)
    server.add("dataset", "acme/huge", {"train.parquet": huge})
    pointing = "---\nconfigs:\n- config_name: default\n  data_files: {}\n---\n"
    for name, pattern in (
        ("outside", "../../../etc/*"),
        ("absolute", "/etc/*"),
        ("elsewhere", "https://example.org/x.csv"),
    ):
        card = pointing.format(json.dumps(pattern)).encode()
        server.add("dataset", f"acme/{name}", {"README.md": card, "train.txt": b"x\n"})
    script = server.add("dataset", "acme/script", {"script.py": b"raise SystemExit\n"})
    script.commit(
        {
            "default/train/0000.parquet": parquet(lines(3)),
            "default/partial-test/0000.parquet": parquet(lines(2)),
            "other/train/0000.parquet": parquet(lines(1)),
        },
        ref="refs/convert/parquet",
    )
    server.add("dataset", "acme/lonely-script", {"lonely-script.py": b"raise SystemExit\n"})
    nested = {
        "data/train/2024/01/part.csv": b"text\none\n",
        "data/train/2024/02/part.csv": b"text\ntwo\n",
        "data/test/part.csv": b"text\nthree\n",
    }
    server.add("dataset", "acme/nested", nested)
    packed = zstandard.compress(jsonl(lines(5)))
    server.add("dataset", "acme/zst", {"train.jsonl.zst": packed})
    server.add("dataset", "acme/archives", {"train-0.tar": tar({"0.txt": b"one", "1.txt": b"two"})})
    twin = parquet(lines(3))
    twins = {"data/train-0.parquet": twin, "data/train-1.parquet": twin}
    server.add("dataset", "acme/twins", twins)
    many = {f"data/train-{i:05d}-of-00040.txt": f"{i}\n".encode() for i in range(40)}
    server.add("dataset", "acme/many-files", many)
    _add_models(server)


def _add_models(server: HubServer) -> None:
    config = json.dumps({"model_type": "gpt2"}).encode()
    special = json.dumps({"eos_token": "<|endoftext|>"}).encode()
    model = tokenizer_json()
    settings = json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}).encode()
    companions = {
        "config.json": config,
        "special_tokens_map.json": special,
        "tokenizer_config.json": settings,
    }
    weights = {"model.bin": b"not wanted" * 100}
    server.add("model", "acme/tiny-bpe", {"tokenizer.json": model, **companions, **weights})
    parts = json.loads(model)["model"]
    merges = "\n".join(["#version: 0.2", *(" ".join(pair) for pair in parts["merges"])])
    slow = {"vocab.json": json.dumps(parts["vocab"]).encode(), "merges.txt": merges.encode()}
    server.add("model", "acme/slow", {**slow, "config.json": config})
    server.add("model", "acme/no-tokenizer", weights)
    server.add(
        "model", "acme/gated-model", {"tokenizer.json": model}, gated=True, readers={READER_TOKEN}
    )


@pytest.fixture(scope="session")
def hub_server() -> HubServer:
    populate(_SERVER)
    return _SERVER


@pytest.fixture
def hub(hub_server: HubServer) -> Iterator[HubServer]:
    """The local hub, without faults and with an empty request log."""
    hub_server.reset()
    yield hub_server
    hub_server.reset()


@pytest.fixture
def hf_home() -> Path:
    """The HuggingFace cache of this test run."""
    from huggingface_hub.constants import HF_HOME

    return Path(HF_HOME)


@pytest.fixture
def client(hub: HubServer) -> Hub:
    from mistudio_widgets.hub import Hub

    return Hub(hub.url)
