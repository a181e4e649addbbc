"""Five hundred texts that are more than they seem, for names, cards, columns, files and rows."""

from __future__ import annotations

import itertools

_RUN = "(window.ran=(window.ran||0)+1)"
_SCRIPTS = (
    f"<script>{_RUN}</script>",
    f"<img src=x onerror={_RUN}>",
    f"<svg/onload={_RUN}>",
    "<iframe srcdoc='<script>parent.ran=1</script>'></iframe>",
    f"<details open ontoggle={_RUN}>x</details>",
    f"<a href='javascript:{_RUN}'>press</a>",
    f"<video><source onerror={_RUN}></video>",
    f"<input autofocus onfocus={_RUN}>",
    f"<object data='javascript:{_RUN}'></object>",
    f"<math><mi xlink:href='javascript:{_RUN}'>x</mi></math>",
    "<style>@import 'http://127.0.0.1:9/x';</style>",
    "<link rel=stylesheet href=http://127.0.0.1:9/z.css>",
    "<base href='http://127.0.0.1:9/'><form action=x><button>x</button></form>",
    f"<template shadowrootmode=open><script>{_RUN}</script></template>",
    f"javascript:{_RUN}",
    f"[press](javascript:{_RUN})",
    f"![x](x' onerror='{_RUN})",
    f"<data:text/html,<script>{_RUN}</script>>",
    f"https://127.0.0.1/'onmouseover='{_RUN}",
    f'https://127.0.0.1/"onmouseover="{_RUN}',
    f"{{{{constructor.constructor('{_RUN}')()}}}}",
    f"${{{_RUN}}}",
    f"<%= {_RUN} %>",
)
_CONTROLS = (
    "\x1b[31mred\x1b[0m", "\x1b]8;;javascript:alert(1)\x07link\x1b]8;;\x07", "\x1b[2J\x1b[H",
    "\u202egnp.exe", "\u2066\u2067\u202bmixed\u2069", "\x00nul\x00", "\x07\x08\x7f", "a\r\nb\tc",
    "\u200b\u200d\ufeff", "\u0301" * 50, "\ue000\uffff", "\U0001f468\u200d\U0001f469", "a\u2028b",
)  # fmt: skip
_PATHS = (
    "../../escaped", "/tmp/mistudio-escaped", "..\\..\\escaped", "C:\\escaped", "~/escaped",
    "a/../../../escaped", "%2e%2e%2fescaped", "file:///etc/passwd", "//host/share", "CON", ".",
    "..", "__proto__", "constructor", "%s%n{0}{self.__class__}", "'; DROP TABLE datasets; --",
    "$(id)", "`id`", "| id", "-rf",
)  # fmt: skip
_FRAMES = (
    ("'>", ""), ('">', ""), ("</title>", ""), ("--><!--", ""), ("]]>", "]]>"), ("", "\u202e"),
    ("x ", " y"), ("</textarea>", ""), ("</style>", ""), ("# ", "\n\n"),
)  # fmt: skip


def texts(count: int) -> list[str]:
    """Return that many different texts."""
    plain = (*_SCRIPTS, *_CONTROLS, *_PATHS)
    framed = (before + text + after for before, after in _FRAMES for text in plain)
    found = list(itertools.islice(dict.fromkeys(itertools.chain(plain, framed)), count))
    assert len(found) == count
    return found
