"""The archive around ids in place: byte for byte what torch.save makes."""

from __future__ import annotations

import errno
import hashlib
import io

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from mistudio_widgets.tokenization import archive

INT32, INT64, UINT8 = np.dtype(np.int32), np.dtype(np.int64), np.dtype(np.uint8)


def saved(content: dict[str, torch.Tensor]) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def save_around(folder, content, *, first_byte):
    """Write the first tensor into a raw file at ``first_byte``, and make the archive around it."""
    name, ids = next(iter(content.items()))
    raw, path = folder / "train.raw", folder / "train.pt"
    raw.write_bytes(b"\0" * first_byte + ids.numpy().tobytes())
    mapped = archive.map_tensor(raw, INT32, tuple(ids.shape), first_byte=first_byte)
    before = raw.stat().st_ino
    size, sha256 = archive.save_around(raw, first_byte, {**content, name: mapped}, path, check=bool)
    assert [file.name for file in folder.iterdir()] == ["train.pt"]
    found = path.read_bytes()
    assert size == len(found)
    assert sha256 == hashlib.sha256(found).hexdigest()
    return found, path.stat().st_ino == before


sizes = st.integers(0, 3) | st.sampled_from([255, 256, 257, 700, 65_535, 65_536])


@hypothesis_settings(max_examples=60)
@given(
    rows=sizes,
    width=st.sampled_from([1, 2, 7, 255, 256]),
    samples=sizes,
    has_mask=st.booleans(),
    has_rows=st.booleans(),
)
def test_equal_to_torch_save_and_written_once(
    tmp_path_factory, rows, width, samples, has_mask, has_rows
):
    folder = tmp_path_factory.mktemp("archive")
    content = {"input_ids": torch.arange(rows * width, dtype=torch.int32).view(rows, width)}
    kinds = {"input_ids": INT32}
    if has_mask:
        content["attention_mask"] = torch.ones((rows, width), dtype=torch.uint8)
        kinds["attention_mask"] = UINT8
    content["sample_starts"] = torch.arange(samples + 1)
    if has_rows:
        content["sample_rows"] = torch.arange(samples).flip(0)
    shapes = {
        name: (kinds.get(name, INT64), tuple(tensor.shape)) for name, tensor in content.items()
    }
    first_byte = archive.data_offset(shapes)
    found, is_in_place = save_around(folder, content, first_byte=first_byte)
    assert found == saved(content)
    assert is_in_place == bool(rows)
    loaded = torch.load(folder / "train.pt", mmap=True, weights_only=True)
    assert all(torch.equal(loaded[name], tensor) for name, tensor in content.items())


@pytest.mark.parametrize("first_byte", [0, 64, 640, 704, 4096])
def test_a_place_foreseen_wrongly_costs_a_copy_only(tmp_path, first_byte):
    content = {"input_ids": torch.arange(5000, dtype=torch.int32), "offsets": torch.arange(9)}
    found, is_in_place = save_around(tmp_path, content, first_byte=first_byte)
    assert found == saved(content)
    assert not is_in_place


def test_large_shapes_move_the_place_by_their_digits():
    small = archive.data_offset({"input_ids": (INT32, (3, 512)), "sample_starts": (INT64, (9,))})
    names = {f"tensor{number}": (INT64, (2**40, 2)) for number in range(12)}
    large = archive.data_offset({"input_ids": (INT32, (2**33, 512)), **names})
    assert small % 64 == large % 64 == 0
    assert large > small


def test_a_failing_save_leaves_the_old_file(tmp_path):
    path, raw = tmp_path / "train.pt", tmp_path / "train.raw"
    path.write_bytes(b"old")
    raw.write_bytes(b"\0" * 400)

    class Unpicklable(dict):
        def __reduce__(self):
            raise RuntimeError("no")

    content = {"input_ids": archive.map_tensor(raw, INT32, (100,)), "other": Unpicklable()}
    with pytest.raises(RuntimeError, match="no"):
        archive.save_around(raw, 0, content, path, check=bool)
    assert path.read_bytes() == b"old"
    assert not list(tmp_path.glob("*.tmp"))


def test_a_full_disk_is_told_as_such(tmp_path):
    """torch tells what a write raised as a wrong position."""
    raw = tmp_path / "train.raw"
    ids = torch.arange(5000, dtype=torch.int32)
    raw.write_bytes(ids.numpy().tobytes())
    # writing to this device fails as on a full disk
    (tmp_path / "train.pt.tmp").symlink_to("/dev/full")
    content = {"input_ids": archive.map_tensor(raw, INT32, (5000,)), "offsets": torch.arange(9)}
    with pytest.raises(OSError, match="No space left") as caught:
        archive.save_around(raw, 0, content, tmp_path / "train.pt", check=bool)
    assert caught.value.errno == errno.ENOSPC
    assert not list(tmp_path.glob("train.pt*"))
