from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mistudio_widgets.errors import CatalogError, InvalidRequestError
from mistudio_widgets.records import (
    TOKENIZATION_TRANSITIONS,
    TRANSITIONS,
    Accounting,
    DatasetMetadata,
    DatasetRecord,
    ImportRequest,
    StoredStatus,
    TokenizationSettings,
    TokenizationStatus,
    check_tokenization_transition,
    check_transition,
    merge_deep,
    new_dataset_id,
    utc_now,
)

STATUSES = get_args(StoredStatus)
TOKENIZATION_STATUSES = get_args(TokenizationStatus)


@given(st.lists(st.sampled_from(STATUSES), min_size=2, max_size=12))
def test_a_walk_goes_on_exactly_where_the_table_says(walk: list[StoredStatus]) -> None:
    for old, new in zip(walk, walk[1:], strict=False):
        if new in TRANSITIONS[old]:
            check_transition(old, new)
        else:
            with pytest.raises(CatalogError, match=f"{old} to {new}"):
                check_transition(old, new)


def test_ready_never_goes_to_downloading() -> None:
    assert TRANSITIONS["ready"] == {"error"}
    assert set(TRANSITIONS) == set(STATUSES)


@given(st.sampled_from(TOKENIZATION_STATUSES), st.sampled_from(TOKENIZATION_STATUSES))
def test_tokenizations_follow_their_table(old: TokenizationStatus, new: TokenizationStatus) -> None:
    if new in TOKENIZATION_TRANSITIONS[old]:
        check_tokenization_transition(old, new)
    else:
        with pytest.raises(CatalogError):
            check_tokenization_transition(old, new)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=4),
    max_leaves=12,
)
_objects = st.dictionaries(st.sampled_from("abcd"), _json, max_size=4)


@given(_objects, _objects)
def test_merging_never_erases_with_none(old: dict[str, Any], new: dict[str, Any]) -> None:
    before = json.dumps([old, new])
    merged = merge_deep(old, new)
    assert json.dumps([old, new]) == before
    for key, value in old.items():
        if key not in new or new[key] is None:
            assert merged[key] == value
    for key, value in new.items():
        if isinstance(value, dict):
            under = old.get(key)
            assert merged[key] == merge_deep(under if isinstance(under, dict) else {}, value)
        elif value is not None:
            assert merged[key] == value


@given(_objects)
def test_merging_nothing_changes_nothing(old: dict[str, Any]) -> None:
    assert merge_deep(old, {}) == old


def test_metadata_keeps_the_download_when_a_tokenization_is_added() -> None:
    metadata = DatasetMetadata().merged({"download": {"split": "train", "config": "en"}})
    both = metadata.merged({"tokenization": TOKENIZATION, "download": {"split": None}})
    assert both.download is not None
    assert both.download.split == "train"
    assert both.tokenization is not None
    assert both.tokenization.tokenizer_name == "gpt2"
    assert DatasetMetadata.model_validate_json(both.model_dump_json()) == both


