from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from mistudio_widgets.catalog import Catalog, JobRow
from mistudio_widgets.catalog.migrations import MIGRATIONS
from mistudio_widgets.errors import CatalogError, CatalogVersionError, NotFoundError
from mistudio_widgets.records import (
    ColumnStatistics,
    DatasetRecord,
    JobSnapshot,
    SplitColumns,
    TokenizationRecord,
    TokenizationSettings,
    new_dataset_id,
    new_job_id,
    utc_now,
)


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return Catalog(tmp_path / "catalog.duckdb")


def _dataset(**changes: object) -> DatasetRecord:
    now = utc_now()
    fields = {
        "id": new_dataset_id(),
        "name": "x",
        "source": "local",
        "status": "processing",
        "created_at": now,
        "updated_at": now,
    }
    return DatasetRecord.model_validate({**fields, **changes})


def _tokenization(dataset_id: str, **changes: object) -> TokenizationRecord:
    fields = {
        "id": "tok_0123456789abcdef",
        "dataset_id": dataset_id,
        "settings": TokenizationSettings(tokenizer="gpt2"),
        "tokenizer_name": "gpt2",
        "status": "queued",
        "created_at": utc_now(),
    }
    return TokenizationRecord.model_validate({**fields, **changes})


def _job(dataset_id: str, **changes: object) -> JobRow:
    fields = {
        "id": new_job_id(),
        "kind": "import",
        "dataset_id": dataset_id,
        "state": "running",
        "created_at": utc_now(),
    }
    snapshot = JobSnapshot.model_validate({**fields, **changes})
    return JobRow(snapshot, owner_id="owner", request={"paths": {"train": ["/a"]}})


def _insert(catalog: Catalog, *records: DatasetRecord) -> None:
    with catalog.write() as writer:
        for record in records:
            writer.insert_dataset(record)


def _get(catalog: Catalog, dataset_id: str) -> DatasetRecord:
    with catalog.read() as reader:
        assert reader is not None
        return reader.get_dataset(dataset_id)


def test_a_record_comes_back_as_it_went_in(catalog: Catalog) -> None:
    record = _dataset(
        name="quotes ' \" and 日本語 🙂",
        description="line\nbreak",
        splits=("train", "test"),
        split_info={"train": 2**40},
        columns={"text": "string"},
        size_bytes=2**50,
        metadata={"schema": {"all_columns": ["text"]}},
        created_at=datetime(2026, 3, 29, 2, 30, tzinfo=UTC),
    )
    _insert(catalog, record)
    assert _get(catalog, record.id) == record


def test_times_do_not_shift_with_the_time_zone(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from datetime import datetime, UTC\n"
        "from mistudio_widgets.catalog import Catalog\n"
        "from mistudio_widgets.records import DatasetRecord\n"
        "at = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)\n"
        "record = DatasetRecord(id='ds_' + '0'*8 + '-0000-0000-0000-' + '0'*12, name='x',\n"
        "    source='local', status='processing', created_at=at, updated_at=at)\n"
        "catalog = Catalog(Path(sys.argv[1]))\n"
        "with catalog.write() as writer: writer.insert_dataset(record)\n"
        "with catalog.read() as reader: assert reader.get_dataset(record.id) == record\n"
    )
    path = tmp_path / "catalog.duckdb"
    env = {**os.environ, "TZ": "Asia/Tokyo"}
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, env=env, timeout=60)
    at = _get(Catalog(path), "ds_00000000-0000-0000-0000-000000000000").created_at
    assert at == datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


def test_lone_surrogates_are_replaced(catalog: Catalog) -> None:
    record = _dataset(name="bad \udcff name", columns={"a\udcff": "string"})
    _insert(catalog, record)
    stored = _get(catalog, record.id)
    assert stored.name == "bad ? name"
    (column,) = stored.columns
    assert column.encode("utf-8").startswith(b"a")


