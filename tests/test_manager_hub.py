"""Downloads and hub tokenizers through the manager, from a real server on loopback."""

from __future__ import annotations

import io
import logging
import tarfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub_fixtures import READER_TOKEN
from hub_server import SIGNATURE, HubServer

from mistudio_widgets import DatasetManager, DatasetsPanel
from mistudio_widgets.errors import (
    AlreadyExistsError,
    GatedRepoError,
    InsufficientDiskSpaceError,
    InvalidRequestError,
    MiStudioError,
    NotFoundError,
    RepoNotFoundError,
    SplitNotFoundError,
    TokenizerNotFoundError,
)
from mistudio_widgets.records import new_dataset_id


def test_a_plan_tells_what_would_be_fetched(manager: DatasetManager, hub: HubServer) -> None:
    plan = manager.plan_download("acme/stories", config="en", split="train")
    assert (plan.config, plan.splits) == ("en", ("train",))
    assert plan.download_bytes > 0
    assert plan.fits
    with pytest.raises(SplitNotFoundError):
        manager.plan_download("acme/stories", config="en", split="nope")


def test_parquet_is_used_as_it_came(manager: DatasetManager, hub: HubServer) -> None:
    job = manager.download("acme/stories", config="en", split="train")
    assert manager.get_dataset(job.dataset_id).source == "huggingface"
    record = job.wait(60)
    assert (record.status, record.commit is not None) == ("ready", True)
    assert list(record.split_info) == ["train"]
    assert record.description
    download = record.metadata.download
    assert download is not None
    assert (download.repo_id, download.config) == ("acme/stories", "en")
    assert len(manager.load(record.id, "train")) == record.num_samples
    assert list((manager.data_dir / "staging").iterdir()) == []


@pytest.mark.parametrize(
    ("repo_id", "rows"),
    [("acme/notes", {"train": 2, "test": 1}), ("acme/v1.5.dots", {"train": 4})],
)
def test_other_formats_become_parquet(
    manager: DatasetManager, hub: HubServer, repo_id: str, rows: dict[str, int]
) -> None:
    record = manager.download(repo_id).wait(60)
    assert record.split_info == rows
    folder = manager.data_dir / "datasets" / record.id / "raw"
    assert {path.suffix for path in folder.rglob("*") if path.is_file()} == {".parquet"}


def test_the_same_download_is_one_dataset(manager: DatasetManager, hub: HubServer) -> None:
    first = manager.download("acme/notes").wait(60)
    with pytest.raises(AlreadyExistsError) as caught:
        manager.download("acme/notes")
    assert caught.value.existing_id == first.id
    same_commit = manager.download("acme/notes", revision="main")
    with pytest.raises(AlreadyExistsError) as caught:
        same_commit.wait(60)
    assert caught.value.existing_id == first.id
    assert manager.list_datasets().total == 1
    assert manager.download("acme/notes", split="test").wait(60).id != first.id


def test_the_same_request_goes_on_with_a_failed_row(
    manager: DatasetManager, hub: HubServer
) -> None:
    job = manager.download("acme/gated", hf_token=False)
    with pytest.raises(GatedRepoError):
        job.wait(60)
    failed = manager.get_dataset(job.dataset_id)
    assert (failed.status, failed.error_code) == ("error", "gated")
    again = manager.download("acme/gated", hf_token=READER_TOKEN)
    assert again.dataset_id == failed.id
    assert again.wait(60).status == "ready"
    assert manager.list_datasets().total == 1


def test_tokens_and_signed_addresses_are_told_nowhere(
    manager: DatasetManager, hub: HubServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "mistudio_widgets")
    secrets = (READER_TOKEN, SIGNATURE, str(Path.home()))
    panel = DatasetsPanel(manager)
    told: list[str] = []
    manager.subscribe(lambda event: told.append(event.model_dump_json()))
    file = io.BytesIO()
    pq.write_table(pa.table({"text": ["a", "b"]}), file)
    files = {"train.parquet": file.getvalue()}
    hub.add("dataset", "acme/signed", files, gated=True, readers={READER_TOKEN})
    # the signed address is refused until nobody tries any more
    hub.add_fault(".parquet", times=100, status=403, origin="cdn")
    failing = manager.download("acme/signed", hf_token=READER_TOKEN)
    with pytest.raises(MiStudioError) as caught:
        failing.wait(120)
    told += [str(caught.value), repr(caught.value), repr(failing), str(panel.get_state())]
    told += [path.read_text() for path in manager.data_dir.glob("jobs/*.json")]
    hub.reset()
    manager.retry(failing.dataset_id, hf_token=READER_TOKEN).wait(60)
    told += [str(panel.get_state()), caplog.text]
    panel.close()
    manager.close()
    for secret in secrets:
        assert not [text for text in told if secret in text]
        for path in manager.data_dir.rglob("*"):
            if path.is_file():
                assert secret.encode() not in path.read_bytes(), path


