"""What a process that died left behind: states that a kill can leave, made by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from mistudio_widgets import DatasetManager
from mistudio_widgets.catalog import JobRow
from mistudio_widgets.errors import InUseError
from mistudio_widgets.records import (
    DatasetRecord,
    JobSnapshot,
    TokenizationRecord,
    new_job_id,
    utc_now,
)


@pytest.fixture
def dataset(manager: DatasetManager, tmp_path: Path) -> DatasetRecord:
    path = tmp_path / "texts.txt"
    path.write_text("one\ntwo\n")
    record: DatasetRecord = manager.import_files(path).wait(60)
    return record


@pytest.fixture
def tokenization(
    manager: DatasetManager, dataset: DatasetRecord, tokenizer_path: Path
) -> TokenizationRecord:
    job = manager.tokenize(dataset.id, tokenizer=str(tokenizer_path), max_length=4)
    record: TokenizationRecord = job.wait(60)
    return record


def _orphan_job(manager: DatasetManager, dataset_id: str, **fields: object) -> str:
    snapshot = JobSnapshot.model_validate(
        {
            "id": new_job_id(),
            "kind": "import",
            "dataset_id": dataset_id,
            "state": "running",
            "created_at": utc_now(),
            **fields,
        }
    )
    with manager._parts.catalog.write() as writer:
        writer.insert_job(JobRow(snapshot, owner_id="0" * 32, request=None))
    return snapshot.id


def _status(manager: DatasetManager, dataset_id: str, *walk: str) -> None:
    for status in walk:
        with manager._parts.catalog.write() as writer:
            writer.update_dataset(dataset_id, status=status)


def test_a_manifest_proves_that_an_import_was_done(
    manager: DatasetManager, dataset: DatasetRecord
) -> None:
    _status(manager, dataset.id, "error", "processing")
    job_id = _orphan_job(manager, dataset.id)
    with DatasetManager(manager.data_dir) as next_one:
        record = next_one.get_dataset(dataset.id)
        assert (record.status, record.num_samples) == ("ready", 2)
        states = {job.id: job.state for job in next_one.jobs(active=False)}
        assert states[job_id] == "succeeded"


def test_what_a_published_download_left_is_removed(
    manager: DatasetManager, dataset: DatasetRecord
) -> None:
    _status(manager, dataset.id, "error", "downloading")
    _orphan_job(manager, dataset.id, kind="download")
    folder = manager.data_dir / "datasets" / dataset.id
    (file,) = (folder / "raw").iterdir()
    (folder / "partial").mkdir()
    (folder / "partial" / "0123").hardlink_to(file)
    with DatasetManager(manager.data_dir) as next_one:
        assert next_one.get_dataset(dataset.id).status == "ready"
        assert {path.name for path in folder.iterdir()} == {"raw", "manifest.json"}
        assert len(next_one.load(dataset.id, "train")) == 2


def test_what_another_recovery_did_not_get_to_remove_is_removed(
    manager: DatasetManager, dataset: DatasetRecord, tokenization: TokenizationRecord
) -> None:
    folder = manager.data_dir / "datasets" / dataset.id
    for left in ("partial", f"tokenized/{tokenization.id}.partial"):
        (folder / left).mkdir()
        (folder / left / "0123").write_bytes(b"abc")
    (folder / ".manifest.json.0123.tmp").write_bytes(b"{")
    proof = manager.data_dir / "tokenizers" / "proof-0123.456.tmp"
    proof.parent.mkdir(exist_ok=True)
    # a process that knows the proof already writes none
    proof.parent.mkdir(exist_ok=True)
    proof.write_bytes(b"{")
    with DatasetManager(manager.data_dir):
        assert not proof.exists()
        assert {path.name for path in folder.iterdir()} == {"raw", "manifest.json", "tokenized"}
        assert [path.name for path in (folder / "tokenized").iterdir()] == [tokenization.id]
        assert list((manager.data_dir / "staging").iterdir()) == []


def test_a_manifest_that_is_being_written_is_left(
    manager: DatasetManager, dataset: DatasetRecord
) -> None:
    job_id = _orphan_job(manager, dataset.id, kind="download")
    manager._parts.own_jobs.add(job_id)
    with manager._parts.catalog.write() as writer:
        row = writer.find_job(job_id)
        assert row is not None
        writer.delete_job(job_id)
        writer.insert_job(JobRow(row.snapshot, owner_id=manager._parts.owner_id, request=None))
    path = manager.data_dir / "datasets" / dataset.id / ".manifest.json.0123.tmp"
    path.write_bytes(b"{")
    with DatasetManager(manager.data_dir):
        assert path.exists()


@pytest.mark.parametrize("state", ["running", "paused"])
def test_what_an_unfinished_download_fetched_stays(
    manager: DatasetManager, dataset: DatasetRecord, state: str
) -> None:
    _status(manager, dataset.id, "error", "downloading")
    job_id = _orphan_job(manager, dataset.id, kind="download", state=state, progress=30.0)
    folder = manager.data_dir / "datasets" / dataset.id
    (folder / "manifest.json").unlink()
    (folder / "partial").mkdir()
    (folder / "partial" / "0123.part").write_bytes(b"abc")
    with DatasetManager(manager.data_dir) as next_one:
        assert (folder / "partial" / "0123.part").read_bytes() == b"abc"
        record = next_one.get_dataset(dataset.id)
        assert record.status == ("downloading" if state == "paused" else "error")
        assert [job.id for job in next_one.jobs()] == ([job_id] if state == "paused" else [])


def test_a_job_that_could_not_say_that_it_ended_blocks_nothing(
    manager: DatasetManager, dataset: DatasetRecord
) -> None:
    _status(manager, dataset.id, "error", "processing")
    (manager.data_dir / "datasets" / dataset.id / "manifest.json").unlink()
    job_id = _orphan_job(manager, dataset.id)
    with manager._parts.catalog.write() as writer:
        row = writer.find_job(job_id)
        assert row is not None
        writer.delete_job(job_id)
        writer.insert_job(JobRow(row.snapshot, owner_id=manager._parts.owner_id, request=None))
    record = manager.get_dataset(dataset.id)
    assert (record.status, record.error_code) == ("error", "interrupted")
    assert manager.jobs() == []
    assert manager.delete_dataset(dataset.id) > 0


def test_an_interrupted_verification_harms_nothing(
    manager: DatasetManager, dataset: DatasetRecord
) -> None:
    job_id = _orphan_job(manager, dataset.id, kind="verify")
    with DatasetManager(manager.data_dir, read_only=True) as reader:
        assert reader.get_dataset(dataset.id).status == "ready"
    with DatasetManager(manager.data_dir) as next_one:
        assert next_one.get_dataset(dataset.id).status == "ready"
        states = {job.id: job.state for job in next_one.jobs(active=False)}
        assert states[job_id] == "failed"


def test_a_manifest_whose_file_is_cut_proves_nothing(
    manager: DatasetManager, dataset: DatasetRecord
) -> None:
    _status(manager, dataset.id, "error", "downloading")
    _orphan_job(manager, dataset.id, kind="download", progress=45.2)
    (file,) = (manager.data_dir / "datasets" / dataset.id / "raw").iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    with DatasetManager(manager.data_dir) as next_one:
        record = next_one.get_dataset(dataset.id)
        assert (record.status, record.error_code) == ("error", "interrupted")
        assert record.error_message == "Interrupted at 45.2 %."
        assert record.hint == "Retry resumes from there."


def test_a_receipt_proves_that_a_tokenization_was_done(
    manager: DatasetManager, dataset: DatasetRecord, tokenization: TokenizationRecord
) -> None:
    with manager._parts.catalog.write() as writer:
        writer.delete_tokenization(tokenization.id)
        writer.put_tokenization(tokenization.model_copy(update={"status": "queued"}))
    _orphan_job(manager, dataset.id, kind="tokenize", tokenization_id=tokenization.id)
    with DatasetManager(manager.data_dir, read_only=True) as reader:
        assert reader.get_tokenization(tokenization.id).error_code == "interrupted"
    with DatasetManager(manager.data_dir) as next_one:
        assert next_one.get_tokenization(tokenization.id) == tokenization


def test_a_tokenization_without_a_receipt_was_interrupted(
    manager: DatasetManager, dataset: DatasetRecord, tokenization: TokenizationRecord
) -> None:
    with manager._parts.catalog.write() as writer:
        writer.delete_tokenization(tokenization.id)
        writer.put_tokenization(tokenization.model_copy(update={"status": "tokenizing"}))
    folder = manager._parts.storage.tokenization_dir(dataset.id, tokenization.id)
    (folder / "receipt.json").unlink()
    _orphan_job(manager, dataset.id, kind="tokenize", tokenization_id=tokenization.id)
    with DatasetManager(manager.data_dir) as next_one:
        (record,) = next_one.list_tokenizations(dataset.id)
        assert (record.status, record.error_code) == ("error", "interrupted")
        assert next_one.get_dataset(dataset.id).status == "ready"
        again = next_one.tokenize(dataset.id, record.settings).wait(60)
        assert (again.id, again.status) == (tokenization.id, "ready")


def test_a_deletion_that_was_not_committed_did_not_happen(
    manager: DatasetManager, dataset: DatasetRecord, tokenization: TokenizationRecord
) -> None:
    storage = manager._parts.storage
    storage.trash_tokenization(dataset.id, tokenization.id)
    with DatasetManager(manager.data_dir) as next_one:
        assert next_one.load_tokens(tokenization.id, "train")["input_ids"].shape[1] == 4
    storage.trash_dataset(dataset.id)
    with DatasetManager(manager.data_dir) as next_one:
        assert len(next_one.load(dataset.id, "train")) == 2
    trash = storage.trash_dataset(dataset.id)
    assert trash is not None
    with manager._parts.catalog.write() as writer:
        writer.delete_dataset(dataset.id)
    with DatasetManager(manager.data_dir) as next_one:
        assert next_one.list_datasets().total == 0
    assert not trash.exists()


def test_a_deletion_that_stopped_is_shown_until_somebody_ends_it(
    manager: DatasetManager, dataset: DatasetRecord, tokenization: TokenizationRecord
) -> None:
    storage = manager._parts.storage
    with DatasetManager(manager.data_dir, read_only=True) as reader:
        storage.trash_tokenization(dataset.id, tokenization.id)
        (made,) = reader.list_tokenizations(dataset.id)
        assert (made.status, made.error_code) == ("error", "interrupted")
        assert manager.delete_tokenization(tokenization.id) > 0
        assert reader.list_tokenizations(dataset.id) == []
    storage.trash_dataset(dataset.id)
    with DatasetManager(manager.data_dir, read_only=True) as reader:
        for shown in (reader.get_dataset(dataset.id), *reader.list_datasets(status="error").items):
            assert (shown.id, shown.error_code) == (dataset.id, "interrupted")
            assert shown.error_message == "Its deletion was interrupted."
        assert reader.list_datasets(status="ready").total == 0
    assert manager.retry(dataset.id).wait(60).status == "ready"
    assert len(manager.load(dataset.id, "train")) == 2
    storage.trash_dataset(dataset.id)
    assert manager.delete_dataset(dataset.id) > 0
    assert list((manager.data_dir / "staging").iterdir()) == []


def test_a_failed_deletion_puts_everything_back(
    manager: DatasetManager, dataset: DatasetRecord, tokenization: TokenizationRecord
) -> None:
    job_id = _orphan_job(manager, dataset.id, kind="tokenize", tokenization_id=tokenization.id)
    with manager._parts.catalog.write() as writer:
        row = writer.find_job(job_id)
        assert row is not None
        writer.delete_job(job_id)
        writer.insert_job(JobRow(row.snapshot, owner_id=manager._parts.owner_id, request=None))
    manager._parts.own_jobs.add(job_id)
    with pytest.raises(InUseError) as caught:
        manager.delete_tokenization(tokenization.id)
    assert caught.value.by == (job_id,)
    with pytest.raises(InUseError):
        manager.delete_dataset(dataset.id)
    assert manager.load_tokens(tokenization.id, "train")
