import time
from pathlib import Path

import pytest

from mistudio_widgets.errors import (
    InvalidRequestError,
    UnsupportedRepoError,
)
from mistudio_widgets.hub import Hub, check_repo_id, redacted
from mistudio_widgets.hub._card import MAX_DESCRIPTION_BYTES, plain_text
from mistudio_widgets.hub._names import check_file_name, check_same_names

ROOT = Path(__file__).parent.parent


# --- names


@pytest.mark.parametrize("good", ["squad", "acme/c4.en", "a/b", "A_b-c/d.e_f", "x" * 96])
def test_repo_ids_of_the_hub_are_accepted(good):
    assert check_repo_id(good) == good


@pytest.mark.parametrize(
    "bad",
    [
        "",
        None,
        7,
        "a/b/c",
        "/a",
        "a/",
        "a b",
        "a--b",
        "a..b",
        "../etc",
        "a/b.git",
        "-a",
        "a.",
        "café",
        "a\n",
        "x" * 97,
        "https://huggingface.co/datasets/acme/stories",
    ],
)
def test_garbage_repo_ids_are_refused_at_once(bad):
    with pytest.raises(InvalidRequestError) as caught:
        check_repo_id(bad)
    assert caught.value.field == "repo_id"
    assert "owner/name" in str(caught.value)


@pytest.mark.parametrize(
    "bad",
    ["../x", "a/../x", "/x", "a//b", "a\\b", "a\0b", "a/./b", "C:/x", "a\nb", "é" * 200],
)
def test_file_names_that_could_leave_their_folder_are_refused(bad):
    with pytest.raises(UnsupportedRepoError, match="safely"):
        check_file_name(bad, "acme/x")


def test_file_names_that_differ_only_by_case_are_refused():
    check_same_names(["a/b", "a/c"], "acme/x")
    with pytest.raises(UnsupportedRepoError, match=r"'a/B'.*'a/b'"):
        check_same_names(["a/B", "a/b"], "acme/x")


@pytest.mark.parametrize("endpoint", ["", "huggingface.co", "ftp://x", "https://", "http://[::1"])
def test_an_endpoint_that_is_no_web_address_is_refused(endpoint):
    with pytest.raises(InvalidRequestError) as caught:
        Hub(endpoint)
    assert caught.value.field == "hub_endpoint"


def test_a_second_endpoint_in_one_process_is_refused(client, hub):
    assert Hub(hub.url + "/") is not None
    assert Hub() is not None
    with pytest.raises(InvalidRequestError) as caught:
        Hub("https://hub.example.org")
    assert caught.value.field == "hub_endpoint"


def test_messages_lose_tokens_signatures_and_logins():
    text = (
        "GET https://me:pw@cdn.example/f?X-Amz-Signature=abc failed, Bearer hf_abcDEF123 hf_zzz999"
    )
    shown = redacted(text)
    for secret in ("pw", "abc", "zzz999", "me:"):
        assert secret not in shown
    assert "https://cdn.example/f" in shown


# --- the card


def test_a_card_becomes_plain_text():
    card = (
        "---\nlicense: mit\n---\n# Title #1\n\n<!-- hidden -->A **bold** _word_ and `code` in "
        "snake_case_name.\n\n![img](http://x/y.png)\n[![b](u)](v)\n[link](http://x?sig=1), "
        "<https://auto.example>\n\n| a | b |\n|---|:-:|\n| 1 | 2 |\n\n```python\nx = 1\n```\n"
        "<script>alert(1)</script><p align=center>5 &lt; 6</p>\n> quote\n* item\n"
    )
    text = plain_text(card)
    assert text == (
        "Title #1\n\nA bold word and code in snake_case_name.\n\nlink, https://auto.example\n\n"
        "a  b\n1  2\n\nx = 1\n\n5 < 6\n\nquote\n* item"
    )


@pytest.mark.parametrize("card", ["", "---\nlicense: mit\n---\n", "<!-- only -->", "\n\n"])
def test_a_card_without_text_is_none(card):
    assert plain_text(card) is None


def test_a_long_card_is_cut_between_characters():
    text = plain_text("ü" * 30_000)
    assert text == "ü" * (MAX_DESCRIPTION_BYTES // 2)


@pytest.mark.parametrize("bit", ["<!--", "[", "![", "<a ", "**a", "| -", "<script>", "__", "`a"])
def test_a_hostile_card_takes_no_time(bit):
    started = time.process_time()
    plain_text(bit * 100_000)
    assert time.process_time() - started < 5
