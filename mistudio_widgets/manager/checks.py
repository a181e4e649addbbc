"""What is refused at once, before any job starts."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, SupportsIndex, cast

from pydantic import ValidationError

from ..errors import InvalidRequestError, shown_path
from ..hub import check_no_token, check_repo_id
from ..records import (
    DatasetRecord,
    DownloadRequest,
    ImportRequest,
    SampleBy,
    Source,
    StoredStatus,
    TokenizationSettings,
    invalid_request,
    new_dataset_id,
    utc_now,
)

_MAX_NAME_CHARS: Final = 500
# half of a character: no encoding can hold it
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_UNSENDABLE: Final = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


def new_dataset(
    name: str,
    source: Source,
    status: StoredStatus,
    *,
    request: DownloadRequest | None = None,
) -> DatasetRecord:
    """Return the first record of a dataset."""
    is_name = isinstance(name, str) and name.strip() and len(name) <= _MAX_NAME_CHARS
    if not is_name or _SURROGATE.search(name):
        raise InvalidRequestError(
            f"A name has 1 to {_MAX_NAME_CHARS} characters that are not all blank.", field="name"
        )
    check_no_token(name, "name")
    now = utc_now()
    return DatasetRecord(
        id=new_dataset_id(),
        name=name.strip(),
        source=source,
        status=status,
        repo_id=request.repo_id if request else None,
        config=request.config if request else None,
        splits=request.splits if request else None,
        revision=request.revision if request else None,
        created_at=now,
        updated_at=now,
    )


def download_request(
    repo_id: str,
    config: str | None,
    split: str | Sequence[str] | None,
    revision: str | None,
    tokenize: TokenizationSettings | Mapping[str, Any] | None,
) -> DownloadRequest:
    """Return what `download` was asked for, or say what is wrong with it."""
    check_repo_id(repo_id)
    try:
        return DownloadRequest(
            repo_id=repo_id,
            config=_given_name(config, "config"),
            splits=_asked_splits(split),
            revision=_given_name(revision, "revision"),
            tokenize=follow_up_settings(tokenize),
        )
    except ValidationError as error:
        raise invalid_request(error, what="download") from error


def _given_name(value: object, field: str) -> str | None:
    """Return a name that the hub can be asked for; None for a blank one, as from an empty field."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidRequestError(
            f"{field} must be a string, not {type(value).__name__}.", field=field
        )
    check_no_token(value, field)
    if len(value) > _MAX_NAME_CHARS or _UNSENDABLE.search(value):
        raise InvalidRequestError(
            f"{field} is not a name that can be asked for: {value[:100]!r}.",
            field=field,
            hint=f"It has at most {_MAX_NAME_CHARS} characters, none of them a control character.",
        )
    return str(value) if value.strip() else None


