"""Conversations to text: chat templates in Jinja's sandbox, as transformers renders them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Final

from ..errors import TokenizationError

if TYPE_CHECKING:
    import jinja2

Message = Mapping[str, Any]

TODAY: Final = datetime(2024, 7, 26)  # noqa: DTZ001 -- a date for humans; Llama 3's own default
"""What a template that asks for today's date gets: the same ids on every day."""

_PROBE: Final = "probe"


class RenderingFault(Exception):  # noqa: N818 -- a signal: the row's reader makes the error
    """A conversation that a template cannot render, with the template's reason."""


@dataclass(frozen=True)
class ChatTemplate:
    """A template and the special tokens that it may name.

    Attributes
    ----------
    source : str
        Jinja.
    variables : tuple of pairs of str
        "bos_token" and so on, with the token's text.

    *Threads:* any number at once. It can be pickled.
    """

    source: str
    variables: tuple[tuple[str, str], ...] = ()

    def check(self) -> None:
        """Raise `TokenizationError` for a source that is not a template."""
        import jinja2

        try:
            _compiled(self.source)
        except jinja2.TemplateSyntaxError as error:
            raise TokenizationError(
                f"The chat template is not valid Jinja: {error.message} (line {error.lineno}).",
                hint="Mend it, or leave chat_template out to use the tokenizer's own.",
            ) from error

    def render(self, messages: Sequence[Message]) -> str:
        """Return the conversation as text, special tokens included.

        Parameters
        ----------
        messages : sequence of dict
            Each with "role" and "content", and whatever else the template knows.

        Raises
        ------
        RenderingFault
            When the template refuses the conversation or cannot cope with it.
        """
        if not messages:
            raise RenderingFault("it has no messages")
        messages = [_with_reasoning(message) for message in messages]
        if not self._takes_parts:
            messages = [_flattened(message) for message in messages]
        return self._render(messages)

    def _render(self, messages: Sequence[Message]) -> str:
        try:
            template = _compiled(self.source)
            names = {**_names(self.source, self.variables), "messages": messages}
            # Template.render would gather the names anew for each conversation
            return "".join(template.root_render_func(template.new_context(names, shared=True)))
        except Exception as error:
            # a template is a program, and raises whatever a program can
            raise RenderingFault(str(error).strip() or type(error).__name__) from error

    @cached_property
    def _takes_parts(self) -> bool:
        """Whether the template itself reads contents of several parts.

        One that does not would write the list as Python shows it.
        """
        parts = [{"type": "text", "text": _PROBE}]
        try:
            return self._render([{"role": "user", "content": parts}]) == self._render(
                [{"role": "user", "content": _PROBE}]
            )
        except RenderingFault:
            return False


def render_plain(messages: Sequence[Message]) -> str:
    r"""Return a conversation as text where there is no template.

    >>> render_plain([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}])
    'user: Hi\n\nassistant: Ho'
    """
    lines = []
    for message in messages:
        content = _flattened(message).get("content")
        lines.append(f"{message.get('role', '')}: {'' if content is None else content}")
    return "\n\n".join(lines)


def _with_reasoning(message: Message) -> Message:
    """Give a message's reasoning the names that templates look for, as transformers does."""
    for name in ("reasoning_content", "thinking", "reasoning"):
        if message.get(name) is not None:
            reasoning = message[name]
            return {"thinking": reasoning, **message, "reasoning_content": reasoning}
    return message


def _flattened(message: Message) -> Message:
    content = message.get("content")
    if not isinstance(content, list):
        return message
    return {**message, "content": "".join(_part_text(part) for part in content)}


def _part_text(part: Any) -> str:
    text = part.get("text") if isinstance(part, Mapping) else part
    if not isinstance(text, str):
        kind = part.get("type") if isinstance(part, Mapping) else type(part).__name__
        raise RenderingFault(f"a part of type {kind!r} is not text")
    return text


@lru_cache(maxsize=16)
def _compiled(source: str) -> jinja2.Template:
    return _environment().from_string(source)


@lru_cache(maxsize=16)
def _names(source: str, variables: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    """Return what a template may name besides the messages."""
    given = {"tools": None, "documents": None, "add_generation_prompt": False}
    return {**_compiled(source).globals, **given, **dict(variables)}


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    """Return the environment that templates are written for; see transformers' own.

    The same request must give the same ids: what is random is left out, and the date is fixed.
    """
    from jinja2 import TemplateError
    from jinja2.exceptions import SecurityError
    from jinja2.ext import Extension, loopcontrols
    from jinja2.nodes import CallBlock, Node
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from jinja2.utils import Namespace

    class Generation(Extension):
        """``{% generation %}`` marks what an assistant says; the text is the same without."""

        tags = {"generation"}

        def parse(self, parser: Any) -> Node:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return CallBlock(self.call_method("_said"), [], [], body).set_lineno(line)

        def _said(self, caller: Callable[[], str]) -> str:
            return caller()

    class Sandbox(ImmutableSandboxedEnvironment):
        """Remembers what it finds out about attributes: it asks of types and names alone."""

        def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
            key = (type(obj), attr)
            if key not in known:
                known[key] = super().is_safe_attribute(obj, attr, value)
            return known[key]

    class Names(Namespace):
        """A namespace without a way to Python's own attributes."""

        def __setitem__(self, name: str, value: Any) -> None:
            if name.startswith("_"):
                raise SecurityError(f"a namespace has no {name!r}")
            super().__setitem__(name, value)

    def raise_exception(message: str) -> None:
        raise TemplateError(message)

    def strftime_now(form: str) -> str:
        return TODAY.strftime(form)

    known: dict[tuple[type, str], bool] = {}
    environment = Sandbox(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    del environment.filters["random"]
    del environment.globals["lipsum"]
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = strftime_now
    environment.globals["namespace"] = Names
    return environment


def _to_json(
    value: Any,
    ensure_ascii: bool = False,  # noqa: FBT001, FBT002 -- templates give them in this order
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,  # noqa: FBT001, FBT002
) -> str:
    # Jinja's own escapes HTML
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )
