from __future__ import annotations

from pathlib import Path

import pytest

from mistudio_widgets import errors
from mistudio_widgets.errors import InvalidRequestError, MiStudioError, shown_path


def _tree(root: type[MiStudioError]) -> list[type[MiStudioError]]:
    return [root, *(leaf for child in root.__subclasses__() for leaf in _tree(child))]


def test_every_error_has_a_code_of_its_own() -> None:
    public = [kind for kind in _tree(MiStudioError) if not kind.__name__.startswith("_")]
    codes = [kind.code for kind in public]
    assert len(set(codes)) == len(codes) > 25


def test_the_drawing_at_the_top_names_every_error() -> None:
    for kind in _tree(MiStudioError):
        if not kind.__name__.startswith("_"):
            assert kind.__name__ in (errors.__doc__ or "")


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        ("InvalidRequestError", ValueError),
        ("NotFoundError", LookupError),
        ("ReadOnlyError", PermissionError),
        ("StorageError", OSError),
        ("HubUnavailableError", ConnectionError),
    ],
)
def test_errors_are_the_builtins_that_callers_expect(kind: str, builtin: type) -> None:
    assert issubclass(getattr(errors, kind), builtin)


def test_a_cancel_is_not_caught_as_an_error() -> None:
    assert not issubclass(errors.JobCancelled, MiStudioError)


def test_message_and_hint_make_the_text() -> None:
    error = InvalidRequestError("No such thing.", field="x", hint="Try y.")
    assert str(error) == "No such thing. Try y."
    assert (error.message, error.hint, error.field) == ("No such thing.", "Try y.", "x")


def test_home_is_not_shown() -> None:
    home = Path("~").expanduser()
    assert shown_path(home / "corpus" / "a.txt") == "~/corpus/a.txt"
    assert shown_path(home) == "~"
    assert shown_path(str(home) + "-other/a.txt") == str(home) + "-other/a.txt"