def test_statuses_follow_the_table(catalog: Catalog) -> None:
    record = _dataset()
    _insert(catalog, record)
    with catalog.write() as writer:
        new = writer.update_dataset(record.id, status="ready", num_samples=3)
    assert (new.status, new.num_samples) == ("ready", 3)
    assert new.updated_at > record.updated_at
    with pytest.raises(CatalogError, match="ready to downloading"), catalog.write() as writer:
        writer.update_dataset(record.id, status="downloading")


def test_a_failed_block_changes_nothing(catalog: Catalog) -> None:
    first = _dataset()
    before = catalog.version()
    with pytest.raises(RuntimeError), catalog.write() as writer:
        writer.insert_dataset(first)
        raise RuntimeError
    with catalog.read() as reader:
        assert reader is not None
        assert reader.count_datasets() == 0
    assert catalog.version() == before


def test_a_refused_statement_leaves_the_catalog_usable(catalog: Catalog) -> None:
    record = _dataset()
    _insert(catalog, record)
    with pytest.raises(CatalogError, match="refused"):
        _insert(catalog, record)
    assert _get(catalog, record.id) == record


def test_the_change_token_moves_with_every_commit(catalog: Catalog) -> None:
    seen = {catalog.version()}
    for _ in range(3):
        _insert(catalog, _dataset())
        seen.add(catalog.version())
    assert len(seen) == 4


def test_lists_are_filtered_ordered_and_paged(catalog: Catalog) -> None:
    old = _dataset(name="Old One", status="ready", created_at="2026-01-01T00:00:00Z")
    new = _dataset(name="new", status="ready", created_at="2026-02-01T00:00:00Z", source="custom")
    active = _dataset(name="active", created_at="2025-01-01T00:00:00Z", description="On wHeAt")
    _insert(catalog, old, new, active)
    with catalog.read() as reader:
        assert reader is not None
        names = [r.name for r in reader.list_datasets(limit=10, offset=0)[0]]
        assert names == ["active", "new", "Old One"]
        page, total = reader.list_datasets(limit=1, offset=1)
        assert ([r.name for r in page], total) == (["new"], 3)
        for given, expected in (
            ({"status": "ready"}, {"new", "Old One"}),
            ({"source": "custom"}, {"new"}),
            ({"search": "old"}, {"Old One"}),
            ({"search": "WHEAT"}, {"active"}),
            ({"search": "%"}, set()),
            ({"status": "tokenizing", "tokenizing": [old.id]}, {"Old One"}),
            ({"status": "error", "interrupted": [active.id]}, {"active"}),
        ):
            found, total = reader.list_datasets(limit=10, offset=0, **given)
            assert {r.name for r in found} == expected
            assert total == len(expected)
        tokenizing = reader.list_datasets(limit=10, offset=0, tokenizing=[old.id])[0]
        assert [r.name for r in tokenizing] == ["Old One", "active", "new"]


def test_the_same_download_is_found(catalog: Catalog) -> None:
    record = _dataset(source="huggingface", repo_id="a/b", splits=("train",), status="downloading")
    _insert(catalog, record)
    with catalog.read() as reader:
        assert reader is not None
        same = {"repo_id": "a/b", "config": None, "splits": ("train",), "revision": None}
        assert reader.find_download(**same) == [record]
        for change in ({"splits": None}, {"config": "en"}, {"revision": "x"}, {"repo_id": "c"}):
            assert reader.find_download(**{**same, **change}) == []


def test_tokenizations_belong_to_a_dataset_and_go_with_it(catalog: Catalog) -> None:
    record = _dataset(status="ready")
    tokenization = _tokenization(record.id)
    with pytest.raises(NotFoundError), catalog.write() as writer:
        writer.put_tokenization(tokenization)
    _insert(catalog, record)
    job = _job(record.id)
    with catalog.write() as writer:
        writer.put_tokenization(tokenization)
        writer.put_tokenization(tokenization.model_copy(update={"status": "tokenizing"}))
        writer.insert_job(job)
    with pytest.raises(CatalogError), catalog.write() as writer:
        writer.put_tokenization(tokenization)
    with catalog.write() as writer:
        assert writer.get_tokenization(tokenization.id).status == "tokenizing"
        assert [t.id for t in writer.tokenizations_of([record.id])[record.id]] == [tokenization.id]
        writer.delete_dataset(record.id)
    with catalog.read() as reader:
        assert reader is not None
        assert reader.find_tokenization(tokenization.id) is None
        assert reader.all_jobs() == []
        with pytest.raises(NotFoundError):
            reader.get_tokenization(tokenization.id)


