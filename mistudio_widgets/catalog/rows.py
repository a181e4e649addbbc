"""Records to rows and back: every SQL statement on the catalog's tables."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import duckdb

from ..errors import NotFoundError
from ..records import (
    ACTIVE_STATES,
    ColumnStatistics,
    DatasetRecord,
    JobSnapshot,
    TokenizationRecord,
    check_tokenization_transition,
    check_transition,
    utc_now,
)

_DATASET_COLUMNS: Final = (
    "id", "name", "source", "repo_id", "config", "splits", "revision", "commit", "description",
    "status", "progress", "error_code", "error_message", "hint", "size_bytes", "num_samples",
    "split_info", "text_column", "columns", "metadata", "created_at", "updated_at",
)  # fmt: skip
_DATASET_JSON: Final = frozenset({"splits", "split_info", "columns", "metadata"})
_JOB_COLUMNS: Final = (
    "id", "kind", "dataset_id", "tokenization_id", "owner_id", "state", "progress", "request",
    "error_code", "error_message", "hint", "created_at", "updated_at",
)  # fmt: skip


@dataclass(frozen=True)
class JobRow:
    """A job as the catalog keeps it: facts, no ticks.

    ``request`` is what `retry` needs to do it again; it never holds a token.
    """

    snapshot: JobSnapshot
    owner_id: str
    request: Mapping[str, Any] | None


@dataclass(frozen=True)
class HoldRow:
    """Somebody who needs a dataset, as long as the owner lives."""

    id: str
    dataset_id: str
    held_by: str
    owner_id: str


class CatalogReader:
    """What may be asked while the catalog is attached."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection) -> None:
        self._cursor = cursor

    def get_dataset(self, dataset_id: str) -> DatasetRecord:
        """Return the stored record; raises `NotFoundError`."""
        found = self._datasets("WHERE id = ?", [str(dataset_id)])
        if not found:
            raise NotFoundError(f"There is no dataset {dataset_id!r}.", hint="See list_datasets().")
        return found[0]

    def list_datasets(
        self,
        *,
        status: str | None = None,
        source: str | None = None,
        search: str | None = None,
        limit: int,
        offset: int,
        tokenizing: Collection[str] = (),
        interrupted: Collection[str] = (),
    ) -> tuple[list[DatasetRecord], int]:
        """Return a page in default order (active first, then newest) and the total.

        ``tokenizing`` and ``interrupted`` are ids whose shown status differs from the stored one.
        """
        shown, given = "status", dict[str, Any]()
        if tokenizing or interrupted:
            # what is hardly ever asked makes each question a quarter dearer
            shown = (
                "CASE WHEN list_contains($interrupted, id) THEN 'error' "
                "WHEN list_contains($tokenizing, id) THEN 'tokenizing' ELSE status END"
            )
            given = {"tokenizing": list(tokenizing), "interrupted": list(interrupted)}
        conditions = ["true"]
        if status is not None:
            conditions.append(f"{shown} = $status")
            given["status"] = status
        if source is not None:
            conditions.append("source = $source")
            given["source"] = source
        if search:
            conditions.append(
                "(contains(lower(name), lower($search)) "
                "OR contains(lower(coalesce(repo_id, '')), lower($search)) "
                "OR contains(lower(coalesce(description, '')), lower($search)))"
            )
            given["search"] = _plain_text(search)
        where = " AND ".join(conditions)
        order = f"{shown} NOT IN ('downloading', 'processing', 'tokenizing')"
        # a parameter that a statement does not name is an error in DuckDB
        count_given = {k: v for k, v in given.items() if f"${k}" in where}
        total = self._cursor.execute(
            f"SELECT count(*) FROM catalog.datasets WHERE {where}",  # noqa: S608
            count_given,
        ).fetchone()
        assert total is not None
        page = self._datasets(
            f"WHERE {where} ORDER BY {order}, created_at DESC, id LIMIT $limit OFFSET $offset",
            {**given, "limit": limit, "offset": offset},
        )
        return page, int(total[0])

    def find_download(
        self,
        *,
        repo_id: str,
        config: str | None,
        splits: tuple[str, ...] | None,
        revision: str | None,
    ) -> list[DatasetRecord]:
        """Return the datasets of the same download: the same splits in any order."""
        same = self._datasets(
            "WHERE source = 'huggingface' AND repo_id = ? AND config IS NOT DISTINCT FROM ? "
            "AND revision IS NOT DISTINCT FROM ? ORDER BY created_at DESC",
            [repo_id, config, revision],
        )
        wanted = None if splits is None else sorted(splits)
        return [
            record
            for record in same
            if (None if record.splits is None else sorted(record.splits)) == wanted
        ]

    def count_datasets(self) -> int:
        """Return how many datasets there are."""
        row = self._cursor.execute("SELECT count(*) FROM catalog.datasets").fetchone()
        assert row is not None
        return int(row[0])

    def dataset_ids(self) -> set[str]:
        """Return the ids of all datasets."""
        rows = self._cursor.execute("SELECT id FROM catalog.datasets").fetchall()
        return {row[0] for row in rows}

    def dataset_statuses(self) -> dict[str, str]:
        """Return the stored status of each dataset by its id."""
        rows = self._cursor.execute("SELECT id, status FROM catalog.datasets").fetchall()
        return dict(rows)

    def get_tokenization(self, tokenization_id: str) -> TokenizationRecord:
        """Return the stored record; raises `NotFoundError`."""
        found = self._tokenizations("WHERE id = ?", [tokenization_id])
        if not found:
            raise NotFoundError(
                f"There is no tokenization {tokenization_id!r}.",
                hint="See list_tokenizations(dataset_id).",
            )
        return found[0]

    def find_tokenization(self, tokenization_id: str) -> TokenizationRecord | None:
        """Return the stored record, or None."""
        found = self._tokenizations("WHERE id = ?", [tokenization_id])
        return found[0] if found else None

    def tokenizations_of(self, dataset_ids: Iterable[str]) -> dict[str, list[TokenizationRecord]]:
        """Return the tokenizations of several datasets, newest first."""
        by_dataset: dict[str, list[TokenizationRecord]] = {name: [] for name in dataset_ids}
        for record in self._tokenizations(
            "WHERE list_contains(?, dataset_id) ORDER BY created_at DESC, id", [list(by_dataset)]
        ):
            by_dataset[record.dataset_id].append(record)
        return by_dataset

    def ready_tokenizations(self) -> list[TokenizationRecord]:
        """Return all tokenizations that are ready, newest first."""
        ready = self._tokenizations("ORDER BY created_at DESC, id", [])
        return [record for record in ready if record.status == "ready"]

    def tokenization_statuses(self) -> dict[str, tuple[str, str]]:
        """Return the stored status and the dataset of each tokenization by its id."""
        rows = self._cursor.execute(
            "SELECT id, status, dataset_id FROM catalog.tokenizations"
        ).fetchall()
        return {name: (status, dataset_id) for name, status, dataset_id in rows}

    def find_column_statistics(
        self, dataset_id: str, content_sha256: str
    ) -> ColumnStatistics | None:
        """Return what is known of the columns, None when it is about other content."""
        rows = self._of_new_table(
            "column_statistics",
            "SELECT statistics FROM catalog.column_statistics "
            "WHERE dataset_id = ? AND content_sha256 = ?",
            [dataset_id, content_sha256],
        )
        return ColumnStatistics.model_validate_json(rows[0][0]) if rows else None

    def active_jobs(self) -> list[JobRow]:
        """Return the jobs that have not ended, as far as the catalog knows."""
        return self._jobs("WHERE list_contains(?, state) ORDER BY created_at", [_ACTIVE])

    def unended_jobs(self) -> list[JobRow]:
        """Return the active and the paused jobs."""
        states = [*_ACTIVE, "paused"]
        return self._jobs("WHERE list_contains(?, state) ORDER BY created_at", [states])

    def all_jobs(self) -> list[JobRow]:
        """Return every job that is remembered, newest first."""
        return self._jobs("ORDER BY created_at DESC, id", [])

    def find_job(self, job_id: str) -> JobRow | None:
        """Return one job, or None."""
        found = self._jobs("WHERE id = ?", [job_id])
        return found[0] if found else None

    def last_job(self, dataset_id: str, kinds: Collection[str]) -> JobRow | None:
        """Return the newest job of these kinds for a dataset."""
        found = self._jobs(
            "WHERE dataset_id = ? AND list_contains(?, kind) ORDER BY created_at DESC LIMIT 1",
            [dataset_id, list(kinds)],
        )
        return found[0] if found else None

    def holds(self) -> list[HoldRow]:
        """Return who says that they need a dataset, living or not."""
        rows = self._of_new_table(
            "holds",
            "SELECT id, dataset_id, held_by, owner_id FROM catalog.holds ORDER BY created_at, id",
        )
        return [HoldRow(*row) for row in rows]

    def _of_new_table(self, _table: str, question: str, given: Sequence[Any] = ()) -> list[Any]:
        """Ask a table that a catalog may lack which nobody could migrate."""
        try:
            return self._cursor.execute(question, given).fetchall()
        except duckdb.CatalogException:
            return []

    def _datasets(self, rest: str, given: Sequence[Any] | Mapping[str, Any]) -> list[DatasetRecord]:
        names = ", ".join(_DATASET_COLUMNS)
        rows = self._cursor.execute(
            f"SELECT {names} FROM catalog.datasets {rest}",  # noqa: S608
            given,
        ).fetchall()
        return [_dataset_of(row) for row in rows]

    def _tokenizations(self, rest: str, given: Sequence[Any]) -> list[TokenizationRecord]:
        rows = self._cursor.execute(
            f"SELECT record FROM catalog.tokenizations {rest}",  # noqa: S608
            given,
        ).fetchall()
        return [TokenizationRecord.model_validate_json(row[0]) for row in rows]

    def _jobs(self, rest: str, given: Sequence[Any]) -> list[JobRow]:
        names = ", ".join(_JOB_COLUMNS)
        rows = self._cursor.execute(
            f"SELECT {names} FROM catalog.jobs {rest}",  # noqa: S608
            given,
        ).fetchall()
        return [_job_of(row) for row in rows]


