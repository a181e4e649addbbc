"""What is on this machine already is not fetched."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest
from hub_calls import body_requests, fetch, files_below, noise, plan, received
from hub_fixtures import parquet
from small_disk import small_disk

from mistudio_widgets.errors import InsufficientDiskSpaceError, JobCancelled, UnsupportedRepoError
from mistudio_widgets.hub import HubFile, HubPlan
from mistudio_widgets.progress import Progress

MB = 1_000_000


@pytest.fixture
def found(client, hub):
    files = {"train.jsonl.gz": noise(MB), "test.jsonl": b"[1, 2]\n\n"}
    hub.add("dataset", "acme/at-hand", files)
    made = plan(client, "acme/at-hand")
    hub.reset()
    return made


@pytest.fixture
def cache(hf_home):
    """The user's own copies of that repository, by hash."""
    blobs = hf_home / "hub" / "datasets--acme--at-hand" / "blobs"
    blobs.mkdir(parents=True)
    yield blobs
    for path in blobs.iterdir():
        path.unlink()
    blobs.rmdir()


def fill(cache: Path, found: HubPlan, contents: dict[str, bytes]) -> None:
    for file in found.files:
        if file.path in contents:
            (cache / file.content_hash).write_bytes(contents[file.path])


def test_the_users_cache_saves_the_fetch(client, hub, found, cache, tmp_path):
    fill(cache, found, {"train.jsonl.gz": noise(MB), "test.jsonl": b"[1, 2]\n\n"})
    progress = Progress()
    got = fetch(client, found, tmp_path, progress=progress)
    assert body_requests(hub) == []
    assert got["train"][0].read_bytes() == noise(MB)
    (blob,) = (f.content_hash for f in found.files if f.path == "train.jsonl.gz")
    # the same file on disk, so no room is taken
    assert got["train"][0].samefile(cache / blob)
    state = progress.state()
    assert (state.done, state.per_s) == (found.plan.download_bytes, None)


def test_a_cached_file_with_other_bytes_is_fetched(client, hub, found, cache, tmp_path):
    fill(cache, found, {"train.jsonl.gz": noise(MB, seed=1), "test.jsonl": b"[1]\n\n"})
    progress = Progress()
    got = fetch(client, found, tmp_path, progress=progress)
    assert got["train"][0].read_bytes() == noise(MB)
    assert got["test"][0].read_bytes() == b"[1, 2]\n\n"
    assert len(body_requests(hub)) == 3
    assert progress.state().done == found.plan.download_bytes
    # the user's cache is the user's
    assert {len(path.read_bytes()) for path in cache.iterdir()} == {MB, 5}


def test_the_plan_tells_what_the_cache_saves(client, found, cache):
    assert found.plan.cached_bytes == 0
    fill(cache, found, {"train.jsonl.gz": noise(MB), "test.jsonl": b"other size"})
    again = plan(client, "acme/at-hand").plan
    assert (again.cached_bytes, again.download_bytes) == (MB, MB + 8)


def test_what_is_linked_from_the_cache_needs_no_room(client, hub, cache, tmp_path):
    whole, gap = noise(MB), parquet(["a"])
    hub.add("dataset", "acme/at-hand", {"train-0.parquet": whole, "train-1.parquet": gap})
    found = plan(client, "acme/at-hand")
    fill(cache, found, {"train-0.parquet": whole})
    there = tmp_path / "not" / "made" / "yet"
    planned = plan(client, "acme/at-hand", into=there).plan
    assert (planned.cached_bytes, planned.download_bytes) == (MB, MB + len(gap))
    assert planned.disk_bytes == len(gap)
    assert plan(client, "acme/at-hand", into=there, free_bytes=2**31 + len(gap)).plan.fits
    assert not plan(client, "acme/at-hand", into=there, free_bytes=2**31 + len(gap) - 1).plan.fits
    # a link does not lead to another disk
    with small_disk(tmp_path / "disk") as disk:
        assert plan(client, "acme/at-hand", into=disk).plan.disk_bytes == MB + len(gap)


def test_the_conversion_of_what_is_linked_needs_room(client, found, cache, tmp_path):
    fill(cache, found, {"train.jsonl.gz": noise(MB)})
    planned = plan(client, "acme/at-hand", into=tmp_path).plan
    assert planned.disk_bytes == int(1.5 * MB) + 2 * 8


def test_a_file_that_the_real_library_cached_is_found(client, hub, found, tmp_path):
    from huggingface_hub import hf_hub_download, scan_cache_dir

    for file in found.files:
        hf_hub_download("acme/at-hand", file.path, repo_type="dataset", token=False)
    assert plan(client, "acme/at-hand").plan.cached_bytes == found.plan.download_bytes
    hub.reset()
    got = fetch(client, found, tmp_path)
    assert body_requests(hub) == []
    assert got["test"][0].read_bytes() == b"[1, 2]\n\n"
    commits = [r.commit_hash for repo in scan_cache_dir().repos for r in repo.revisions]
    scan_cache_dir().delete_revisions(*commits).execute()
    assert got["train"][0].read_bytes() == noise(MB)