def test_jobs_are_remembered_with_what_they_were_asked(catalog: Catalog) -> None:
    record = _dataset()
    first, second = _job(record.id, created_at="2026-01-01T00:00:00Z"), _job(record.id)
    with catalog.write() as writer:
        writer.insert_dataset(record)
        writer.insert_job(first)
        writer.insert_job(second)
        assert writer.active_jobs() == [first, second]
        assert writer.last_job(record.id, ["import"]) == second
        assert writer.last_job(record.id, ["download"]) is None
        done = second.snapshot.model_copy(update={"state": "failed", "error_message": "\udcff"})
        writer.update_job(done)
        assert writer.active_jobs() == [first]
        found = writer.find_job(second.snapshot.id)
        assert found is not None
        assert found.snapshot.error_message == "?"
        writer.delete_job(first.snapshot.id)
        assert writer.active_jobs() == []


def test_threads_of_one_process_lose_no_update(catalog: Catalog) -> None:
    record = _dataset()
    _insert(catalog, record)
    failures: list[Exception] = []

    def count() -> None:
        try:
            for _ in range(15):
                with catalog.write() as writer:
                    now = writer.get_dataset(record.id).num_samples or 0
                    writer.update_dataset(record.id, num_samples=now + 1)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert _get(catalog, record.id).num_samples == 60


WRITER = """
import sys
from pathlib import Path
from mistudio_widgets.catalog import Catalog
catalog = Catalog(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for _ in range(25):
    with catalog.write() as writer:
        now = writer.get_dataset(sys.argv[2]).num_samples or 0
        writer.update_dataset(sys.argv[2], num_samples=now + 1)
"""


def test_processes_lose_no_update(tmp_path: Path) -> None:
    path = tmp_path / "catalog.duckdb"
    catalog = Catalog(path)
    record = _dataset()
    _insert(catalog, record)
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), record.id],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline().strip() == "ready"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("\n")
        writer.stdin.flush()
    while any(writer.poll() is None for writer in writers):
        _get(catalog, record.id)
        time.sleep(0.05)  # what a reader that follows does
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    assert _get(catalog, record.id).num_samples == 75


def test_a_newer_catalog_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "catalog.duckdb"
    Catalog(path)
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "INSERT INTO schema_version VALUES (?, ?)",
            [len(MIGRATIONS) + 1, datetime(2026, 1, 1)],  # noqa: DTZ001
        )
    with pytest.raises(CatalogVersionError, match="Upgrade"):
        Catalog(path)


def _statistics(dataset_id: str, num_rows: int) -> ColumnStatistics:
    split = SplitColumns(
        num_rows=num_rows, characters=None, num_null=num_rows, num_empty=0, num_duplicates=0
    )
    return ColumnStatistics(
        dataset_id=dataset_id, columns={"text": "string"}, text_column="text", splits={"a": split}
    )


def test_statistics_are_those_of_one_content_and_go_with_the_dataset(catalog: Catalog) -> None:
    record = _dataset()
    _insert(catalog, record)
    for num_rows in (1, 2):
        with catalog.write() as writer:
            writer.put_column_statistics(_statistics(record.id, num_rows), f"sha{num_rows}")
    with catalog.read() as reader:
        assert reader is not None
        assert reader.find_column_statistics(record.id, "sha1") is None
        assert reader.find_column_statistics(record.id, "sha2") == _statistics(record.id, 2)
    with catalog.write() as writer:
        writer.delete_dataset(record.id)
        # it was deleted while they were counted
        writer.put_column_statistics(_statistics(record.id, 3), "sha3")
    with catalog.read() as reader:
        assert reader is not None
        assert reader.find_column_statistics(record.id, "sha2") is None
        assert reader.find_column_statistics(record.id, "sha3") is None