class CatalogWriter(CatalogReader):
    """What may be changed inside one transaction."""

    def _of_new_table(self, table: str, question: str, given: Sequence[Any] = ()) -> list[Any]:
        # what fails would end the transaction
        is_there = self._cursor.execute(
            "SELECT 1 FROM duckdb_tables() WHERE database_name = 'catalog' AND table_name = ?",
            [table],
        ).fetchone()
        return super()._of_new_table(table, question, given) if is_there else []

    def insert_dataset(self, record: DatasetRecord) -> None:
        """Add a dataset."""
        names = ", ".join(_DATASET_COLUMNS)
        marks = ", ".join("?" for _ in _DATASET_COLUMNS)
        self._cursor.execute(
            f"INSERT INTO catalog.datasets ({names}) VALUES ({marks})",  # noqa: S608
            _dataset_row(record),
        )

    def update_dataset(self, dataset_id: str, **changes: Any) -> DatasetRecord:
        """Change fields of a dataset; a new status must be allowed by the transition table.

        Returns
        -------
        DatasetRecord
            The new record, its ``updated_at`` set.
        """
        old = self.get_dataset(dataset_id)
        new = DatasetRecord.model_validate({**old.model_dump(), **changes, "updated_at": utc_now()})
        if new.status != old.status:
            check_transition(old.status, new.status)  # type: ignore[arg-type]
        # the key is left alone: an updated key is a delete and an insert, which conflict
        sets = ", ".join(f"{name} = ?" for name in _DATASET_COLUMNS[1:])
        self._cursor.execute(
            f"UPDATE catalog.datasets SET {sets} WHERE id = ?",  # noqa: S608
            [*_dataset_row(new)[1:], dataset_id],
        )
        return new

    def delete_dataset(self, dataset_id: str) -> None:
        """Remove a dataset with its tokenizations, jobs, statistics and holds."""
        self._cursor.execute("DELETE FROM catalog.datasets WHERE id = ?", [dataset_id])
        for table in ("tokenizations", "jobs", "column_statistics", "holds"):
            self._cursor.execute(
                f"DELETE FROM catalog.{table} WHERE dataset_id = ?",  # noqa: S608
                [dataset_id],
            )

    def put_tokenization(self, record: TokenizationRecord) -> None:
        """Add a tokenization, or replace it where the transition table allows it."""
        old = self.find_tokenization(record.id)
        if old is not None and old.status != record.status:
            check_tokenization_transition(old.status, record.status)
        self.get_dataset(record.dataset_id)
        plain = record.model_dump(mode="json")
        self._cursor.execute(
            "INSERT INTO catalog.tokenizations (id, dataset_id, status, settings, record, "
            "created_at) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
            "status = excluded.status, record = excluded.record, created_at = excluded.created_at",
            [
                record.id,
                record.dataset_id,
                record.status,
                _json(plain["settings"]),
                _json(plain),
                _naive(record.created_at),
            ],
        )

    def delete_tokenization(self, tokenization_id: str) -> None:
        """Remove a tokenization."""
        self._cursor.execute("DELETE FROM catalog.tokenizations WHERE id = ?", [tokenization_id])

    def put_column_statistics(self, record: ColumnStatistics, content_sha256: str) -> None:
        """Keep what is known of a dataset's columns; a dataset that is gone has none."""
        if not self._datasets("WHERE id = ?", [record.dataset_id]):
            return
        self._cursor.execute(
            "INSERT INTO catalog.column_statistics (dataset_id, content_sha256, statistics) "
            "VALUES (?, ?, ?) ON CONFLICT (dataset_id) DO UPDATE SET "
            "content_sha256 = excluded.content_sha256, statistics = excluded.statistics",
            [record.dataset_id, content_sha256, _json(record.model_dump(mode="json"))],
        )

    def insert_job(self, row: JobRow) -> None:
        """Add a job."""
        names = ", ".join(_JOB_COLUMNS)
        marks = ", ".join("?" for _ in _JOB_COLUMNS)
        self._cursor.execute(
            f"INSERT INTO catalog.jobs ({names}) VALUES ({marks})",  # noqa: S608
            _job_row(row),
        )

    def adopt_job(self, job_id: str, owner_id: str) -> None:
        """Make a paused job that of another owner."""
        self._cursor.execute(
            "UPDATE catalog.jobs SET owner_id = ? WHERE id = ? AND state = 'paused'",
            [owner_id, job_id],
        )

    def update_job(
        self, snapshot: JobSnapshot, *, request: Mapping[str, Any] | None = None
    ) -> None:
        """Record a job's new state, and what it is asked for now if that has changed."""
        if request is not None:
            self._cursor.execute(
                "UPDATE catalog.jobs SET request = ? WHERE id = ?", [_json(request), snapshot.id]
            )
        self._cursor.execute(
            "UPDATE catalog.jobs SET state = ?, progress = ?, tokenization_id = ?, "
            "error_code = ?, error_message = ?, hint = ?, updated_at = ? WHERE id = ?",
            [
                snapshot.state,
                snapshot.progress,
                snapshot.tokenization_id,
                snapshot.error_code,
                _plain_text(snapshot.error_message),
                _plain_text(snapshot.hint),
                _naive(utc_now()),
                snapshot.id,
            ],
        )

    def insert_hold(self, row: HoldRow) -> None:
        """Note that somebody needs a dataset."""
        self._cursor.execute(
            "INSERT INTO catalog.holds VALUES (?, ?, ?, ?, ?)",
            [row.id, row.dataset_id, _plain_text(row.held_by), row.owner_id, _naive(utc_now())],
        )

    def delete_hold(self, hold_id: str) -> None:
        """Note that it is needed no more."""
        self._cursor.execute("DELETE FROM catalog.holds WHERE id = ?", [hold_id])

    def delete_job(self, job_id: str) -> None:
        """Forget a job."""
        self._cursor.execute("DELETE FROM catalog.jobs WHERE id = ?", [job_id])


