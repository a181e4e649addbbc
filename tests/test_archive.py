"""The file of tensors that is written front to back: torch reads it as one of its own."""

from __future__ import annotations

import hashlib
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from mistudio_widgets.tokenization.archive import TensorFile

sizes = st.integers(0, 3) | st.sampled_from([255, 256, 257, 700, 65_535, 65_536])


def write(path, content, *, names=None):
    """Write tensors in the order of ``content``, in two pieces each."""
    with TensorFile(path) as file:
        for name, tensor in content.items():
            assert name not in file
            file.begin(name, tensor.numpy().dtype)
            assert file.current == name
            flat = tensor.numpy().ravel()
            file.append(flat[: len(flat) // 3])
            file.append(flat[len(flat) // 3 :])
        return file.publish({name: tuple(content[name].shape) for name in names or content})


@hypothesis_settings(max_examples=60)
@given(
    rows=sizes,
    width=st.sampled_from([1, 2, 7, 255, 256]),
    samples=sizes,
    has_mask=st.booleans(),
    has_rows=st.booleans(),
)
def test_torch_reads_what_was_written(tmp_path_factory, rows, width, samples, has_mask, has_rows):
    path = tmp_path_factory.mktemp("archive") / "train.pt"
    content = {"input_ids": torch.arange(rows * width, dtype=torch.int32).view(rows, width)}
    if has_rows:
        content["sample_rows"] = torch.arange(samples).flip(0)
    content["sample_starts"] = torch.arange(samples + 1)
    if has_mask:
        content["attention_mask"] = torch.ones((rows, width), dtype=torch.uint8)
    names = sorted(content)
    size, sha256 = write(path, content, names=names)
    assert [file.name for file in path.parent.iterdir()] == ["train.pt"]
    found = path.read_bytes()
    assert size == len(found)
    assert sha256 == hashlib.sha256(found).hexdigest()
    assert zipfile.ZipFile(path).testzip() is None
    for is_mapped in (True, False):
        loaded = torch.load(path, mmap=is_mapped, weights_only=True)
        assert list(loaded) == names
        for name, tensor in content.items():
            assert torch.equal(loaded[name], tensor)
            assert loaded[name].dtype == tensor.dtype
            assert loaded[name].is_contiguous()
            assert loaded[name].untyped_storage().nbytes() == tensor.nbytes
            assert not loaded[name].data_ptr() % 8


def test_the_same_tensors_give_the_same_bytes(tmp_path):
    content = {"input_ids": torch.arange(5000, dtype=torch.int32), "offsets": torch.arange(9)}
    hashes = [write(tmp_path / name, content)[1] for name in ("a.pt", "other.pt")]
    assert hashes[0] == hashes[1]


def test_what_torch_saves_of_it_is_the_same(tmp_path):
    """A file of ours that is loaded and saved by torch is loaded as the same again."""
    content = {"input_ids": torch.arange(600, dtype=torch.int32).view(3, 200)}
    write(tmp_path / "ours.pt", content)
    torch.save(torch.load(tmp_path / "ours.pt", weights_only=True), tmp_path / "theirs.pt")
    again = torch.load(tmp_path / "theirs.pt", weights_only=True)
    assert torch.equal(again["input_ids"], content["input_ids"])


@pytest.mark.parametrize("num_items", [0, 5, 500_000])
def test_a_file_that_is_given_up_leaves_the_old_one(tmp_path, num_items):
    path = tmp_path / "train.pt"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match="no more"), TensorFile(path) as file:
        file.begin("input_ids", np.int32)
        file.append(np.arange(num_items))
        raise ValueError("no more")
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["train.pt"]


def test_a_full_disk_is_told_as_such(tmp_path):
    # writing to this device fails as on a full disk
    (tmp_path / "train.pt.tmp").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path / "train.pt", {"input_ids": torch.arange(5000, dtype=torch.int32)})
    assert not list(tmp_path.glob("train.pt*"))