def test_a_failed_download_can_be_retried(manager: DatasetManager, hub: HubServer) -> None:
    job = manager.download("acme/private", hf_token=False)
    with pytest.raises(RepoNotFoundError):
        job.wait(60)
    retried = manager.retry(job.dataset_id, hf_token=READER_TOKEN)
    assert retried.wait(60).status == "ready"


def test_a_disk_that_is_too_small_is_refused_before_the_first_byte(
    manager: DatasetManager, hub: HubServer
) -> None:
    manager._parts.storage.reserve_bytes = 2**60
    job = manager.download("acme/notes")
    with pytest.raises(InsufficientDiskSpaceError):
        job.wait(60)
    assert not any(
        "/resolve/" in request.path and "train" in request.path for request in hub.requests
    )
    assert manager.get_dataset(job.dataset_id).error_code == "disk_full"


def test_tokenization_follows_a_download_and_takes_a_hub_tokenizer(
    manager: DatasetManager, hub: HubServer
) -> None:
    record = manager.download("acme/notes").wait(60)
    job = manager.tokenize(record.id, tokenizer="acme/tiny-bpe", max_length=8)
    provisional = job.tokenization_id
    done = job.wait(60)
    assert done.tokenizer_name == "acme/tiny-bpe"
    assert job.tokenization_id == done.id != provisional
    assert [item.id for item in manager.list_tokenizations(record.id)] == [done.id]
    again = manager.tokenize(record.id, tokenizer="acme/tiny-bpe", max_length=8)
    assert again.wait(60).id == done.id
    assert [item.id for item in manager.list_tokenizations(record.id)] == [done.id]


def test_a_tokenizer_without_a_fast_file_is_converted(
    manager: DatasetManager, hub: HubServer
) -> None:
    record = manager.download("acme/notes").wait(60)
    done = manager.tokenize(record.id, tokenizer="acme/slow", max_length=8).wait(120)
    assert done.status == "ready"


def test_a_hub_tokenizer_that_is_not_there_is_told_on_its_row(
    manager: DatasetManager, hub: HubServer, tmp_path: Path
) -> None:
    record = manager.download("acme/notes").wait(60)
    job = manager.tokenize(record.id, tokenizer="acme/no-tokenizer")
    with pytest.raises(TokenizerNotFoundError):
        job.wait(60)
    (failed,) = manager.list_tokenizations(record.id)
    assert (failed.status, failed.error_code) == ("error", "tokenizer_not_found")
    assert manager.get_dataset(record.id).status == "ready"
    with pytest.raises(MiStudioError):
        manager.load_tokens(failed.id, "train")


def test_a_webdataset_becomes_a_dataset(manager: DatasetManager, hub: HubServer) -> None:
    files = {"README.md": b"# Captions\n"}
    for shard in range(3):
        captions = [(f"{shard}{n:03}.txt", f"caption {shard} {n}".encode()) for n in range(20)]
        files[f"data/train-{shard:04}.tar"] = _tar([*captions, (f"{shard}x.jpg", b"\xff\xd8")])
    files["data/test-0000.tar"] = _tar([("t.json", b'{"caption": "one"}'), ("t.txt", b"two")])
    hub.add("dataset", "acme/captions", files)
    record = manager.download("acme/captions").wait(60)
    assert record.split_info == {"train": 63, "test": 1}
    assert record.text_column == "txt"
    assert record.columns == {"__key__": "string", "txt": "string", "caption": "string"}
    rows = manager.load(record.id, "train")
    assert rows[1]["txt"] == "caption 0 1"
    assert rows[62] == {"__key__": "2x", "txt": None, "caption": None}
    download = record.metadata.download
    assert download is not None
    assert download.num_skipped_files == 3
    assert download.skipped_files == [
        f"train-{n:04}.tar: 1 .jpg members, not text" for n in range(3)
    ]


