"""What an import gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from .choice import ConversationFormat


@dataclass(frozen=True)
class ImportedFile:
    """One Parquet file: where it lies, which split it belongs to, how many rows it holds."""

    path: Path
    split: str
    num_rows: int


@dataclass(frozen=True)
class ImportResult:
    """What was read and what was made of it.

    Attributes
    ----------
    columns : dict
        Arrow type as text ("string", "int64") by column.
    text_reason : str
        Why ``text_column`` was taken for the text.
    conversations : dict
        The columns that hold conversations, each with its format: "role/content", "from/value".
    num_source_files, source_bytes : int
        Files that gave samples, and the bytes of all files as they lie on disk.
    skipped : tuple of str
        "name: reason" for each file that a folder or a glob found and that is not text, and for
        each kind of member that was left out of an archive.
    """

    files: tuple[ImportedFile, ...]
    columns: dict[str, str]
    text_column: str
    num_source_files: int
    source_bytes: int
    skipped: tuple[str, ...]
    text_reason: str
    conversations: dict[str, ConversationFormat] = field(default_factory=dict)
