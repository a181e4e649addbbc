"""Packing, padding, masks and statistics run on the chosen device, with the same bytes on each."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from pretended_device import DEVICE, PretendedDevice
from trained_tokenizers import save_word_piece

from mistudio_widgets import packing
from mistudio_widgets.encoders import Tokenizer, choose_engine, load_tokenizer
from mistudio_widgets.records import TokenizationSettings
from mistudio_widgets.tokenization import TextRules, assembly, plan_shards, tokenize_shard
from mistudio_widgets.tokenization.documents import Documents
from mistudio_widgets.tokenization.output import Place
from mistudio_widgets.tokenization.specials import find_specials

NUM_DOCUMENTS = 3000
# what the host may touch: sums over ids and over the few different lengths
MAX_HOST_ITEMS = 1000
# taking an array from numpy, and giving one to it
NO_WORK = {"aten.lift_fresh.default", "aten.detach.default"}

CASES = {
    "packed": {"max_length": 16},
    "packed with everything": {
        "max_length": 16,
        "stride": 3,
        "begin_sequence_token": "bos",
        "return_attention_mask": True,
        "shuffle_seed": 1,
        "add_special_tokens": False,
    },
    "template": {"max_length": 9, "add_special_tokens": True, "drop_tail": True},
    "flat": {"mode": "per_sample", "return_attention_mask": True},
    "longest": {"mode": "per_sample", "padding": "longest"},
    "overflow": {"mode": "per_sample", "max_length": 8, "stride": 2, "padding": "max_length"},
}

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory) -> Tokenizer:
    return load_tokenizer(save_word_piece(tmp_path_factory.mktemp("trained")))


@pytest.fixture(scope="module")
def run(tokenizer, tmp_path_factory):
    """Return the folder of a finished shard, and its run."""
    folder = tmp_path_factory.mktemp("work")
    texts = [
        f"return {number} if number else None " * (number % 5) for number in range(NUM_DOCUMENTS)
    ]
    pq.write_table(pa.table({"text": texts}), folder / "a.parquet")
    (shard,) = plan_shards({"train": [folder / "a.parquet"]}, "text")
    return folder, tokenize_shard(shard, choose_engine(tokenizer), TextRules(), str(folder))


def assemble(run, tokenizer, tmp_path, device, options):
    """Assemble on a device; return the bytes of every array, and what was counted."""
    work_dir, finished = run
    settings = TokenizationSettings(tokenizer="x", **options)
    place = Place(
        work_dir=work_dir,
        name="split-0",
        path=tmp_path / "train.pt",
        device=str(device),
        num_ids=tokenizer.num_ids,
    )
    documents = Documents([finished], settings.shuffle_seed, work_dir, "split-0", check=bool)
    result = assembly.assemble_split(
        documents,
        find_specials(tokenizer, settings),
        settings,
        place,
        advance=lambda num_documents: None,
        claim=lambda num_bytes: None,
    )
    arrays = [result.path.read_bytes(), result.lengths.read_bytes()]
    result.remove_files()
    lengths = result.length_counts
    counted = (result.token_counts.tolist(), lengths.lengths.tolist(), lengths.counts.tolist())
    return arrays, counted, result.accounting


@pytest.mark.parametrize("case", CASES)
def test_nothing_large_leaves_the_device_and_the_bytes_are_the_same(run, tokenizer, tmp_path, case):
    expected = assemble(run, tokenizer, tmp_path, "cpu", CASES[case])
    with PretendedDevice() as watched:
        found = assemble(run, tokenizer, tmp_path, DEVICE, CASES[case])
    assert found == expected
    assert max(size for _, size in watched.device_ops) > 10 * MAX_HOST_ITEMS
    assert {op for op, size in watched.host_ops if size > MAX_HOST_ITEMS} <= NO_WORK


def test_an_op_that_falls_back_is_caught(run, tokenizer, tmp_path, monkeypatch):
    pad = packing.pad_sequences

    def pad_on_the_host(flat, lengths, width, fill):
        return pad(flat.cpu(), lengths.cpu(), width, fill)

    monkeypatch.setattr(packing, "pad_sequences", pad_on_the_host)
    with PretendedDevice() as watched:
        assemble(run, tokenizer, tmp_path, DEVICE, CASES["longest"])
    assert {op for op, size in watched.host_ops if size > MAX_HOST_ITEMS} - NO_WORK


def test_a_tensor_made_on_the_host_is_caught(run, tokenizer, tmp_path, monkeypatch):
    def count_with_zeros_of_the_host(ids, num_ids):
        return torch.zeros(ids.shape, dtype=torch.int64) + ids

    monkeypatch.setattr(packing, "count_tokens", count_with_zeros_of_the_host)
    with PretendedDevice(), pytest.raises(AssertionError, match="mixes"):
        assemble(run, tokenizer, tmp_path, DEVICE, CASES["packed"])


@pytest.mark.cuda
@needs_cuda
@pytest.mark.parametrize("case", CASES)
def test_the_same_bytes_on_a_card(run, tokenizer, tmp_path, case):
    expected = assemble(run, tokenizer, tmp_path, "cpu", CASES[case])
    assert assemble(run, tokenizer, tmp_path, "cuda", CASES[case]) == expected
