"""Children that are killed, each a fork of a process that has imported everything: 0.1 s, not 2.

That process opens no data folder and starts no thread, so that a child inherits no lock, no
instance of DuckDB and nothing half done.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import traceback
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Self

TESTS = Path(__file__).parents[1]
_PATIENCE_S = 120.0
_LIBRARIES = (
    "datasets", "duckdb", "fastokens", "huggingface_hub", "pyarrow.parquet", "tantivy",
    "tokenizers", "torch", "transformers", "mistudio_widgets.manager",
)  # fmt: skip


class Child:
    """One child; what it says comes line by line."""

    def __init__(self, nursery: Nursery, pid: int, output: int) -> None:
        self.pid = pid
        self._nursery = nursery
        self._output = output

    def kill_after(self, seconds: float) -> None:
        """Kill it when it has run so long, unless it ends before."""
        if not self._nursery.has_news(seconds):
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def ended(self) -> tuple[int, list[str]]:
        """Wait for the end; returns the exit code, as `subprocess` has it, and all lines."""
        with os.fdopen(self._output, "rb") as output:
            said = output.read().decode()
        return self._nursery.exit_code(), said.splitlines()


class Nursery:
    """Forks one child at a time; a context manager."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(_PATIENCE_S)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "crash.nursery", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                cwd=TESTS,
                env={
                    **os.environ,
                    "PYTHONPATH": f"{TESTS}:{TESTS.parent}",
                    # neither starts threads when it is imported
                    "OPENBLAS_NUM_THREADS": "1",
                    "JE_ARROW_MALLOC_CONF": "background_thread:false",
                },
            )
        assert self._socket.recv(100) == b"ready"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._process.wait(30)

    def start(self, function: str, *arguments: Any) -> Child:
        """Call ``module:function`` in a child, with arguments that JSON can carry."""
        ours, theirs = os.pipe()
        request = json.dumps([function, arguments]).encode()
        socket.send_fds(self._socket, [request], [theirs])
        os.close(theirs)
        return Child(self, int(self._socket.recv(100)), ours)

    def has_news(self, seconds: float) -> bool:
        """Wait for the end of the child; False when it has not ended after so long."""
        return bool(select.select([self._socket], [], [], seconds)[0])

    def exit_code(self) -> int:
        return int(self._socket.recv(100))


def say(word: str, value: Any = None) -> None:
    """Tell the parent a fact, in one write: it is there before what comes next."""
    os.write(1, f"{word} {json.dumps(value)}\n".encode())


def _serve(theirs: socket.socket) -> None:
    for name in _LIBRARIES:
        import_module(name)
    assert len(os.listdir("/proc/self/task")) == 1, "a thread would be missing in the children"
    theirs.send(b"ready")
    while True:
        request, (*descriptors,), _, _ = socket.recv_fds(theirs, 100_000, 1)
        if not request:
            return
        function, arguments = json.loads(request)
        pid = os.fork()
        if pid == 0:
            theirs.close()
            os.dup2(descriptors[0], 1)
            _run(function, arguments)
        os.close(descriptors[0])
        theirs.send(str(pid).encode())
        _, status = os.waitpid(pid, 0)
        theirs.send(str(os.waitstatus_to_exitcode(status)).encode())


def _run(function: str, arguments: list[Any]) -> None:
    module, _, name = function.partition(":")
    try:
        getattr(import_module(module), name)(*arguments)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as given:
        _serve(given)
