import hashlib
import threading
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hub_calls import Impatient, body_requests, fetch, files_below, our_threads, plan, received
from hub_fixtures import READER_TOKEN, STRANGER_TOKEN, lines, parquet
from hub_server import SIGNATURE

from mistudio_widgets.errors import (
    CorruptFileError,
    GatedRepoError,
    HubError,
    HubUnavailableError,
    InsufficientDiskSpaceError,
    StorageError,
    TokenizerNotFoundError,
    UnsupportedRepoError,
)
from mistudio_widgets.hub import BandwidthLimit, Hub, HubFile, HubPlan
from mistudio_widgets.hub._client import RepoClient
from mistudio_widgets.hub._faults import Repo
from mistudio_widgets.hub._fetch import fetch_files
from mistudio_widgets.progress import Progress

ROOT = Path(__file__).parent.parent


# --- fetching


def test_fetched_files_are_the_repositorys_own(client, hub, tmp_path):
    found = plan(client, "acme/stories", config="en")
    progress = Progress()
    got = fetch(client, found, tmp_path, progress=progress)
    assert list(got) == ["train", "test"]
    train = [p.relative_to(tmp_path / "files").as_posix() for p in got["train"]]
    assert train == list(found.plan.files[:3])
    texts = [t for p in got["train"] for t in pq.read_table(p)["text"].to_pylist()]
    assert texts == [*lines(10), *lines(11), *lines(9)]
    assert received(tmp_path) == sorted(found.plan.files)
    state = progress.state()
    assert (state.phase, state.unit) == ("downloading", "bytes")
    assert state.done == state.total == found.plan.download_bytes
    assert state.fraction == 1.0


def test_small_files_are_verified_by_their_git_hash(client, tmp_path):
    got = fetch(client, plan(client, "acme/notes"), tmp_path)
    assert [p.read_bytes() for p in got["train"]] == [b"one\ntwo\n"]
    assert [p.read_bytes() for p in got["test"]] == [b"three\n"]


def test_unusual_file_names_keep_their_names(client, tmp_path):
    found = plan(client, "acme/odd-names")
    fetch(client, found, tmp_path)
    assert received(tmp_path) == [
        "data/train #2?.txt",
        "data/train part (1) ünï & 50%.txt",
    ]


def test_the_share_of_the_job_is_the_callers(client, tmp_path):
    progress = Progress()
    found = plan(client, "acme/notes")
    client.fetch(found, tmp_path, hf_token=False, progress=progress, share=0.25)
    assert progress.state().fraction == 0.25


def test_the_planned_commit_is_fetched_even_when_the_branch_moved(client, hub, tmp_path):
    repo = hub.add("dataset", "acme/racing", {"train.txt": b"old\n"})
    found = plan(client, "acme/racing")
    repo.commit({"train.txt": b"new\n"})
    got = fetch(client, found, tmp_path)
    assert got["train"][0].read_bytes() == b"old\n"


def test_a_token_never_reaches_the_second_origin(client, hub, tmp_path):
    hub.repo("dataset", "acme/private").commit({"train.parquet": parquet(lines(3))})
    found = plan(client, "acme/private", hf_token=READER_TOKEN)
    fetch(client, found, tmp_path, hf_token=READER_TOKEN)
    assert {r.token for r in hub.requests if r.origin == "hub"} == {READER_TOKEN}
    assert {r.token for r in hub.requests if r.origin == "cdn"} == {None}
    hub.repo("dataset", "acme/private").commit({"train.txt": b"mine\n"})


@pytest.mark.parametrize(
    "path", ["../evil.txt", "/tmp/evil.txt", "a/../../evil.txt", "a\\evil.txt"]
)
def test_a_forged_plan_cannot_write_outside(client, tmp_path, path):
    found = plan(client, "plain")
    forged = HubPlan(found.plan, (HubFile(path, "train", 1, None, "0" * 40, "text"),))
    into = tmp_path / "into"
    into.mkdir()
    with pytest.raises(UnsupportedRepoError):
        fetch(client, forged, into)
    assert files_below(tmp_path) == []


