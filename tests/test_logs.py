"""The log file that processes share, stderr, and what may stand in a line."""

from __future__ import annotations

import fcntl
import logging
import os
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from small_disk import fill, small_disk

from mistudio_widgets.hub import redacted
from mistudio_widgets.logs import FOLDER, open_log
from mistudio_widgets.logs.file import LogFile
from mistudio_widgets.logs.lines import MAX_CHARS

LINE = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}Z (?:DEBUG|INFO|WARNING|ERROR) +\[\d+\] .*"
)
ROOT = Path(__file__).parent.parent
LOGGER = logging.getLogger("mistudio_widgets")
ELSEWHERE = logging.getLogger("mistudio_widgets.somewhere")

WRITER = """
import logging, sys, threading
from pathlib import Path
from mistudio_widgets.logs.file import LogFile
path, name, max_bytes, num_files, num_lines, num_threads = sys.argv[1:]
logger = logging.getLogger("writer")
logger.setLevel("INFO")
logger.propagate = False
file = LogFile(Path(path), logger, max_bytes=int(max_bytes), num_files=int(num_files))
logger.addHandler(file)
print("ready", flush=True)
sys.stdin.readline()
def write(thread):
    for number in range(int(num_lines)):
        logger.info("%s-%d-%d %s end", name, thread, number, "x" * (number * 7 % 200))
        if num_threads == "1":
            print(number, flush=True)
threads = [threading.Thread(target=write, args=(n,)) for n in range(int(num_threads))]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


class Writer:
    """A process that writes lines as fast as it can, from `begin` on."""

    def __init__(self, path: Path, name: str, max_bytes: int, num_lines: int, threads: int) -> None:
        arguments = [str(path), name, str(max_bytes), "100000", str(num_lines), str(threads)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", WRITER, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def begin(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self) -> None:
        self.process.communicate(timeout=120)


def lines_of(folder: Path) -> list[str]:
    """Return the lines of all files of a log, oldest first."""
    files = sorted(folder.iterdir(), key=lambda path: int(path.suffix.strip(".log") or 0))
    text = "".join(path.read_text() for path in reversed(files))
    assert not text or text.endswith("\n")
    return text.split("\n")[:-1]


def log_of(data_dir: Path) -> str:
    return (data_dir / "logs" / "mistudio.log").read_text()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Callable[[Path], Callable[[], None]]]:
    """Open logs of data folders; what a test leaves open is closed."""
    opened = []

    def open_it(root: Path = tmp_path) -> Callable[[], None]:
        close = open_log(root, read_only=False, redact=redacted)
        opened.append(close)
        return close

    yield open_it
    for close in opened:
        close()


def handler_on(path: Path, **options: int) -> tuple[LogFile, list[str]]:
    """Return a handler on a logger of its own, and what the logger's other handler gets."""
    logger = logging.Logger("alone")  # noqa: LOG001 -- no test sees another's
    told: list[str] = []

    class Other(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(record.getMessage())

    handler = LogFile(path, logger, **options)
    logger.addHandler(handler)
    logger.addHandler(Other())
    return handler, told


def write(handler: LogFile, text: str) -> None:
    handler.handle(logging.LogRecord("alone", logging.INFO, "", 0, text, None, None))


def test_processes_that_rotate_one_file_lose_and_tear_no_line(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "mistudio.log"
    writers = [Writer(path, f"writer{n}", 20_000, 800, 2) for n in range(3)]
    for writer in writers:
        writer.begin()
    for writer in writers:
        writer.end()
        assert writer.process.returncode == 0
    found = Counter(lines_of(path.parent))
    expected = {
        f"writer{process}-{thread}-{number} {'x' * (number * 7 % 200)} end"
        for process in range(3)
        for thread in range(2)
        for number in range(800)
    }
    assert set(found) == expected
    assert set(found.values()) == {1}
    sizes = [file.stat().st_size for file in path.parent.iterdir()]
    assert len(sizes) > 20
    assert max(sizes) <= 20_000
    # and none was rotated away before it was full
    assert sum(size < 19_000 for size in sizes) <= 1


def test_a_killed_process_takes_no_line_with_it_and_leaves_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "mistudio.log"
    stays = Writer(path, "stays", 2_000, 1_000, 2)
    stays.begin()
    told: dict[str, int] = {}
    for number in range(3):
        killed = Writer(path, f"killed{number}", 2_000, 100_000, 1)
        killed.begin()
        assert killed.process.stdout is not None
        for _ in range(40 + 31 * number):
            told[f"killed{number}"] = int(killed.process.stdout.readline())
        killed.process.send_signal(signal.SIGKILL)
        killed.end()
    stays.end()
    found = Counter(line.split(" ")[0] for line in lines_of(path.parent))
    assert set(found.values()) == {1}
    assert {f"stays-{t}-{n}" for t in range(2) for n in range(1_000)} <= set(found)
    for name, last in told.items():
        assert {f"{name}-0-{number}" for number in range(last + 1)} <= set(found)
    assert all(line.endswith(" end") for line in lines_of(path.parent))


def test_five_files_of_ten_megabytes_are_kept(tmp_path: Path) -> None:
    handler, told = handler_on(tmp_path / "mistudio.log")
    for number in range(7_500):
        write(handler, f"{number} {'x' * 8_000}")
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    newest = sizes.pop("mistudio.log")
    assert sorted(sizes) == [f"mistudio.log.{n}" for n in (1, 2, 3, 4)]
    assert all(10 * 1024**2 - 9_000 < size <= 10 * 1024**2 for size in sizes.values())
    assert 0 < newest <= 10 * 1024**2
    numbers = [int(line.split(" ")[0]) for line in lines_of(tmp_path)]
    assert numbers == list(range(numbers[0], 7_500))
    assert told == []


def test_a_rotation_that_was_cut_off_costs_no_file(tmp_path: Path) -> None:
    (tmp_path / "mistudio.log").write_text("new\n" * 20)
    (tmp_path / "mistudio.log.2").write_text("old\n")
    (tmp_path / "mistudio.log.3").write_text("older\n")
    handler, _ = handler_on(tmp_path / "mistudio.log", max_bytes=80, num_files=4)
    write(handler, "newest")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "mistudio.log": "newest\n",
        "mistudio.log.1": "new\n" * 20,
        "mistudio.log.2": "old\n",
        "mistudio.log.3": "older\n",
    }


def test_a_process_that_stopped_with_the_lock_holds_nobody_up(tmp_path: Path) -> None:
    path = tmp_path / "mistudio.log"
    path.touch()
    handler, told = handler_on(path, max_bytes=10)
    with path.open() as locked:
        fcntl.flock(locked, fcntl.LOCK_EX)
        write(handler, "the first")
        write(handler, "the second")
    assert path.read_text() == "the first\nthe second\n"
    write(handler, "the third")
    assert path.read_text() == "the third\n"
    assert told == []


def test_a_full_disk_takes_lines_whole_or_not_at_all(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "1m") as disk:
        handler, told = handler_on(disk / "logs" / "mistudio.log")
        write(handler, "before")
        fill(disk)
        for number in range(5):
            write(handler, f"{number} {'x' * 3_000}")
        found = lines_of(disk / "logs")
        # the last page had room for one
        assert found == ["before", f"0 {'x' * 3_000}"]
        (complaint,) = told
        assert "work goes on without it: No space left on device" in complaint
        (disk / "filling").unlink()
        write(handler, "after")
        assert lines_of(disk / "logs")[2:] == [
            "after",
            "4 records before this could not be written",
        ]
        assert told[1:] == ["4 records before this could not be written"]


def test_a_log_that_cannot_be_a_file_ends_no_work(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("mine\n")
    linked = tmp_path / "linked.log"
    linked.symlink_to(outside)
    (tmp_path / "file").touch()
    for path in (linked, tmp_path / "file" / "mistudio.log", tmp_path / "gone" / "logs" / "x.log"):
        handler, told = handler_on(path)
        write(handler, "one")
        write(handler, "two")
        assert len(told) == 1, path
    assert outside.read_text() == "mine\n"
    assert not (tmp_path / "gone").exists()


def test_a_folder_that_is_removed_comes_back(tmp_path: Path) -> None:
    handler, told = handler_on(tmp_path / "logs" / "mistudio.log")
    write(handler, "one")
    (tmp_path / "logs" / "mistudio.log").unlink()
    (tmp_path / "logs").rmdir()
    write(handler, "two")
    assert lines_of(tmp_path / "logs") == ["two"]
    assert told == []


HOSTILE = [
    "two\nlines",
    "2026-11-28 00:00:00.000Z INFO    [1] forged\r\n2026-11-28 00:00:00.000Z INFO    [1] twice",
    "\x1b[2J\x1b]0;title\x07 \x9b31m",
    "\u202etxt.exe\u2066 \u200f\u2028\u2029\x85\x0b\x0c\x1c",
    "half \ud800 a character, a tag \U000e0041, nothing \ufeff\u200b\x00",
]


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_nothing_in_a_record_ends_or_begins_a_line(
    log: Callable[[], object], tmp_path: Path, hostile: str
) -> None:
    log()
    ELSEWHERE.warning("a name: %s.", hostile)
    ELSEWHERE.error("it failed", exc_info=RuntimeError(hostile))
    text = log_of(tmp_path)
    # as text, and as a terminal takes it apart
    assert text.split("\n")[:-1] == text.splitlines()
    first, second, *traceback = text.splitlines()
    assert LINE.fullmatch(first)
    assert first.endswith(".")
    assert LINE.fullmatch(second)
    assert traceback
    assert all(line.startswith("    | ") for line in traceback)
    assert text.replace("\n", "").isprintable()


def test_a_line_is_not_endless(log: Callable[[], object], tmp_path: Path) -> None:
    log()
    ELSEWHERE.warning("%s", "x" * 1_000_000)
    ELSEWHERE.error("it failed", exc_info=RuntimeError("y" * 1_000_000 + "z"))
    text = log_of(tmp_path)
    assert len(text) < 4 * MAX_CHARS
    assert "992,000 more characters" in text
    assert text.endswith("z\n")


def test_a_wrong_call_ends_no_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    handler, _ = handler_on(tmp_path / "mistudio.log")
    handler.handle(logging.LogRecord("alone", logging.INFO, "", 0, "%d", ("no number",), None))
    write(handler, "after")
    assert lines_of(tmp_path) == ["after"]
    assert "no number" in capsys.readouterr().err


def test_the_logger_is_as_it_was_when_the_last_one_closes(log: Callable[[], object]) -> None:
    root = (list(logging.root.handlers), logging.root.level)
    before = (list(LOGGER.handlers), LOGGER.level, LOGGER.propagate)
    first, second = log(), log()
    assert len(LOGGER.handlers) == len(before[0]) + 2
    first()
    first()
    assert LOGGER.isEnabledFor(logging.INFO)
    second()
    assert (list(LOGGER.handlers), LOGGER.level, LOGGER.propagate) == before
    assert (list(logging.root.handlers), logging.root.level) == root


def test_two_on_one_folder_write_each_line_once(log: Callable[[], object], tmp_path: Path) -> None:
    first, second = log(), log()
    ELSEWHERE.info("both")
    second()
    ELSEWHERE.info("the first")
    first()
    ELSEWHERE.info("nobody")
    assert [line.rpartition("] ")[2] for line in log_of(tmp_path).splitlines()] == [
        "both",
        "the first",
    ]


def test_what_tells_of_a_folder_goes_into_its_own_log(
    log: Callable[[Path], object], tmp_path: Path
) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
        log(folder)
    ELSEWHERE.info("of a", extra={FOLDER: folders[0]})
    ELSEWHERE.info("of both")
    told = [[line.rpartition("] ")[2] for line in log_of(f).splitlines()] for f in folders]
    assert told == [["of a", "of both"], ["of both"]]


@pytest.mark.parametrize(
    ("asked", "written"),
    [(None, "IWE"), ("", "IWE"), ("debug", "DIWE"), (" Warning ", "WE"), ("ERROR", "E")],
)
def test_the_level_is_what_the_environment_says(
    log: Callable[[], object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    asked: str | None,
    written: str,
) -> None:
    if asked is None:
        monkeypatch.delenv("MISTUDIO_LOG_LEVEL", raising=False)
    else:
        monkeypatch.setenv("MISTUDIO_LOG_LEVEL", asked)
    log()
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        ELSEWHERE.log(level, "told")
    found = re.findall(r"Z (\w)\w+ +\[\d+\] told", log_of(tmp_path))
    assert "".join(found) == written


@pytest.mark.parametrize("asked", ["loud", "7", "NOTSET", "DEBUG\nINFO"])
def test_a_level_that_is_none_is_told_and_work_goes_on(
    log: Callable[[], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    monkeypatch.setenv("MISTUDIO_LOG_LEVEL", asked)
    log()
    ELSEWHERE.info("told")
    complaint, told = log_of(tmp_path).splitlines()
    assert f"MISTUDIO_LOG_LEVEL is {asked!r}" in complaint.replace("\\\\n", "\\n")
    assert "DEBUG, INFO, WARNING, ERROR, CRITICAL" in complaint
    assert told.endswith("told")


SCRIPT = """
import logging, sys
from pathlib import Path
from mistudio_widgets.hub import redacted
from mistudio_widgets.logs import open_log
exec(sys.argv[3])
close = open_log(Path(sys.argv[1]), read_only=sys.argv[2] == "read-only", redact=redacted)
exec(sys.argv[4])
for level in (logging.DEBUG, logging.INFO, logging.WARNING):
    logging.getLogger("mistudio_widgets.there").log(level, "told")
close()
assert logging.getLogger("mistudio_widgets").propagate
"""


def told_on_stderr(folder: Path, *, mode: str = "", before: str = "", after: str = "") -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder), mode, before, after],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=ROOT,
    )
    return [line for line in done.stderr.splitlines() if "told" in line]


@pytest.mark.parametrize("mode", ["", "read-only"])
def test_stderr_gets_what_the_file_gets(tmp_path: Path, mode: str) -> None:
    told = told_on_stderr(tmp_path, mode=mode)
    assert len(told) == 2
    assert all(LINE.fullmatch(line) for line in told)
    if mode:
        assert list(tmp_path.iterdir()) == []
    else:
        assert log_of(tmp_path).splitlines() == told


@pytest.mark.parametrize(
    ("before", "after", "levels"),
    [
        # logging asks a library for WARNING and more, whatever our file needs
        ("logging.basicConfig()", "", ["WARNING"]),
        ("logging.basicConfig(level='INFO')", "", ["INFO", "WARNING"]),
        ("", "logging.basicConfig(level='INFO')", ["INFO", "WARNING"]),
        ("logging.basicConfig(level='ERROR')", "", []),
        (
            "logging.basicConfig(); logging.getLogger('mistudio_widgets').setLevel('DEBUG')",
            "",
            ["DEBUG", "INFO", "WARNING"],
        ),
        (
            "logging.basicConfig()",
            "logging.getLogger('mistudio_widgets').setLevel('INFO')",
            ["INFO", "WARNING"],
        ),
        (
            "logging.basicConfig()",
            "logging.getLogger('mistudio_widgets.there').setLevel('DEBUG')",
            ["DEBUG", "INFO", "WARNING"],
        ),
    ],
)
def test_who_configured_logging_gets_each_line_once_by_his_own_levels(
    tmp_path: Path, before: str, after: str, levels: list[str]
) -> None:
    told = told_on_stderr(tmp_path, before=before, after=after)
    assert told == [f"{level}:mistudio_widgets.there:told" for level in levels]
    assert "INFO" in log_of(tmp_path)


def test_a_handler_of_our_logger_alone_gets_each_line_once(tmp_path: Path) -> None:
    before = "logging.getLogger('mistudio_widgets').addHandler(logging.StreamHandler())"
    assert told_on_stderr(tmp_path, before=before) == ["told", "told"]


def test_a_handler_at_both_our_logger_and_the_root_gets_each_line_once(tmp_path: Path) -> None:
    # as pytest has it: it attaches itself to loggers that do not propagate
    after = (
        "logging.basicConfig(level='INFO')\n"
        "logging.getLogger('mistudio_widgets').addHandler(logging.root.handlers[0])"
    )
    told = told_on_stderr(tmp_path, after=after)
    assert told == [f"{level}:mistudio_widgets.there:told" for level in ("INFO", "WARNING")]


def test_a_kernels_stderr_that_nobody_reads_holds_no_work_up(
    log: Callable[[], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = os.pipe()

    class OutStream:
        """Stands for ipykernel's, whose process writes to a pipe."""

        __module__ = "ipykernel.iostream"

        def fileno(self) -> int:
            return writing

    monkeypatch.setattr(sys, "stderr", OutStream())
    # pytest is somebody who configured logging
    monkeypatch.setattr(logging.root, "handlers", [])
    log()
    for number in range(30):
        ELSEWHERE.info("%d %s", number, "x" * 4_000)
    ELSEWHERE.info("told")
    os.close(writing)
    with os.fdopen(reading) as pipe:
        heard = pipe.read()
    assert "told" in log_of(tmp_path)
    assert heard.startswith(log_of(tmp_path)[:4_000])
    assert "told" not in heard


def test_without_a_stderr_work_goes_on(tmp_path: Path) -> None:
    for closing in ("sys.stderr.close()", "sys.stderr = None"):
        assert told_on_stderr(tmp_path, before=closing) == []
    assert log_of(tmp_path).count("told") == 4


def test_a_forked_child_writes_lines_of_its_own(tmp_path: Path) -> None:
    before = (
        "import os, threading\n"
        "def fork():\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        logging.getLogger('mistudio_widgets').info('told by the child')\n"
        "        os._exit(0)\n"
        "    assert os.waitpid(child, 0)[1] == 0\n"
    )
    # while other threads write, so that locks are held when it is forked
    after = (
        "done = threading.Event()\n"
        "def write():\n"
        "    while not done.is_set(): logging.getLogger('mistudio_widgets').info('busy')\n"
        "threads = [threading.Thread(target=write) for _ in range(2)]\n"
        "for thread in threads: thread.start()\n"
        "for _ in range(20): fork()\n"
        "done.set()\n"
        "for thread in threads: thread.join()\n"
    )
    told_on_stderr(tmp_path, before=before, after=after)
    lines = log_of(tmp_path).splitlines()
    assert all(LINE.fullmatch(line) for line in lines)
    children = {line.split("[")[1].split("]")[0] for line in lines if "by the child" in line}
    assert len(children) == 20


def test_a_child_that_was_forked_under_the_lock_does_not_keep_it(tmp_path: Path) -> None:
    code = (
        "import fcntl, logging, os, sys\n"
        "from pathlib import Path\n"
        "from mistudio_widgets.logs.file import LogFile\n"
        "path = Path(sys.argv[1])\n"
        "class Forking(LogFile):\n"
        "    child = None\n"
        "    def _is_at_path(self, descriptor):\n"
        "        self.child = self.child or os.fork()\n"
        "        if not self.child:\n"
        "            os.close(1)\n"
        "            sys.stdin.read()\n"
        "            os._exit(0)\n"
        "        return super()._is_at_path(descriptor)\n"
        "logger = logging.Logger('alone')\n"
        "logger.addHandler(Forking(path, logger))\n"
        "logger.info('told')\n"
        "with path.open() as file: fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
        "print('free')"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "mistudio.log")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "free\n"
    assert (tmp_path / "mistudio.log").read_text() == "told\n"


def test_where_a_files_number_changes_lines_are_written_all_the_same(tmp_path: Path) -> None:
    class Changing(LogFile):
        def _is_at_path(self, descriptor: int) -> bool:
            return False

    handler = Changing(tmp_path / "mistudio.log", LOGGER, max_bytes=10)
    write(handler, "the first")
    write(handler, "the second")
    assert lines_of(tmp_path) == ["the first", "the second"]


def test_a_secret_in_a_foreign_error_is_not_written(
    log: Callable[[], object], tmp_path: Path
) -> None:
    log()
    said = "GET https://me:pw@cdn.example/f?X-Signature=abcdef with hf_abcdefghijklmnopqrst"
    ELSEWHERE.warning("it failed: %s", said)
    ELSEWHERE.error("it failed", exc_info=RuntimeError(said))
    text = log_of(tmp_path)
    assert text.count("https://cdn.example/f?...") == 2
    assert not [secret for secret in ("pw@", "Signature", "abcdef") if secret in text]


def test_threads_open_and_close_without_a_doubled_line(tmp_path: Path) -> None:
    stop = threading.Event()

    def open_and_close() -> None:
        while not stop.is_set():
            open_log(tmp_path, read_only=False, redact=redacted)()

    keep = open_log(tmp_path, read_only=False, redact=redacted)
    threads = [threading.Thread(target=open_and_close) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(300):
        ELSEWHERE.info("number %d", number)
    stop.set()
    for thread in threads:
        thread.join()
    keep()
    found = re.findall(r"number (\d+)", log_of(tmp_path))
    assert found == [str(number) for number in range(300)]


def test_the_file_may_be_read_by_whom_the_umask_lets(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        handler, _ = handler_on(tmp_path / "logs" / "mistudio.log")
        write(handler, "one")
    finally:
        os.umask(before)
    assert (tmp_path / "logs" / "mistudio.log").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "logs").stat().st_mode & 0o777 == 0o750
