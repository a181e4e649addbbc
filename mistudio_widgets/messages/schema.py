"""The JSON schema of requests, replies, traits and events, for the front end's types."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import models_json_schema

from .replies import Protocol
from .requests import REQUEST_MODELS


def schema() -> dict[str, Any]:
    """Return the JSON schema of everything above, requests and what goes up in one."""
    _, definitions = models_json_schema(
        [(Protocol, "serialization"), *((model, "validation") for model in REQUEST_MODELS)],
        title="mistudio_widgets protocol",
    )
    defs = definitions["$defs"]
    requests = [{"$ref": f"#/$defs/{model.__name__}"} for model in REQUEST_MODELS]
    root = dict(defs.pop("Protocol"))
    root["properties"] = {**root["properties"], "request": {"oneOf": requests}}
    root["required"] = [*root["required"], "request"]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **root, "$defs": defs}
