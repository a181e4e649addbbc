"""What the benchmarks share: real text, the machine in words, children that report in JSON."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import platform
import random
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_SUFFIXES = (".py", ".pyi", ".md", ".rst", ".txt", ".h", ".hpp", ".c", ".cpp", ".html", ".gz", "")
_MAX_FILE_BYTES = 1_000_000


def machine() -> str:
    """Return the machine in words."""
    model = platform.machine()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    load = os.getloadavg()[0]
    return (
        f"{model}, {os.cpu_count()} cores, {memory:.0f} GB, Python {platform.python_version()}, "
        f"load {load:.1f} at the start"
    )


def texts(num_bytes: int) -> list[str]:
    """Return distinct text files of this machine: sources, manuals, licences, change logs.

    Raises
    ------
    SystemExit
        The machine has less text.
    """
    chosen: list[str] = []
    seen: set[bytes] = set()
    left = num_bytes
    paths = list(_files())
    # a mix, and the same mix each time on one machine
    random.Random(0).shuffle(paths)
    for path in paths:
        text = _read(path)
        if text is None:
            continue
        digest = hashlib.sha256(text.encode()).digest()
        if digest in seen:
            continue
        seen.add(digest)
        chosen.append(text)
        left -= len(text.encode())
        if left <= 0:
            return chosen
    raise SystemExit(f"This machine has only {(num_bytes - left) / 1e6:.0f} MB of text.")


def _files() -> Iterator[Path]:
    paths = sysconfig.get_paths()
    roots = ["/usr/share/doc", paths["stdlib"], "/usr/lib/python3", paths["purelib"]]
    roots += ["/usr/include", "/usr/share", "/usr/lib"]
    for root in roots:
        for folder, names, files in os.walk(root):
            names.sort()
            for name in sorted(files):
                path = Path(folder) / name
                if path.suffix in _SUFFIXES and path.is_file() and not path.is_symlink():
                    yield path


def _read(path: Path) -> str | None:
    """Return a file's text, or None for what is no text, empty or very large."""
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            return None
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
        text = content.decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError):
        return None
    return text if text and "\0" not in text else None


def anonymous_bytes() -> int:
    """Return the anonymous memory of this process; mapped files are no part of it."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("This kernel does not tell RssAnon.")


def in_child(script: str, *arguments: object, **environment: str) -> dict[str, Any]:
    """Run a file of ours in a fresh process and return the JSON that it prints last."""
    found = subprocess.run(
        [sys.executable, script, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1", **environment},
    )
    if found.returncode:
        raise SystemExit(f"{arguments} failed:\n{found.stderr[-3000:]}")
    result: dict[str, Any] = json.loads(found.stdout.strip().splitlines()[-1])
    return result


def table(rows: list[tuple[str, ...]]) -> str:
    """Return rows as aligned text; the first row is the heading."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    lines.insert(1, "-" * len(lines[0]))
    return "\n".join(lines)