@pytest.mark.parametrize("what", [{"status": 503}, {"drop_after": 0}])
@pytest.mark.parametrize("repo_id", ["acme/v1.5.dots", "plain"])
def test_a_broken_transfer_is_tried_again(client, hub, tmp_path, repo_id, what):
    found = plan(client, repo_id)
    hub.add_fault(found.files[0].path.rpartition("/")[2], **what)
    progress = Impatient()
    fetch(client, found, tmp_path, progress=progress)
    assert received(tmp_path) == list(found.plan.files)
    assert progress.state().done == found.plan.download_bytes


def test_bytes_that_come_twice_are_counted_once(client, hub, tmp_path):
    hub.add("dataset", "acme/long", {"train.txt": b"line\n" * 20_000})
    found = plan(client, "acme/long")
    hub.add_fault("train.txt", drop_after=64 * 1024)
    progress = Impatient()
    fetch(client, found, tmp_path, progress=progress)
    assert progress.state().done == found.plan.download_bytes == 100_000


def test_corruption_of_the_same_length_is_repaired_once(client, hub, tmp_path):
    hub.add_fault("test-00000-of-00001.parquet", corrupt=True)
    found = plan(client, "acme/stories", config="en", splits=("test",))
    (file,) = fetch(client, found, tmp_path)["test"]
    assert hashlib.sha256(file.read_bytes()).hexdigest() == found.files[0].sha256


@pytest.mark.parametrize("repo_id", ["acme/v1.5.dots", "plain"])
def test_lasting_corruption_names_the_file_and_leaves_nothing(client, hub, tmp_path, repo_id):
    found = plan(client, repo_id)
    hub.add_fault(found.files[0].path.rpartition("/")[2], corrupt=True, times=9)
    with pytest.raises(CorruptFileError) as caught:
        fetch(client, found, tmp_path)
    assert caught.value.path == found.plan.files[0]
    assert files_below(tmp_path) == []


def test_a_body_longer_than_listed_is_stopped(client, hub, tmp_path):
    found = plan(client, "plain")
    short = HubFile("data.csv", "train", 3, None, "0" * 40, "csv")
    with pytest.raises(HubUnavailableError, match=r"data\.csv"):
        fetch(client, HubPlan(found.plan, (short,)), tmp_path)
    assert files_below(tmp_path / "files") == []


def test_a_body_that_was_compressed_on_the_way_is_named(client, hub, tmp_path):
    hub.add_fault("data.csv", status=200, body=b"x", headers={"Content-Encoding": "gzip"}, times=9)
    with pytest.raises(HubError, match="compressed"):
        fetch(client, plan(client, "plain"), tmp_path)


def test_a_listed_file_that_is_not_there_is_named(client, tmp_path):
    found = plan(client, "plain")
    gone = HubFile("gone.csv", "train", 3, None, "0" * 40, "csv")
    with pytest.raises(UnsupportedRepoError, match=r"gone\.csv"):
        fetch(client, HubPlan(found.plan, (gone,)), tmp_path)


def test_access_that_was_withdrawn_stops_the_fetch(client, hub, tmp_path):
    found = plan(client, "acme/gated", hf_token=READER_TOKEN)
    hub.reset()
    with pytest.raises(GatedRepoError):
        fetch(client, found, tmp_path, hf_token=STRANGER_TOKEN)
    assert received(tmp_path) == []
    assert len(body_requests(hub)) == 1


def test_a_folder_that_cannot_be_written_is_a_storage_error(client, tmp_path):
    found = plan(client, "acme/odd-names")
    (tmp_path / "partial").write_text("a file where a folder should be")
    with pytest.raises(StorageError) as caught:
        fetch(client, found, tmp_path / "partial")
    assert type(caught.value) is StorageError
    assert caught.value.hint


def test_signed_addresses_stay_out_of_errors(client, hub, tmp_path):
    found = plan(client, "acme/v1.5.dots")
    hub.add_fault("train.jsonl.gz", drop_after=0, times=99)
    with pytest.raises(HubUnavailableError) as caught:
        fetch(client, found, tmp_path)
    chain: BaseException | None = caught.value
    while chain is not None:
        assert SIGNATURE not in f"{chain!r} {chain}"
        chain = chain.__cause__


