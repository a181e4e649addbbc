"""A catalog made anew from manifests and receipts."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest
from crash.damage import facts_of
from hub_server import HubServer
from test_manager_downloads import FILES, REPO

from mistudio_widgets import DatasetManager
from mistudio_widgets.errors import (
    CatalogDamagedError,
    CatalogVersionError,
    InvalidRequestError,
    ReadOnlyError,
)
from mistudio_widgets.records import DatasetRecord, new_dataset_id


@pytest.fixture
def dataset(manager: DatasetManager, tmp_path: Path) -> DatasetRecord:
    path = tmp_path / "texts.txt"
    path.write_text("one\ntwo\n")
    record: DatasetRecord = manager.import_files(path, name="Zürich 東京").wait(60)
    return record


def _lose_catalog(data_dir: Path) -> None:
    for path in data_dir.glob("catalog.duckdb*"):
        path.unlink()


def test_a_damaged_catalog_is_rebuilt_under_a_living_manager(
    manager: DatasetManager, dataset: DatasetRecord, tokenizer_path: Path
) -> None:
    made = manager.tokenize(dataset.id, tokenizer=str(tokenizer_path), max_length=4).wait(60)
    before = facts_of(manager.get_dataset(dataset.id))
    catalog = manager.data_dir / "catalog.duckdb"
    catalog.write_bytes(catalog.read_bytes()[:20_000])
    with DatasetManager(manager.data_dir, read_only=True) as reader:
        with pytest.raises(CatalogDamagedError) as caught:
            reader.list_datasets()
        assert "rebuild()" in str(caught.value.hint)
        report = manager.rebuild()
        assert (report.datasets, report.tokenizations) == ((dataset.id,), (made.id,))
        assert report.damaged == ()
        assert report.set_aside is not None
        assert (Path(report.set_aside) / "catalog.duckdb").stat().st_size == 20_000
        assert reader.list_datasets().total == 1
    assert facts_of(manager.get_dataset(dataset.id)) == before
    assert manager.get_tokenization(made.id) == made
    assert manager.cleanup() == 0


def test_a_whole_catalog_is_kept(manager: DatasetManager, dataset: DatasetRecord) -> None:
    before = manager.get_dataset(dataset.id)
    report = manager.rebuild()
    assert (report.datasets, report.damaged, report.set_aside) == ((), (), None)
    assert manager.get_dataset(dataset.id) == before
    assert len(manager.jobs(active=False)) == 1


@pytest.mark.parametrize("read_only", [False, True])
def test_a_newer_catalog_is_refused_and_left_as_it_is(
    manager: DatasetManager, dataset: DatasetRecord, read_only: bool
) -> None:
    with manager._parts.catalog.write() as writer:
        writer._cursor.execute("INSERT INTO catalog.schema_version VALUES (9, now()::TIMESTAMP)")
    before = (manager.data_dir / "catalog.duckdb").read_bytes()
    with pytest.raises(CatalogVersionError, match="version 9; this package knows") as caught:
        DatasetManager(manager.data_dir, read_only=read_only).list_datasets()
    assert "Upgrade mistudio_widgets" in str(caught.value.hint)
    assert (manager.data_dir / "catalog.duckdb").read_bytes() == before
    assert len(list((manager.data_dir / "owners").iterdir())) == 1
    assert not (manager.data_dir / "damaged").exists()


def test_a_lost_catalog_is_told_of(
    data_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.txt").write_text("one\n")
    with DatasetManager(data_dir) as manager:
        manager.import_files(tmp_path / "a.txt").wait(60)
    _lose_catalog(data_dir)
    with caplog.at_level(logging.WARNING), DatasetManager(data_dir) as manager:
        assert manager.list_datasets().total == 1
    assert "1 datasets and 0 tokenizations" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING), DatasetManager(data_dir):
        assert caplog.text == ""


def test_what_is_not_whole_comes_back_as_an_error(
    manager: DatasetManager, dataset: DatasetRecord, tokenizer_path: Path
) -> None:
    made = manager.tokenize(dataset.id, tokenizer=str(tokenizer_path), max_length=4).wait(60)
    folder = manager.data_dir / "datasets" / dataset.id
    (file,) = (folder / "raw").iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    (folder / "tokenized" / made.id / "train.pt").unlink()
    _lose_catalog(manager.data_dir)
    report = manager.rebuild()
    assert (report.datasets, report.tokenizations) == ((dataset.id,), ())
    assert report.damaged == (dataset.id,)
    found = manager.get_dataset(dataset.id)
    assert (found.name, found.status, found.error_code) == (dataset.name, "error", "corrupt_file")
    with pytest.raises(InvalidRequestError):
        manager.load(dataset.id)


def test_what_was_under_repair_comes_back_as_an_error(
    manager: DatasetManager, dataset: DatasetRecord
) -> None:
    manager._parts.storage.set_manifest_aside(dataset.id)
    _lose_catalog(manager.data_dir)
    assert manager.rebuild().damaged == (dataset.id,)
    assert manager.get_dataset(dataset.id).status == "error"


def test_what_the_catalog_calls_ready_and_is_gone_is_an_error(
    manager: DatasetManager, dataset: DatasetRecord, tokenizer_path: Path
) -> None:
    made = manager.tokenize(dataset.id, tokenizer=str(tokenizer_path), max_length=4).wait(60)
    shutil.rmtree(manager.data_dir / "datasets" / dataset.id)
    report = manager.rebuild()
    assert report.damaged == (dataset.id, made.id)
    assert manager.get_dataset(dataset.id).error_code == "corrupt_file"
    assert manager.get_tokenization(made.id).status == "error"
    assert manager.rebuild().damaged == ()
    manager.delete_dataset(dataset.id)


def test_a_folder_under_another_id_is_not_taken_up(
    manager: DatasetManager, dataset: DatasetRecord
) -> None:
    folder = manager.data_dir / "datasets"
    shutil.copytree(folder / dataset.id, folder / new_dataset_id())
    (folder / new_dataset_id()).mkdir()
    assert manager.rebuild().datasets == ()
    assert manager.list_datasets().total == 1


def test_a_download_that_was_taken_up_can_be_repaired(
    manager: DatasetManager, hub: HubServer
) -> None:
    hub.add("dataset", REPO, FILES)
    made = manager.download(REPO, split="test").wait(60)
    (file,) = (manager.data_dir / "datasets" / made.id / "raw").rglob("*.parquet")
    _lose_catalog(manager.data_dir)
    assert manager.rebuild().datasets == (made.id,)
    content = file.read_bytes()
    file.write_bytes(bytes(len(content)))
    assert manager.verify(made.id).wait(60).damaged
    assert manager.retry(made.id).wait(60).status == "ready"
    assert file.read_bytes() == content


def test_a_read_only_manager_rebuilds_nothing(data_dir: Path) -> None:
    DatasetManager(data_dir).close()
    with DatasetManager(data_dir, read_only=True) as reader, pytest.raises(ReadOnlyError):
        reader.rebuild()