def test_a_reader_of_an_older_catalog_knows_no_statistics(tmp_path: Path) -> None:
    path = tmp_path / "catalog.duckdb"
    Catalog(path)
    with duckdb.connect(str(path)) as connection:
        connection.execute("DROP TABLE column_statistics")
        connection.execute("DROP TABLE holds")
        connection.execute("DELETE FROM schema_version WHERE version > 2")
    with Catalog(path, read_only=True).read() as reader:
        assert reader is not None
        assert reader.find_column_statistics("ds_x", "sha") is None
        assert reader.holds() == []
    with Catalog(path).read() as reader:
        assert reader is not None
        assert reader.find_column_statistics("ds_x", "sha") is None


def test_opening_again_migrates_nothing(tmp_path: Path) -> None:
    path = tmp_path / "catalog.duckdb"
    first = Catalog(path)
    version = first.version()
    assert Catalog(path).version() == version


def test_a_reader_sees_nothing_where_the_first_writer_died_too_early(tmp_path: Path) -> None:
    path = tmp_path / "catalog.duckdb"
    duckdb.connect(str(path)).close()
    reader = Catalog(path, read_only=True)
    with reader.read() as found:
        assert found is None
    Catalog(path)
    with reader.read() as found:
        assert found is not None
        assert found.count_datasets() == 0


def test_an_older_catalog_is_read_as_it_is_and_migrated_by_a_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "catalog.duckdb"
    dataset = _dataset(status="downloading")
    job = _job(dataset.id, kind="download", state="running")
    with monkeypatch.context() as older:
        older.setattr("mistudio_widgets.catalog.migrations.MIGRATIONS", MIGRATIONS[:1])
        with Catalog(path).write() as writer:
            writer.insert_dataset(dataset)
            writer.insert_job(job)
    with Catalog(path, read_only=True).read() as reader:
        assert reader is not None
        assert reader.active_jobs() == [job]
    with Catalog(path).write() as writer:
        assert writer.active_jobs() == [job]
        writer.update_job(job.snapshot.model_copy(update={"state": "paused"}))
    with Catalog(path).read() as reader:
        assert reader is not None
        assert [row.snapshot.state for row in reader.unended_jobs()] == ["paused"]


def test_a_reader_refuses_a_newer_catalog(tmp_path: Path) -> None:
    path = tmp_path / "catalog.duckdb"
    Catalog(path)
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "INSERT INTO schema_version VALUES (?, ?)",
            [len(MIGRATIONS) + 1, datetime(2026, 1, 1)],  # noqa: DTZ001
        )
    reader = Catalog(path, read_only=True)
    with pytest.raises(CatalogVersionError, match="Upgrade"), reader.read():
        pass


def test_a_reader_without_a_catalog_sees_nothing(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "none.duckdb", read_only=True)
    with catalog.read() as reader:
        assert reader is None
    assert catalog.version() == (0, 0)
    assert list(tmp_path.iterdir()) == []


def test_a_reader_refuses_garbage_and_a_writer_sets_it_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "catalog.duckdb"
    garbage = b"this is no database" * 500
    path.write_bytes(garbage)
    reader = Catalog(path, read_only=True)
    with pytest.raises(CatalogError, match="damaged") as caught, reader.read():
        pass
    assert "rebuild" in str(caught.value.hint)
    assert path.read_bytes() == garbage
    catalog = Catalog(path)
    (aside,) = (tmp_path / "damaged").iterdir()
    assert (aside / "catalog.duckdb").read_bytes() == garbage
    assert "set aside" in caplog.text
    _insert(catalog, _dataset())
    with reader.read() as found:
        assert found is not None
        assert found.count_datasets() == 1


