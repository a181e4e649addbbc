"""The catalog's schema, one function a version.

No foreign keys and no secondary indexes: in DuckDB an update of an indexed or referenced row can
fail, and a table that has them cannot be altered. Enums are VARCHAR with CHECK, because there is
no ALTER TYPE either.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import duckdb

from ..errors import CatalogVersionError

Cursor = duckdb.DuckDBPyConnection


def _first(cursor: Cursor) -> None:
    cursor.execute("""
        CREATE TABLE catalog.datasets (
            id VARCHAR PRIMARY KEY, name VARCHAR NOT NULL,
            source VARCHAR NOT NULL CHECK (source IN ('huggingface', 'local', 'custom')),
            repo_id VARCHAR, config VARCHAR, splits JSON, revision VARCHAR, commit VARCHAR,
            description VARCHAR,
            status VARCHAR NOT NULL
                CHECK (status IN ('downloading', 'processing', 'ready', 'error')),
            progress DOUBLE NOT NULL,
            error_code VARCHAR, error_message VARCHAR, hint VARCHAR,
            size_bytes BIGINT, num_samples BIGINT, split_info JSON NOT NULL,
            text_column VARCHAR, columns JSON NOT NULL, metadata JSON NOT NULL,
            created_at TIMESTAMP NOT NULL, updated_at TIMESTAMP NOT NULL
        )
    """)
    cursor.execute("""
        CREATE TABLE catalog.tokenizations (
            id VARCHAR PRIMARY KEY, dataset_id VARCHAR NOT NULL,
            status VARCHAR NOT NULL
                CHECK (status IN ('queued', 'tokenizing', 'ready', 'error')),
            settings JSON NOT NULL, record JSON NOT NULL, created_at TIMESTAMP NOT NULL
        )
    """)
    cursor.execute("""
        CREATE TABLE catalog.jobs (
            id VARCHAR PRIMARY KEY,
            kind VARCHAR NOT NULL CHECK (kind IN ('download', 'import', 'tokenize')),
            dataset_id VARCHAR NOT NULL, tokenization_id VARCHAR, owner_id VARCHAR NOT NULL,
            state VARCHAR NOT NULL CHECK (state IN
                ('queued', 'running', 'cancelling', 'succeeded', 'failed', 'cancelled')),
            progress DOUBLE NOT NULL, request JSON,
            error_code VARCHAR, error_message VARCHAR, hint VARCHAR,
            created_at TIMESTAMP NOT NULL, updated_at TIMESTAMP NOT NULL
        )
    """)


def _paused_jobs_and_more_kinds(cursor: Cursor) -> None:
    # a CHECK cannot be altered
    cursor.execute("ALTER TABLE catalog.jobs RENAME TO old_jobs")
    cursor.execute("""
        CREATE TABLE catalog.jobs (
            id VARCHAR PRIMARY KEY,
            kind VARCHAR NOT NULL
                CHECK (kind IN ('download', 'import', 'tokenize', 'index', 'verify')),
            dataset_id VARCHAR NOT NULL, tokenization_id VARCHAR, owner_id VARCHAR NOT NULL,
            state VARCHAR NOT NULL CHECK (state IN ('queued', 'running', 'paused',
                'cancelling', 'succeeded', 'failed', 'cancelled')),
            progress DOUBLE NOT NULL, request JSON,
            error_code VARCHAR, error_message VARCHAR, hint VARCHAR,
            created_at TIMESTAMP NOT NULL, updated_at TIMESTAMP NOT NULL
        )
    """)
    cursor.execute("INSERT INTO catalog.jobs SELECT * FROM catalog.old_jobs")
    cursor.execute("DROP TABLE catalog.old_jobs")


def _column_statistics(cursor: Cursor) -> None:
    cursor.execute("""
        CREATE TABLE catalog.column_statistics (
            dataset_id VARCHAR PRIMARY KEY, content_sha256 VARCHAR NOT NULL,
            statistics JSON NOT NULL
        )
    """)


def _holds(cursor: Cursor) -> None:
    cursor.execute("""
        CREATE TABLE catalog.holds (
            id VARCHAR PRIMARY KEY, dataset_id VARCHAR NOT NULL, held_by VARCHAR NOT NULL,
            owner_id VARCHAR NOT NULL, created_at TIMESTAMP NOT NULL
        )
    """)


MIGRATIONS: Final[tuple[Callable[[Cursor], None], ...]] = (
    _first,
    _paused_jobs_and_more_kinds,
    _column_statistics,
    _holds,
)


OLDEST_READABLE: Final = 1
"""The oldest version that `rows` can read; a reader cannot migrate."""


def is_readable(cursor: Cursor) -> bool:
    """Whether the attached catalog has its tables; False when its first writer died too early.

    Raises
    ------
    CatalogVersionError
        When the catalog is newer than this package, or too old to be read as it is.
    """
    version = _version(cursor)
    _refuse_newer(version)
    if 0 < version < OLDEST_READABLE:
        raise CatalogVersionError(
            f"The catalog has version {version}; this package reads {OLDEST_READABLE} and later.",
            hint="Open the data folder once with a DatasetManager that may write.",
        )
    return version > 0


def migrate(cursor: Cursor) -> bool:
    """Bring the attached catalog to the newest version; True when something was done.

    Each step is a transaction of its own with its version row. The CHECKPOINT after it keeps DDL
    out of the write-ahead log, whose replay of it is the known weak spot.

    Raises
    ------
    CatalogVersionError
        When the catalog is newer than this package.
    """
    version = _version(cursor)
    _refuse_newer(version)
    for number, step in enumerate(MIGRATIONS[version:], start=version + 1):
        cursor.execute("BEGIN")
        cursor.execute(
            "CREATE TABLE IF NOT EXISTS catalog.schema_version "
            "(version INTEGER NOT NULL, applied_at TIMESTAMP NOT NULL)"
        )
        step(cursor)
        now = datetime.now(UTC).replace(tzinfo=None)
        cursor.execute("INSERT INTO catalog.schema_version VALUES (?, ?)", [number, now])
        cursor.execute("COMMIT")
        cursor.execute("CHECKPOINT catalog")
    return version < len(MIGRATIONS)


def read_everything(cursor: Cursor) -> None:
    """Read each row: a damaged block is found when it is read, not when the file is opened."""
    tables = cursor.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = 'catalog'"
    ).fetchall()
    for (table,) in tables:
        cursor.execute(f"SELECT * FROM catalog.{table}").fetchall()  # noqa: S608


def _refuse_newer(version: int) -> None:
    if version > len(MIGRATIONS):
        raise CatalogVersionError(
            f"The catalog has version {version}; this package knows {len(MIGRATIONS)}.",
            hint="Upgrade mistudio_widgets, or use another data_dir.",
        )


def _version(cursor: Cursor) -> int:
    found = cursor.execute(
        "SELECT 1 FROM duckdb_tables() "
        "WHERE database_name = 'catalog' AND table_name = 'schema_version'"
    ).fetchone()
    if found is None:
        return 0
    row = cursor.execute("SELECT max(version) FROM catalog.schema_version").fetchone()
    return int(row[0]) if row and row[0] is not None else 0
