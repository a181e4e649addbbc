"""The wire: golden messages that the front end's tests read as well."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from mistudio_widgets import messages
from mistudio_widgets.errors import (
    ConfigNotFoundError,
    InvalidRequestError,
    NotFoundError,
    SplitNotFoundError,
)
from mistudio_widgets.messages import (
    Failure,
    PanelState,
    Results,
    failure,
    parse_request,
    request_id_of,
    success,
)
from mistudio_widgets.records import Event

WIRE = Path(__file__).parent / "wire"
SCHEMA = Path(__file__).parents[1] / "js" / "protocol.schema.json"


def _golden(pattern: str) -> list[Path]:
    return sorted(WIRE.glob(pattern))


def _read(path: Path) -> Any:
    return json.loads(path.read_text())


def test_the_schema_of_the_front_end_is_not_stale() -> None:
    assert _read(SCHEMA) == messages.schema(), (
        "run: python -m mistudio_widgets.messages > js/protocol.schema.json "
        "&& npm --prefix js run protocol"
    )


def test_every_kind_has_a_golden_request_and_reply() -> None:
    for kind in Results.model_fields:
        assert (WIRE / f"request_{kind}.json").exists()
        assert (WIRE / f"reply_{kind}.json").exists()


@pytest.mark.parametrize("path", _golden("request_*.json"), ids=lambda path: path.stem)
def test_golden_requests_are_taken(path: Path) -> None:
    request = parse_request(_read(path))
    assert f"request_{request.kind}" == path.stem


@pytest.mark.parametrize("path", _golden("reply_*.json"), ids=lambda path: path.stem)
def test_golden_replies_are_what_the_kernel_would_send(path: Path) -> None:
    reply = _read(path)
    kind = path.stem.removeprefix("reply_")
    annotation = Results.model_fields[kind].annotation
    result = TypeAdapter(annotation).validate_json(json.dumps(reply["result"]))
    assert success(reply["request_id"], result) == reply


@pytest.mark.parametrize("path", _golden("failure*.json"), ids=lambda path: path.stem)
def test_golden_failures_are_what_the_kernel_would_send(path: Path) -> None:
    assert Failure.model_validate(_read(path)).model_dump(mode="json") == _read(path)


@pytest.mark.parametrize("path", _golden("event_*.json"), ids=lambda path: path.stem)
def test_golden_events_are_what_the_kernel_would_send(path: Path) -> None:
    event: Event = TypeAdapter(Event).validate_json(path.read_text())
    assert event.model_dump(mode="json") == _read(path)
    assert f"event_{event.event}" == path.stem


def test_the_golden_state_is_what_the_kernel_would_publish() -> None:
    state = PanelState.model_validate_json((WIRE / "state.json").read_text())
    assert state.model_dump(mode="json") == _read(WIRE / "state.json")


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (None, "request"),
        ([], "request"),
        ("ping", "request"),
        ({}, "request"),
        ({"kind": "nope", "request_id": "a"}, "request"),
        ({"kind": "ping"}, "request_id"),
        ({"kind": "ping", "request_id": ""}, "request_id"),
        ({"kind": "ping", "request_id": "x" * 65}, "request_id"),
        ({"kind": "ping", "request_id": 1}, "request_id"),
        ({"kind": "ping", "request_id": "a", "extra": 1}, "extra"),
        ({"kind": "download", "request_id": "a"}, "repo_id"),
        ({"kind": "download", "request_id": "a", "repo_id": "x" * 501}, "repo_id"),
        ({"kind": "list_datasets", "request_id": "a", "limit": 101}, "limit"),
        ({"kind": "delete_dataset", "request_id": "a", "dataset_id": "../../etc"}, "dataset_id"),
        ({"kind": "import_files", "request_id": "a", "paths": []}, "paths"),
        ({"kind": "import_files", "request_id": "a", "paths": ["x" * 5000]}, "paths.0"),
        ({"kind": "storage", "request_id": "a", "x": {1, 2}}, "request"),
        ({"kind": "storage", "request_id": "a", "x": "y" * 1_000_001}, "request"),
    ],
)
def test_what_is_no_request_is_refused_by_field(message: object, field: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parse_request(message)
    assert caught.value.field == field


def test_settings_that_cannot_take_effect_are_refused_on_the_wire() -> None:
    message = _read(WIRE / "request_tokenize.json")
    message["settings"] = {"tokenizer": "gpt2", "stride": 512}
    with pytest.raises(InvalidRequestError, match="stride") as caught:
        parse_request(message)
    assert caught.value.field == "stride"


def test_a_message_that_holds_itself_is_refused() -> None:
    message: dict[str, Any] = {"kind": "ping", "request_id": "a"}
    message["self"] = message
    with pytest.raises(InvalidRequestError, match="plain JSON"):
        parse_request(message)


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from(
            ["kind", "request_id", "dataset_id", "limit", "paths", "settings", "search", "x"]
        ),
        _values | st.sampled_from(sorted(Results.model_fields)),
        max_size=6,
    )
)
def test_whatever_comes_is_taken_or_refused_never_worse(message: dict[str, Any]) -> None:
    assert request_id_of(message) is None or isinstance(message["request_id"], str)
    try:
        parse_request(message)
    except InvalidRequestError as error:
        reply = failure(request_id_of(message), error)
        assert reply["error"]["field"]


def test_half_a_surrogate_pair_is_refused_where_it_stands() -> None:
    with pytest.raises(InvalidRequestError, match="plain JSON"):
        parse_request({"kind": "list_datasets", "request_id": "a", "search": "\ud83d"})
    assert request_id_of({"request_id": "\ud83d"}) is None
    assert parse_request({"kind": "list_datasets", "request_id": "a", "search": "\U0001f600"})


def test_a_token_is_not_shown() -> None:
    request = parse_request(
        {"kind": "download", "request_id": "a", "repo_id": "a/b", "hf_token": "hf_secret"}
    )
    assert "hf_secret" not in repr(request)


def test_only_a_refused_field_is_named() -> None:
    assert failure("a", NotFoundError("Gone."))["error"]["field"] is None
    names = ("x" * 501, *map(str, range(1000)))
    for missing in (ConfigNotFoundError, SplitNotFoundError):
        given = failure("a", missing("None.", choices=names))["error"]["choices"]
        assert given == list(map(str, range(500))), "as many as can be asked for and shown"
    bad = failure(None, InvalidRequestError("No.", field="x", hint="y"))
    assert bad == {
        "request_id": None,
        "ok": False,
        "error": {
            "code": "invalid_request",
            "message": "No.",
            "hint": "y",
            "field": "x",
            "choices": [],
        },
    }