def test_only_a_log_that_cannot_be_replayed_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "catalog.duckdb"
    first = _dataset()
    _insert(Catalog(path), first)
    _kill_in_the_middle(path)
    log = path.with_name("catalog.duckdb.wal")
    bytes_ = bytearray(log.read_bytes())
    bytes_[len(bytes_) // 2] ^= 0xFF
    log.write_bytes(bytes_)
    catalog = Catalog(path)
    (aside,) = (tmp_path / "damaged").iterdir()
    assert [file.name for file in aside.iterdir()] == ["catalog.duckdb.wal"]
    with catalog.read() as reader:
        assert reader is not None
        assert reader.dataset_ids() == {first.id}


def test_a_log_without_its_file_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "catalog.duckdb"
    catalog = Catalog(path)
    _insert(catalog, _dataset())
    _kill_in_the_middle(path)
    path.unlink()
    with pytest.raises(CatalogError, match="missing"), catalog.write():
        pass
    with pytest.raises(CatalogError, match="missing"), catalog.read():
        pass
    assert not path.exists()
    assert catalog.open_whole() is not None
    with catalog.read() as reader:
        assert reader is not None
        assert reader.count_datasets() == 0


def test_a_catalog_of_a_newer_duckdb_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "catalog.duckdb"
    Catalog(path)
    content = bytearray(path.read_bytes())
    # the main header: a checksum of 8 bytes, "DUCK", the format's version; the checksum is the
    # XOR of all words, each times a constant (DuckDB, src/common/checksum.cpp)
    before = bytes(content[8:16])
    assert before[:4] == b"DUCK"
    content[12:16] = (5000).to_bytes(4, "little")
    for word in (before, bytes(content[8:16])):
        term = int.from_bytes(word, "little") * 0xBF58476D1CE4E5B9 % 2**64
        content[:8] = (int.from_bytes(content[:8], "little") ^ term).to_bytes(8, "little")
    path.write_bytes(content)
    with pytest.raises(CatalogVersionError, match="another DuckDB"):
        Catalog(path)
    assert path.read_bytes() == content


def _kill_in_the_middle(path: Path) -> None:
    """Leave a log: a process commits a row and dies before the catalog is let go of."""
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from mistudio_widgets.catalog import Catalog\n"
        "from mistudio_widgets.catalog.rows import CatalogWriter\n"
        "from mistudio_widgets.records import DatasetRecord, new_dataset_id, utc_now\n"
        "now = utc_now()\n"
        "row = DatasetRecord(id=new_dataset_id(), name='x', source='local', status='ready',\n"
        "                    created_at=now, updated_at=now)\n"
        "with Catalog(Path(sys.argv[1]))._attached(read_only=False) as cursor:\n"
        "    cursor.execute('BEGIN'); CatalogWriter(cursor).insert_dataset(row)\n"
        "    cursor.execute('COMMIT'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    process = subprocess.run([sys.executable, "-c", code, str(path)], check=False, timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert path.with_name("catalog.duckdb.wal").stat().st_size > 0


def test_a_forked_child_leaves_the_parents_catalog_alone(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path\n"
        "from mistudio_widgets.catalog import Catalog\n"
        "catalog = Catalog(Path(sys.argv[1]))\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    with Catalog(Path(sys.argv[1])).write() as w: w.count_datasets()\n"
        "    os._exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "with catalog.write() as w: w.count_datasets()\n"
    )
    path = tmp_path / "catalog.duckdb"
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code, str(path)]
    subprocess.run(command, check=True, timeout=60)


def test_a_process_ends_well_while_a_thread_reads(tmp_path: Path) -> None:
    code = (
        "import sys, threading; from pathlib import Path\n"
        "from mistudio_widgets.catalog import Catalog\n"
        "catalog, begun = Catalog(Path(sys.argv[1])), threading.Event()\n"
        "def look():\n"
        "    with catalog.read() as reader:\n"
        "        begun.set()\n"
        "        reader._cursor.execute('SELECT sum(hash(range)) FROM range(100_000_000)')\n"
        "threading.Thread(target=look, daemon=True).start()\n"
        "begun.wait()\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "catalog.duckdb")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_lock_that_cannot_be_taken_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "catalog.lock").mkdir()
    with pytest.raises(CatalogError, match="cannot be changed: Is a directory") as caught:
        Catalog(tmp_path / "catalog.duckdb")
    assert caught.value.hint