def _asked_splits(split: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """Return the splits asked for, each once; None for all."""
    given = [split] if isinstance(split, str) else split
    if given is None:
        return None
    if not isinstance(given, Sequence) or not all(isinstance(name, str) for name in given):
        raise InvalidRequestError(
            f"split must be a name or a list of names, not {repr(split)[:100]}.", field="split"
        )
    names = tuple(
        dict.fromkeys(name.strip() for name in given if _given_name(name.strip(), "split"))
    )
    return None if not names or "all" in names else names


def settings_of(
    settings: TokenizationSettings | Mapping[str, Any] | None,
    options: Mapping[str, Any] | None = None,
    *,
    field: str = "settings",
) -> TokenizationSettings:
    """Return settings from a model, a mapping, options, or options over a model."""
    if isinstance(settings, TokenizationSettings):
        if not options:
            return settings
        settings = settings.model_dump(exclude_unset=True)
    elif settings is not None and not isinstance(settings, Mapping):
        raise InvalidRequestError(
            f"{field} must be TokenizationSettings, not {type(settings).__name__}.",
            field=field,
            hint="Or give its fields, as a mapping.",
        )
    return TokenizationSettings(**{**(settings or {}), **(options or {})})


def check_against(dataset: DatasetRecord, settings: TokenizationSettings) -> None:
    """Raise `InvalidRequestError` where settings do not fit a dataset."""
    must_be_ready(dataset)
    for split in settings.splits or ():
        check_split(split, dataset.split_info, field="splits")
    for field in ("text_column", "pair_column"):
        column = getattr(settings, field)
        if column is not None and column not in dataset.columns:
            raise InvalidRequestError(
                f"{dataset.name!r} has no column {column!r}.",
                field=field,
                hint=f"It has {', '.join(dataset.columns)}.",
            )
    if has_conversations(dataset, settings):
        if settings.pair_column is not None:
            raise InvalidRequestError(
                "A pair is made of two texts, and the text column holds conversations.",
                field="pair_column",
                hint="Choose a text_column of strings, or leave pair_column out.",
            )
    elif settings.chat_template is not None:
        raise InvalidRequestError(
            "The text column does not hold conversations that a template could render.",
            field="chat_template",
            hint="Leave it out, or choose a text_column of conversations.",
        )


def has_conversations(dataset: DatasetRecord, settings: TokenizationSettings) -> bool:
    """Tell whether what these settings tokenize are conversations."""
    schema = dataset.metadata.schema_
    column = settings.text_column or dataset.text_column
    return schema is not None and column in schema.conversations


def must_be_ready(dataset: DatasetRecord) -> None:
    """Raise `InvalidRequestError` unless the dataset's data can be used."""
    if dataset.status not in ("ready", "tokenizing"):
        raise InvalidRequestError(
            f"{dataset.name!r} is {dataset.status}, not ready.",
            field="dataset_id",
            hint="Use retry(), or import it again."
            if dataset.status == "error"
            else "Wait for its job.",
        )


def check_split(split: str, known: Mapping[str, object], field: str = "split") -> None:
    """Raise `InvalidRequestError` unless ``split`` is known."""
    check_text(split, field)
    if split not in known:
        raise InvalidRequestError(
            f"There is no split {split!r}.", field=field, hint=f"There is {', '.join(known)}."
        )


def check_text(value: object, field: str, hint: str = "") -> None:
    """Raise `InvalidRequestError` unless ``value`` is a string."""
    if not isinstance(value, str):
        raise InvalidRequestError(
            f"{field} must be a string, not {type(value).__name__}.", field=field, hint=hint
        )


def whole_number(
    value: object, field: str, *, least: int | None = 0, most: int | None = None
) -> int:
    """Return a number that was asked for; numpy's are numbers too, True and 1.0 are not.

    Raises
    ------
    InvalidRequestError
        It is none, or not within ``least`` and ``most``.
    """
    number = None
    if not isinstance(value, bool):
        with suppress(TypeError):
            number = operator.index(cast("SupportsIndex", value))
    is_low = number is not None and least is not None and number < least
    is_high = number is not None and most is not None and number > most
    if number is None or is_low or is_high:
        bounds = "" if least is None else f" from {least} {'on' if most is None else f'to {most}'}"
        raise InvalidRequestError(
            f"{field} must be a whole number{bounds}, not {repr(value)[:100]}.", field=field
        )
    return number


def name_of(paths: Mapping[str, Sequence[str]]) -> str:
    """Return a name for a dataset made of these paths."""
    all_paths = [path for group in paths.values() for path in group]
    first = Path(all_paths[0])
    while any(mark in first.name for mark in "*?[") and first.parent != first:
        first = first.parent
    name = first.name.partition(".")[0] or first.name or "files"
    more = len(all_paths) - 1
    return f"{name} and {more} more"[:_MAX_NAME_CHARS] if more else name[:_MAX_NAME_CHARS]


def follow_up_settings(
    settings: TokenizationSettings | Mapping[str, Any] | None,
) -> TokenizationSettings | None:
    """Return what is to follow an import or download; a tokenizer that is no path is refused."""
    if settings is None:
        return None
    chosen = settings_of(settings, field="tokenize")
    local_tokenizer(chosen.tokenizer)
    return chosen


def import_request(
    paths: Mapping[str, tuple[str, ...]],
    *,
    splits: Mapping[str, float] | None,
    seed: int,
    sample_by: SampleBy | None,
    text_column: str | None,
    tokenize: TokenizationSettings | None,
) -> ImportRequest:
    """Return what `import_files` was asked for, or say what is wrong with it."""
    if splits is not None and not isinstance(splits, Mapping):
        raise InvalidRequestError(
            f"splits must be a mapping of names to shares, not {type(splits).__name__}.",
            field="splits",
            hint='Such as {"train": 0.9, "test": 0.1}; split="train" names a single one.',
        )
    try:
        return ImportRequest(
            paths=dict(paths),
            fractions=dict(splits) if splits is not None else None,
            seed=seed,
            sample_by=sample_by,
            text_column=text_column,
            tokenize=tokenize,
        )
    except ValidationError as error:
        found = invalid_request(error, what="import_files")
        if found.field.startswith("fractions") or "splits" in found.message:
            found.field = "splits"
        raise found from error


def local_tokenizer(tokenizer: str) -> Path | None:
    """Return the path that a tokenizer setting means; None for a hub id.

    What exists on this machine wins, as it does everywhere in HuggingFace's libraries.

    Raises
    ------
    InvalidRequestError
        It can only be a path, and nothing is there.
    """
    path = Path(tokenizer).expanduser()
    # a name too long for any file, or with NUL in it
    with suppress(OSError, ValueError):
        if path.exists():
            return path.absolute()
    is_path = tokenizer.startswith(("/", ".", "~")) or tokenizer.endswith(".json")
    if is_path or not _is_repo_id(tokenizer):
        raise InvalidRequestError(
            f"There is no tokenizer at {_shortened(shown_path(tokenizer))}.",
            field="tokenizer",
            hint="Give the path of a tokenizer.json, of a folder with one, or a hub id.",
        )
    return None


def _is_repo_id(text: str) -> bool:
    try:
        check_repo_id(text)
    except InvalidRequestError:
        return False
    return True


def _shortened(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}…"