TOKENIZATION = {
    "tokenizer_name": "gpt2",
    "text_column_used": "text",
    "max_length": 512,
    "stride": 0,
    "num_tokens": 30,
    "avg_seq_length": 10.0,
    "min_seq_length": 5,
    "max_seq_length": 15,
}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"max_seq_length": 4}, "max_seq_length must be >= min_seq_length"),
        ({"avg_seq_length": 99.0}, "avg_seq_length must lie between"),
        ({"stride": 512}, "stride must be less than max_length"),
        ({"num_tokens": -1}, "num_tokens"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_metadata_refuses_what_cannot_be(change: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidRequestError, match=says):
        DatasetMetadata().merged({"tokenization": {**TOKENIZATION, **change}})


def test_schema_metadata_names_only_columns_that_exist() -> None:
    with pytest.raises(InvalidRequestError, match="not among all_columns"):
        DatasetMetadata().merged({"schema": {"all_columns": ["a"], "text_columns": ["b"]}})
    with pytest.raises(InvalidRequestError, match="at least two"):
        DatasetMetadata().merged({"schema": {"is_multi_column": True}})


def test_a_download_does_not_end_before_it_began() -> None:
    with pytest.raises(InvalidRequestError, match="finished_at"):
        DatasetMetadata().merged(
            {
                "download": {
                    "started_at": "2026-01-02T00:00:00Z",
                    "finished_at": "2026-01-01T00:00:00Z",
                }
            }
        )


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"max_length": 0}, "max_length"),
        ({"max_length": 131_073}, "max_length"),
        ({"stride": 512}, "stride"),
        ({"stride": -1}, "stride"),
        ({"padding": "longest"}, "padding"),
        ({"truncation": "do_not_truncate"}, "truncation"),
        ({"mode": "per_sample", "drop_tail": True}, "drop_tail"),
        ({"mode": "per_sample", "sequence_separator_token": "eos"}, "sequence_separator_token"),
        ({"mode": "per_sample", "truncation": "do_not_truncate", "stride": 2}, "stride"),
        (
            {"mode": "per_sample", "truncation": "do_not_truncate", "padding": "max_length"},
            "padding",
        ),
        (
            {"mode": "per_sample", "padding": "longest", "return_attention_mask": False},
            "return_attention_mask",
        ),
        ({"begin_sequence_token": "bos", "max_length": 1}, "max_length"),
        ({"begin_sequence_token": "auto"}, "begin_sequence_token"),
        ({"splits": []}, "splits"),
        ({"tokenizer": ""}, "tokenizer"),
        ({"no_such_field": 1}, "no_such_field"),
    ],
)
def test_settings_that_cannot_take_effect_are_refused_by_name(
    given: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        TokenizationSettings(**{"tokenizer": "gpt2", **given})
    assert caught.value.field == field


def test_equal_settings_have_equal_canonical_text() -> None:
    plain = TokenizationSettings(tokenizer="gpt2")
    spelled_out = TokenizationSettings(**plain.model_dump())
    assert plain.canonical() == spelled_out.canonical() == '{"tokenizer":"gpt2"}'
    assert plain.canonical() != TokenizationSettings(tokenizer="gpt2", stride=1).canonical()


def test_the_template_is_for_single_samples_unless_said_otherwise() -> None:
    assert not TokenizationSettings(tokenizer="x").uses_template
    assert TokenizationSettings(tokenizer="x", mode="per_sample").uses_template
    assert TokenizationSettings(tokenizer="x", add_special_tokens=True).uses_template


@given(st.lists(st.integers(0, 10**12), min_size=6, max_size=6))
def test_accounting_is_refused_unless_it_closes(numbers: list[int]) -> None:
    came, inserted, repeated, kept, truncated, tail = numbers
    fields = {
        "tokens_in": came,
        "tokens_inserted": inserted,
        "tokens_repeated": repeated,
        "tokens_kept": kept,
        "tokens_truncated": truncated,
        "tokens_tail": tail,
    }
    if came + inserted + repeated == kept + truncated + tail:
        Accounting(**fields)
    else:
        with pytest.raises(ValidationError, match="does not close"):
            Accounting(**fields)


def test_shares_of_splits_must_add_up() -> None:
    paths = {"train": ("/x",)}
    ImportRequest(paths=paths, fractions={"train": 0.9, "validation": 0.05, "test": 0.05})
    for wrong in ({"train": 0.9}, {"train": 1.2, "test": -0.2}, {"train": 0.0, "test": 1.0}):
        with pytest.raises(ValidationError):
            ImportRequest(paths=paths, fractions=wrong)


def test_records_are_frozen_and_closed() -> None:
    record = DatasetRecord(
        id=new_dataset_id(),
        name="x",
        source="local",
        status="ready",
        created_at=utc_now(),
        updated_at=utc_now(),
    )
    with pytest.raises(ValidationError):
        record.name = "y"  # type: ignore[misc]
    with pytest.raises(ValidationError):
        DatasetRecord.model_validate({**record.model_dump(), "surprise": 1})
    with pytest.raises(ValidationError):
        DatasetRecord.model_validate({**record.model_dump(), "id": "ds_../../etc"})
    assert DatasetRecord.model_validate_json(record.model_dump_json()) == record
    assert record.model_dump(mode="json")["created_at"].endswith("Z")
