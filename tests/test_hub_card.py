"""A card may hold anything, and holds nothing up."""

from __future__ import annotations

import itertools
import threading
import time

import pytest
from hub_calls import fails, plan

from mistudio_widgets.errors import JobCancelled, UnsupportedRepoError
from mistudio_widgets.hub._card import front_matter, plain_text
from mistudio_widgets.hub._layout import read_layout
from mistudio_widgets.hub._listing import Listing
from mistudio_widgets.hub._yaml import read_card
from mistudio_widgets.progress import Progress

REPO = "acme/carded"


def bomb(width: int = 9, depth: int = 30, *, top: str = "configs") -> str:
    lines = ["a0: &a0 [x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, depth)]
    return "\n".join([*lines, f"{top}: *a{depth - 1}"])


def carded(hub, yaml: str) -> None:
    card = f"---\n{yaml}\n---\n# Title\n".encode()
    hub.add("dataset", REPO, {"README.md": card, "train.txt": b"x\n"})


def read(yaml: str) -> dict[str, object]:
    return read_card({"README.md": f"---\n{yaml}\n---\n"}, REPO, lambda: None)


@pytest.mark.parametrize("top", ["configs", "dataset_info", "license"])
def test_aliases_that_stand_for_very_much_are_refused(hub, client, top):
    carded(hub, bomb(top=top))
    said = fails(client, UnsupportedRepoError, REPO)
    assert "README.md" in said
    assert "500,000 values" in said


def test_aliases_that_stand_for_little_are_fine():
    assert read("a: &a [1, 2]\nb: *a\nc: {<<: {d: *a}}") == {
        "a": [1, 2],
        "b": [1, 2],
        "c": {"d": [1, 2]},
    }


@pytest.mark.parametrize(
    ("yaml", "said"),
    [
        ("a: &a [*a]", "what it is part of"),
        ("a: " + "[" * 5000, "too deep"),
        ("a: " + "{a: " * 5000, "too deep"),
        ("license: mit\nconfigs: [", "README.md, line 3"),
        ("license: mit\nconfigs:\n\t- a", "README.md, line 4"),
        ("license: mit\nx: \x01", "README.md, line 3"),
        ("a: !!python/object:os.system x", "README.md, line 2"),
        ("- 1\n- 2", "no mapping"),
        ("a: 2026-99-99", "README.md"),
        ("x" * 2_000_001, "longer than"),
    ],
)
def test_yaml_that_cannot_be_read_names_the_card_and_the_line(hub, client, yaml, said):
    with pytest.raises(UnsupportedRepoError) as caught:
        read(yaml)
    assert said in caught.value.message
    assert REPO in caught.value.message
    assert "README.md" in caught.value.message


def test_a_broken_card_says_so_in_a_plan(hub, client):
    carded(hub, "license: mit\nconfigs: [")
    assert "README.md, line 3" in fails(client, UnsupportedRepoError, REPO)
    bad = b"a: 1\nb: [\n"
    hub.add("dataset", REPO, {".huggingface.yaml": bad, "train.txt": b"x\n"})
    assert ".huggingface.yaml, line 3" in fails(client, UnsupportedRepoError, REPO)


def test_a_number_of_any_length_is_read_at_once():
    started_at = time.process_time()
    read("a: 1" + ":1" * 200_000 + "\nb: " + "9" * 200_000)
    assert time.process_time() - started_at < 5


def test_a_card_that_is_read_does_not_hold_a_cancel_up():
    progress = Progress()
    timer = threading.Timer(0.1, progress.cancel)
    timer.start()
    text = "---\na:\n" + "- x\n" * 400_000 + "---\n"
    with pytest.raises(JobCancelled):
        read_card({"README.md": text}, REPO, progress.check)
    timer.join()


UNITS = (
    *("-", "*", "_", "`", "~", "#", "|", " ", "\t", "\n", "=", ">", "[", "]", "(", "![", "]("),
    *("<", "<a", "</", "<!--", "</script ", "&#", "\n ", "- ", "_a ", "*a", "**a ", "`a", "[a]("),
    *("![a]", "\n[a]: x", "| ", "|-", "-|", "\r\n", "~~a", "****a", "\n---", "<br "),
)


@pytest.mark.parametrize("unit", UNITS)
def test_any_card_is_plain_text_in_a_moment(unit):
    started_at = time.process_time()
    for before in ("", "---\n", "|"):
        text = before + unit * (64_000 // len(unit)) + "x"
        plain_text(text)
        front_matter(text)
    # quadratic time would be many seconds
    assert time.process_time() - started_at < 2


@pytest.mark.parametrize("pattern", ["*a" * 100 + "b", "**/" * 60 + "*a" * 20 + "b", "[a-z]*" * 60])
def test_any_pattern_is_matched_in_a_moment(pattern):
    paths = ["/".join(["a" * 250] * 7)] * 20
    started_at = time.process_time()
    assert list(Listing(paths, lambda: None).matching(pattern)) == []
    assert time.process_time() - started_at < 2


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("**", ["a.csv", "d/b.csv", "d/e/c.txt"]),
        ("*.csv", ["a.csv"]),
        ("**/*.csv", ["a.csv", "d/b.csv"]),
        ("d/**", ["d/b.csv", "d/e/c.txt"]),
        ("./d/*", ["d/b.csv"]),
        ("d/**/c.*", ["d/e/c.txt"]),
        ("**/e/**", ["d/e/c.txt"]),
        ("**/d/**", ["d/b.csv", "d/e/c.txt"]),
        ("**/d/**/b*", ["d/b.csv"]),
        ("d/?.csv", ["d/b.csv"]),
        ("[!b].csv", ["a.csv"]),
        ("d/b.csv", ["d/b.csv"]),
        ("d", []),
        ("d/b.csv/**", []),
    ],
)
def test_patterns_mean_what_they_mean_to_fsspec(tmp_path, pattern, found):
    from fsspec.implementations.local import LocalFileSystem

    paths = ["a.csv", "d/b.csv", "d/e/c.txt"]
    for path in paths:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    assert list(Listing(paths, lambda: None).matching(pattern)) == found
    theirs = LocalFileSystem().glob(f"{tmp_path}/{pattern}", detail=True)
    files = sorted(path for path, info in theirs.items() if info["type"] == "file")
    assert [path.removeprefix(f"{tmp_path}/").removeprefix("./") for path in files] == found


def test_many_files_are_looked_through_with_many_looks_at_the_job():
    looks = [time.process_time()]
    paths = [f"data/x{number:05d}.txt" for number in range(10_000)]
    read_layout(REPO, paths, {}, None, lambda: looks.append(time.process_time()))
    assert max(b - a for a, b in itertools.pairwise(looks)) < 1.0


def test_a_plan_leaves_nothing_on_the_disk(hub, client, monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    plan(client, "acme/many-files")
    assert list(tmp_path.iterdir()) == []