_ACTIVE: Final = sorted(ACTIVE_STATES)


def _dataset_of(row: Sequence[Any]) -> DatasetRecord:
    values = dict(zip(_DATASET_COLUMNS, row, strict=True))
    for name in _DATASET_JSON:
        values[name] = None if values[name] is None else json.loads(values[name])
    return DatasetRecord.model_validate(values)


def _dataset_row(record: DatasetRecord) -> list[Any]:
    plain = record.model_dump(mode="json")
    row: list[Any] = []
    for name in _DATASET_COLUMNS:
        value = plain[name]
        if name in _DATASET_JSON:
            row.append(None if value is None else _json(value))
        elif name in ("created_at", "updated_at"):
            row.append(_naive(getattr(record, name)))
        else:
            row.append(_plain_text(value))
    return row


def _job_of(row: Sequence[Any]) -> JobRow:
    values = dict(zip(_JOB_COLUMNS, row, strict=True))
    request = values.pop("request")
    owner_id = values.pop("owner_id")
    del values["updated_at"]
    asked = None if request is None else json.loads(request)
    values["automatic"] = bool(asked and asked.get("automatic"))
    return JobRow(snapshot=JobSnapshot.model_validate(values), owner_id=owner_id, request=asked)


def _job_row(row: JobRow) -> list[Any]:
    values: dict[str, Any] = {
        **row.snapshot.model_dump(),
        "owner_id": row.owner_id,
        "request": None if row.request is None else _json(row.request),
        "created_at": _naive(row.snapshot.created_at),
        "updated_at": _naive(utc_now()),
    }
    return [_plain_text(values[name]) for name in _JOB_COLUMNS]


def _naive(value: datetime) -> datetime:
    # DuckDB shifts aware times by the session's zone
    return value.astimezone(UTC).replace(tzinfo=None)


def _json(value: Any) -> str:
    return json.dumps(_without_surrogates(value), allow_nan=False)


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_plain_text(key): _without_surrogates(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_surrogates(item) for item in value]
    return _plain_text(value)


def _plain_text(value: Any) -> Any:
    # a file name that is not UTF-8 arrives as lone surrogates, which DuckDB refuses
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    return value
