"""The wire between kernel and browser, written once.

Up go the traits (`PanelState`, one trait per field), replies and events; down come requests.
``python -m mistudio_widgets.messages`` prints the JSON schema from which the front end's
``protocol.gen.ts`` is generated.

A request carries the parameter names of the `DatasetManager` method of the same name. It is
validated here, unknown fields refused and sizes capped, before anything happens.
"""

from .replies import (
    MAX_REPLY_BYTES,
    Aborted,
    DatasetCard,
    ErrorInfo,
    Failure,
    Freed,
    PanelState,
    Pong,
    Results,
    Started,
    TokenizationChip,
    cancelled,
    error_info,
    failure,
    success,
)
from .requests import MAX_REQUEST_BYTES, MAX_SHORT_TEXT, Request, parse_request, request_id_of
from .schema import schema

__all__ = [
    "MAX_REPLY_BYTES",
    "MAX_REQUEST_BYTES",
    "MAX_SHORT_TEXT",
    "Aborted",
    "DatasetCard",
    "ErrorInfo",
    "Failure",
    "Freed",
    "PanelState",
    "Pong",
    "Request",
    "Results",
    "Started",
    "TokenizationChip",
    "cancelled",
    "error_info",
    "failure",
    "parse_request",
    "request_id_of",
    "schema",
    "success",
]
