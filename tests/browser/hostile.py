"""Messages that nobody means well with, half of them such as the panel would send."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from mistudio_widgets.errors import InvalidRequestError
from mistudio_widgets.messages import parse_request
from mistudio_widgets.messages.requests import REQUEST_MODELS

from .visitor import DEEP, V1, Visitor

Json = Any
PROTOCOLS = (None, V1)
PATH_TRICKS = (
    "../../../../etc/passwd", "/etc/passwd", "..\\..\\windows", "ds_../../..", "a\0b", "~root",
    "file:///etc/passwd", "%2e%2e%2fetc", "ds_" + "." * 36, "tok_../../../../..", "\u202egnp.txt",
    "//server/share", "datasets/../catalog.duckdb", "\ud800", "",
)  # fmt: skip
ESM = "export default { render() { globalThis.pwned = true } }"


@dataclass(frozen=True)
class Real:
    """What is there to be hit."""

    dataset_ids: tuple[str, ...]
    tokenization_ids: tuple[str, ...]
    job_ids: tuple[str, ...]
    tokenizer: str
    paths: tuple[str, ...]


@dataclass(frozen=True)
class Shot:
    """One message; ``request_id`` is set when there must be a reply to it."""

    fire: Callable[[Visitor], object]
    request_id: str | None


class Hostile:
    """Makes messages, the same for the same seed."""

    def __init__(self, real: Real, seed: int) -> None:
        self._real = real
        self._random = random.Random(seed)

    def shots(self, count: int) -> Iterator[Shot]:
        """Yield messages, every other one schema-valid and every kind among these in turn."""
        others = [
            self._broken_request, self._broken_request, self._broken_request, self._forged_traits,
            self._no_widget_message, self._protocol, self._comm, self._frame,
        ]  # fmt: skip
        for number in range(0, count, 2):
            yield self._valid(number // 2)
            turn = number // 2
            yield self._huge() if turn % 100 == 50 else others[turn % len(others)]()

    # -- as the panel would ------------------------------------------------------------------

    def valid_request(self, turn: int) -> dict[str, Json]:
        """Return a request that passes the validation, with ids of what is really there."""
        model = REQUEST_MODELS[turn % len(REQUEST_MODELS)]
        schema = model.model_json_schema()
        for chance in [0.5] * 30 + [0.0]:
            request: dict[str, Json] = self._example(schema, schema.get("$defs", {}), "", chance)
            request["request_id"] = self._id()
            try:
                parse_request(request)
            except InvalidRequestError:
                continue
            return request
        raise AssertionError(f"no valid {model.__name__}")

    def _valid(self, turn: int) -> Shot:
        request = self.valid_request(turn)
        return Shot(lambda visitor: visitor.ask(request), request["request_id"])

    def _example(self, schema: Json, defs: Json, name: str, chance: float) -> Json:
        """Return a value of a JSON schema; ids and paths are real ones."""
        real = {
            "dataset_id": self._real.dataset_ids,
            "tokenization_id": self._real.tokenization_ids,
            "job_id": self._real.job_ids,
            "tokenizer": (self._real.tokenizer,),
        }
        if name in real:
            return self._random.choice(real[name])
        if name == "paths":
            return [self._random.choice(self._real.paths)]
        if "$ref" in schema:
            return self._example(defs[schema["$ref"].rsplit("/", 1)[1]], defs, name, chance)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._random.choice(schema["enum"])
        if "anyOf" in schema:
            return self._example(self._random.choice(schema["anyOf"]), defs, name, chance)
        return self._plain(schema, defs, chance)

    def _plain(self, schema: Json, defs: Json, chance: float) -> Json:
        kind = schema.get("type")
        if kind == "object":
            needed = schema.get("required", ())
            return {
                name: self._example(field, defs, name, chance)
                for name, field in schema.get("properties", {}).items()
                if name in needed or self._random.random() < chance
            }
        if kind == "array":
            least = schema.get("minItems", 0)
            return [self._example(schema["items"], defs, "", chance) for _ in range(least or 1)]
        if kind in ("integer", "number"):
            low = int(schema.get("minimum", schema.get("exclusiveMinimum", 0)))
            high = min(int(schema.get("maximum", low + 50)), low + 50)
            return self._random.randint(low, high)
        if kind == "boolean":
            return self._random.random() < 0.5
        if kind == "null":
            return None
        words = ("train", "text", "one", "acme/data", *PATH_TRICKS[:6])
        return self._random.choice(words)[: schema.get("maxLength")] or "x"

    # -- as nobody would ---------------------------------------------------------------------

    def _broken_request(self) -> Shot:
        request = self.valid_request(self._random.randrange(10_000))
        request_id: str | None = request["request_id"]
        field = self._random.choice(list(request))
        wrong = self._random.choice(
            [None, -1, 2**70, 1e308, [], {}, [[]], True, "x" * 100_000, *PATH_TRICKS]
        )
        how = self._random.randrange(6)
        content: Json = request
        if how == 0:
            request["kind"] = self._random.choice(
                ["__class__", "close", "eval", "cleanup_all", "set_trait", "", None, 5, ["ping"]]
            )
        elif how == 1:
            request[self._random.choice(["data_dir", "read_only", "__proto__", "path"])] = wrong
        elif how == 2:
            for name in request:
                if name.endswith("_id") and name != "request_id":
                    request[name] = self._random.choice(PATH_TRICKS)
        elif how == 3:
            content = self._random.choice([None, 5, "x", [], [request], {}, True])
            request_id = None
        elif how == 4:
            request[field] = self._random.choice([DEEP, _nested(50), _nested(400)])
            request_id = None
        else:
            request[field] = wrong
        if isinstance(content, dict) and content.get("request_id") != request_id:
            request_id = None
        if "\\ud800" in json.dumps(content):
            # jupyter_server could not pass it on
            request_id = None
        return Shot(lambda visitor: visitor.ask(content), request_id)

    def _forged_traits(self) -> Shot:
        state = self._random.choice(
            [
                {"read_only": False},
                {"read_only": False, "_esm": ESM, "_css": "*{display:none}"},
                {"datasets": [], "total": 0, "jobs": [{"id": "forged"}]},
                {"storage": {"data_dir": "/"}, "version": "0"},
                {"selected": self._random.choice([5, [], "x" * 900_000, *PATH_TRICKS])},
                {"_model_module": "evil", "_view_name": "Evil", "comm": None, "keys": []},
                {"manager": None, "_answers": None, "__class__": "x", "layout": "IPY_MODEL_x"},
            ]
        )
        data: Json = {"method": "update", "state": state}
        if self._random.random() < 0.3:
            data["buffer_paths"] = [["selected"], ["state", 0]]
        return Shot(lambda visitor: visitor.tell_panel(data), None)

    def _no_widget_message(self) -> Shot:
        data = self._random.choice(
            [
                {}, None, 5, "x", [], {"method": "close"}, {"method": []}, {"method": "update"},
                {"method": "update", "state": [1]}, {"method": "custom"},
                {"method": "request_state"},
                {"method": "custom", "content": {"_anywidget": 1}}, {"method": "echo_update"},
                {"method": "custom", "content": {"id": "1", "kind": "anywidget-command",
                 "name": "close", "msg": {}}},
            ]
        )  # fmt: skip
        return Shot(lambda visitor: visitor.tell_panel(data), None)

    def _protocol(self) -> Shot:
        """What a Jupyter client may ask a kernel, above all to run code."""
        code = "open('pwned', 'w').write('x')"
        kind, content = self._random.choice(
            [
                ("execute_request", {"code": code, "silent": False, "store_history": False,
                 "user_expressions": {"x": code}, "allow_stdin": False, "stop_on_error": False}),
                ("inspect_request", {"code": "open", "cursor_pos": 2, "detail_level": 1}),
                ("complete_request", {"code": "op", "cursor_pos": 2}),
                ("history_request", {"hist_access_type": "tail", "n": 9, "output": True,
                 "raw": True}),
                ("shutdown_request", {"restart": self._random.random() < 0.5}),
                ("interrupt_request", {}), ("debug_request", {"type": "request", "seq": 1}),
                ("input_reply", {"value": code}), ("create_subshell_request", {}),
                ("usage_request", {}), ("apply_request", {}), ("abort_request", {}),
                ("kernel_info_request", {}), ("comm_info_request", {"target_name": None}),
                (["execute_request"], {"code": code}), ("", {}), (None, {}),
            ]
        )  # fmt: skip
        channel = self._random.choice(["shell", "control", "stdin", "iopub", "", None, 5])
        extra = self._random.choice([{}, {"subshell_id": "x"}, {"msg_id": None}])
        return Shot(lambda visitor: visitor.send(kind, content, channel=channel, **extra), None)

    def _comm(self) -> Shot:
        """Opening and closing of widgets, and messages to those that are not the panel."""
        controls = "@jupyter-widgets/controls"
        output = {
            "_model_module": "@jupyter-widgets/output", "_model_module_version": "1.0.0",
            "_model_name": "OutputModel", "_view_module": "@jupyter-widgets/output",
            "_view_module_version": "1.0.0", "_view_name": "OutputView", "msg_id": "x",
        }  # fmt: skip
        slider = {
            "_model_module": controls, "_model_module_version": "2.0.0", "_model_name":
            "IntSliderModel", "_view_module": controls, "_view_module_version": "2.0.0",
            "_view_name": "IntSliderView", "value": "x",
        }  # fmt: skip
        comm_id = uuid.UUID(int=self._random.getrandbits(128)).hex
        target = self._random.choice(["jupyter.widget", "x", "jupyter.widget.version", None, []])
        state = self._random.choice([output, slider, {}])
        choice = self._random.randrange(4)

        def fire(visitor: Visitor) -> None:
            if choice == 0:
                visitor.send("comm_close", {"comm_id": visitor.panel, "data": {}})
            elif choice == 1:
                layouts = [key for key in visitor.widgets if key != visitor.panel]
                data = {"method": "update", "state": {"width": [1], "_model_name": 5}}
                visitor.send("comm_msg", {"comm_id": layouts[0], "data": data})
            elif choice == 2:
                visitor.send("comm_msg", {"comm_id": PATH_TRICKS[0], "data": {}})
            else:
                opened = {"comm_id": comm_id, "target_name": target, "data": {"state": state}}
                visitor.send("comm_open", opened)

        return Shot(fire, None)

    def _frame(self) -> Shot:
        """Frames that are no messages at all."""
        frame: str | bytes = self._random.choice(
            [
                b"", b"\0", b"\xff" * 64, (2**60).to_bytes(8, "little"), b"\0" * 4096,
                (3).to_bytes(8, "little") + (2**63).to_bytes(8, "little") * 3,
                "", "{", "[]", "null", '{"channel": "shell"}', "[" * 100_000, "\u202e",
                json.dumps({"channel": "shell", "header": [], "content": {}}),
            ]
        )  # fmt: skip
        return Shot(lambda visitor: visitor.send_raw(frame), None)

    def _huge(self) -> Shot:
        """Ten megabytes, in what the size of a request is checked by and in all else."""
        size = 10_000_000
        request = {"kind": "preview_tokens", "request_id": self._id(), "text": "x" * size}
        if self._random.random() < 0.5:
            return Shot(lambda visitor: visitor.ask(request), None)
        state = {"selected": "x" * size}
        return Shot(lambda visitor: visitor.tell_panel({"method": "update", "state": state}), None)

    def _id(self) -> str:
        return uuid.UUID(int=self._random.getrandbits(128)).hex


def _nested(depth: int) -> Json:
    value: Json = {}
    for _ in range(depth):
        value = {"settings": [value]}
    return value


def bombard(visitor: Visitor, shots: Iterator[Shot], *, at_once: int = 25) -> tuple[int, int]:
    """Fire all, a few at once, each followed by a wait for the replies that are due.

    Returns
    -------
    sent, answered : int
    """
    sent = answered = 0
    batch: list[Shot] = []

    def flush() -> int:
        nonlocal batch
        due = {shot.request_id for shot in batch if shot.request_id is not None}
        for shot in batch:
            shot.fire(visitor)
        batch = []
        return visitor.replies(due)

    for shot in shots:
        sent += 1
        batch.append(shot)
        if len(batch) == at_once:
            answered += flush()
    return sent, answered + flush()