def test_a_tokenizer_comes_with_its_companions_and_without_weights(client):
    folder = client.fetch_tokenizer("acme/tiny-bpe", hf_token=False)
    assert sorted(p.name for p in folder.iterdir()) == [
        "config.json",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]


def test_a_slow_tokenizer_brings_its_own_files(client):
    folder = client.fetch_tokenizer("acme/slow", hf_token=False)
    assert sorted(p.name for p in folder.iterdir()) == ["config.json", "merges.txt", "vocab.json"]


def test_a_cached_tokenizer_needs_no_network(client, hub):
    folder = client.fetch_tokenizer("acme/tiny-bpe", hf_token=False)
    hub.add_fault("acme/tiny-bpe", status=503, times=3)
    assert client.fetch_tokenizer("acme/tiny-bpe", hf_token=False) == folder


def test_an_uncached_tokenizer_without_network_says_so(client, hub):
    hub.add_fault("acme/never-seen", status=503, times=3)
    with pytest.raises(HubUnavailableError):
        client.fetch_tokenizer("acme/never-seen", hf_token=False)


@pytest.mark.parametrize("repo_id", ["acme/no-tokenizer", "acme/no-model"])
def test_what_is_no_tokenizer_is_not_found(client, repo_id):
    with pytest.raises(TokenizerNotFoundError) as caught:
        client.fetch_tokenizer(repo_id, hf_token=False)
    assert repo_id in str(caught.value)
    assert caught.value.hint


def test_a_tokenizer_that_cannot_be_reached_is_no_dataset_to_import(client, hub):
    hub.add_fault("acme/far-model", gate=(gate := threading.Event()))
    with pytest.raises(HubUnavailableError) as caught:
        Hub(hub.url, timeout_s=0.2).fetch_tokenizer("acme/far-model", hf_token=False)
    gate.set()
    assert "acme/far-model" in str(caught.value)
    assert "tokenizer.json" in caught.value.hint
    assert "import" not in caught.value.hint


def test_a_gated_model_names_the_page_that_gives_access(client, hub):
    with pytest.raises(GatedRepoError, match=f"{hub.url}/acme/gated-model"):
        client.fetch_tokenizer("acme/gated-model", hf_token=False)
    assert client.fetch_tokenizer("acme/gated-model", hf_token=READER_TOKEN).is_dir()


def test_a_full_disk_says_what_is_needed(client, tmp_path):
    found = plan(client, "plain")
    (file,) = found.files
    # the kernel's own "no space left on device"
    (tmp_path / f"{file.git_sha1}.part").symlink_to("/dev/full")
    with pytest.raises(InsufficientDiskSpaceError) as caught:
        fetch(client, found, tmp_path)
    assert caught.value.required_bytes == file.size_bytes
    assert caught.value.available_bytes > 0
    assert caught.value.hint
    assert our_threads() == []


def test_a_full_cache_is_a_storage_error(client, hub, hf_home):
    hub.add("model", "acme/blocked", {"tokenizer.json": b"{}"})
    blocked = hf_home / "hub" / "models--acme--blocked"
    blocked.parent.mkdir(exist_ok=True)
    blocked.write_text("a file where a folder should be")
    with pytest.raises(StorageError, match="HuggingFace cache"):
        client.fetch_tokenizer("acme/blocked", hf_token=False)


def test_a_hub_that_went_away_is_tried_again_before_giving_up(client, tmp_path):
    found = plan(client, "plain")
    gone = RepoClient(Repo("http://127.0.0.1:9", "dataset", "plain"), False)
    progress = Impatient()
    with pytest.raises(HubUnavailableError, match=r"Cannot reach the hub .* for plain"):
        fetch_files(gone, found, tmp_path, progress, limit=BandwidthLimit(), copies=())
    # five tries, so four waits: of 2, 4, 8 and 16 s, each shortened by at most a half
    assert 15 <= progress.waited_s <= 31