def _tar(members: list[tuple[str, bytes]]) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return sink.getvalue()


def test_names_that_look_like_globs_are_one_file_each(
    manager: DatasetManager, hub: HubServer
) -> None:
    names = ("data[1].csv", "data1.csv", "x*.csv", "xy.csv", "[z]/q?.csv")
    files = {f"train/{name}": f"text\n{name}\n".encode() for name in names}
    hub.add("dataset", "acme/globs", files)
    record = manager.download("acme/globs").wait(60)
    texts = manager.load(record.id, "train")["text"]
    assert sorted(texts) == sorted(names)


class _Unknown:
    """Of no type that anything takes."""


_NO_NAMES = (5, 0, 2.5, b"x", [], {}, {"a": 1}, True, object, _Unknown(), "a\x00b", "a\ud800b")
_WRONG = {
    "repo_id": (*_NO_NAMES, None, "", "a b", ["acme/notes"]),
    "config": (*_NO_NAMES, "x" * 501, ["en"]),
    "split": (5, 0, 2.5, b"x", {"a": 1}, {"a"}, True, [5], ["a", None], "a\x00b", "x" * 501),
    "revision": (*_NO_NAMES, "x" * 501),
    "hf_token": (5, 0, 2.5, b"hf_secretInBytes", [], ["hf_secretInList"], object, _Unknown()),
    "name": (5, 0, 2.5, b"x", [], ["a"], {}, True, object, "  ", "x" * 501, "a\ud800b"),
    "tokenize": (5, 0, 2.5, b"x", [], ["a"], True, object, "gpt2"),
}


def _refused(call: Callable[..., object], field: str, value: object, **given: object) -> str:
    with pytest.raises(InvalidRequestError) as caught:
        call(**{**given, field: value})
    assert caught.value.field == field, repr(value)
    return str(caught.value)


@pytest.mark.parametrize("field", _WRONG)
def test_what_is_no_argument_of_a_download_is_refused_by_its_name(
    manager: DatasetManager, hub: HubServer, field: str
) -> None:
    calls: list[Callable[..., object]] = [manager.download]
    if field not in ("name", "tokenize"):
        calls.append(manager.plan_download)
    for call in calls:
        for value in _WRONG[field]:
            message = _refused(call, field, value, repo_id="acme/notes")
            assert "hf_secret" not in message
            assert len(message) < 500
    assert manager.list_datasets().total == 0
    assert hub.requests == []


def test_what_is_no_argument_of_a_retry_is_refused_by_its_name(manager: DatasetManager) -> None:
    for value in _WRONG["hf_token"]:
        given = {"dataset_id": new_dataset_id()}
        assert "hf_secret" not in _refused(manager.retry, "hf_token", value, **given)
    for value in (5, 2.5, b"x", [], {}, None, True, _Unknown()):
        for call in (manager.retry, manager.verify, manager.get_dataset):
            _refused(call, "dataset_id", value)
    with pytest.raises(NotFoundError):
        manager.retry("ds_\ud800")


def test_blank_fields_of_a_form_are_none(manager: DatasetManager) -> None:
    given = {"config": "", "split": " ", "revision": "", "hf_token": " "}
    plan = manager.plan_download("acme/notes", **given)
    assert plan.splits == ("train", "test")
    job = manager.download("acme/notes", name="", **given)
    assert job.wait(60).name == "acme/notes"


@pytest.mark.parametrize("field", ["repo_id", "config", "split", "revision", "name"])
def test_a_token_in_the_wrong_field_is_kept_nowhere(
    manager: DatasetManager, hub: HubServer, field: str
) -> None:
    token = "hf_" + "AbCdEfGhIj" * 4
    given = {"repo_id": "acme/stories", field: token}
    with pytest.raises(InvalidRequestError, match="looks like a HuggingFace token") as caught:
        manager.download(**given)
    assert caught.value.field == field
    assert token not in str(caught.value)
    assert manager.list_datasets().total == 0
    assert not any(token.encode() in path.read_bytes() for path in _files(manager.data_dir))
    assert hub.requests == []


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