def test_files_of_the_dataset_itself_are_taken_over(client, hub, found, tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "train.jsonl.gz").write_bytes(noise(MB))
    (raw / "test.jsonl").write_bytes(b"[2, 1]\n\n")
    got = fetch(client, found, tmp_path / "partial", copies=[tmp_path / "nowhere", raw])
    assert {path.rpartition("/")[2] for path in body_requests(hub)} == {"test.jsonl"}
    assert got["train"][0].samefile(raw / "train.jsonl.gz")
    assert got["test"][0].read_bytes() == b"[1, 2]\n\n"


def test_a_folder_where_a_copy_should_be_is_no_copy(client, found, tmp_path):
    (tmp_path / "raw" / "test.jsonl").mkdir(parents=True)
    got = fetch(client, found, tmp_path / "partial", copies=[tmp_path / "raw"])
    assert got["test"][0].read_bytes() == b"[1, 2]\n\n"


def test_two_names_of_one_content_are_fetched_once(client, hub, tmp_path):
    found = plan(client, "acme/twins")
    hub.reset()
    first, second = fetch(client, found, tmp_path)["train"]
    assert first.read_bytes() == second.read_bytes()
    assert len([r for r in hub.requests if r.origin == "cdn"]) == 1
    assert found.plan.download_bytes == found.files[0].size_bytes
    assert len(found.plan.files) == 2


def test_the_sha256_of_every_file_is_told(client, found, tmp_path):
    got = client.fetch(found, tmp_path, hf_token=False, progress=Progress())
    for fetched in (file for files in got.values() for file in files):
        assert fetched.sha256 == hashlib.sha256(fetched.path.read_bytes()).hexdigest()
        assert fetched.file in found.files


@pytest.mark.parametrize("repo_id", ["acme/twins", "acme/at-hand"])
def test_a_disk_without_hard_links_holds_the_files_all_the_same(
    client, hub, found, tmp_path, monkeypatch, repo_id
):
    def refused(*_args, **_options):
        raise OSError(errno.EPERM, "no links here")

    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "train.jsonl.gz").write_bytes(noise(MB))
    monkeypatch.setattr(os, "link", refused)
    wanted = plan(client, repo_id)
    partial = tmp_path / "partial"
    for _ in range(2):
        got = fetch(client, wanted, partial, copies=[raw])
        names = [f.path for f in wanted.files]
        assert files_below(partial) == sorted(f"files/{name}" for name in names)
        hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in got["train"]]
        assert hashes == [f.sha256 for f in wanted.files if f.split == "train"]
        # the second time, what the first one laid out is taken
        hub.add_fault(names[0], status=403, times=9)


def test_an_empty_file_needs_no_request(client, hub, tmp_path):
    hub.add("dataset", "acme/void", {"train.txt": b"", "test.txt": b"x\n"})
    found = plan(client, "acme/void")
    hub.reset()
    got = fetch(client, found, tmp_path)
    assert got["train"][0].read_bytes() == b""
    assert [path.rpartition("/")[2] for path in body_requests(hub)] == ["test.txt"]


def test_a_cancel_is_felt_while_a_copy_is_hashed(client, hub, found, cache, tmp_path):
    fill(cache, found, {"train.jsonl.gz": noise(MB)})

    class CancelledSoon(Progress):
        def advance(self, units: int = 1, *, measured: bool = True) -> None:
            self.cancel()
            super().advance(units, measured=measured)

    with pytest.raises(JobCancelled):
        fetch(client, found, tmp_path, progress=CancelledSoon())
    assert received(tmp_path) == []


def test_a_hash_that_is_no_hash_never_names_a_file(client, found, tmp_path):
    forged = HubFile("train.txt", "train", 1, "../../evil", None, "text")
    with pytest.raises(UnsupportedRepoError, match="without a hash"):
        fetch(client, HubPlan(found.plan, (forged,)), tmp_path / "partial")
    assert not (tmp_path / "partial").exists()


def test_a_disk_that_fills_keeps_what_came(client, hub, found, tmp_path):
    # the kernel's own "no space left on device" for one of the two files
    (full,) = (f for f in found.files if f.path == "test.jsonl")
    (tmp_path / f"{full.content_hash}.part").symlink_to("/dev/full")
    with pytest.raises(InsufficientDiskSpaceError, match=r"test\.jsonl"):
        fetch(client, found, tmp_path)
    (tmp_path / f"{full.content_hash}.part").unlink()
    got = fetch(client, found, tmp_path)
    assert got["train"][0].read_bytes() == noise(MB)
