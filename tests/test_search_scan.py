"""The search language, and searching by reading, against a plain reference."""

# ruff: noqa: RUF001 -- letters that look alike are what is tested
from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from search_reference import ODD, TEXTS, plain_words, plainly_matches, searches_in, written

from mistudio_widgets.errors import InvalidRequestError
from mistudio_widgets.samples.highlights import first_highlights
from mistudio_widgets.samples.pattern import patterns_of
from mistudio_widgets.samples.query import Group, Query, Term, parse
from mistudio_widgets.samples.scan import matches
from mistudio_widgets.samples.text import terms_of, terms_of_rows, words


def found(search: str, *texts: str | None) -> list[int]:
    mask = matches(pa.array(texts, pa.string()), parse(search))
    return [number for number, is_hit in enumerate(mask) if is_hit]


@given(st.data())
def test_scan_and_matches_say_what_the_reference_says(data: st.DataObject) -> None:
    texts = data.draw(TEXTS)
    search = data.draw(searches_in(texts))
    query = parse(written(search))
    wanted = [plainly_matches(search, text) for text in texts]
    assert [query.matches(text) for text in texts] == wanted
    assert matches(pa.array(texts), query).tolist() == wanted
    assert matches(pa.array(texts, pa.large_string()), query).tolist() == wanted


@given(st.text(ODD))
def test_words_are_runs_of_word_characters_folded(text: str) -> None:
    assert [word.text for word in words(text)] == plain_words(text)
    assert all(text[word.start : word.end].casefold() == word.text for word in words(text))


@given(TEXTS)
def test_terms_of_many_rows_are_those_of_each(texts: list[str]) -> None:
    each = [[word.text for word in words(text)] for text in texts]
    assert [terms.split() for terms in terms_of_rows(pa.array(texts))] == each
    ascii_only = [text.encode("ascii", "replace").decode() for text in texts]
    sliced = pa.array(["x", *ascii_only, "y"]).slice(1, len(texts))
    assert [terms.split() for terms in terms_of_rows(sliced)] == [
        plain_words(text) for text in ascii_only
    ]


def test_long_words_become_terms_that_tell_them_apart() -> None:
    long, other = "é" * 70_000, "é" * 69_999 + "e"
    for text in (long, "a" * 70_000):
        (term,) = terms_of(text).split()
        assert len(term.encode()) < 65_530
        assert terms_of_rows(pa.array([text, "x"])) == [term, "x"]
    assert terms_of(long) != terms_of(other)
    assert terms_of("a" * 255) == "a" * 255


@pytest.mark.parametrize(
    ("search", "texts", "hits"),
    [
        ("a b OR c", ["a", "b a", "c", "a c"], [1, 2, 3]),
        ("OR cats", ["cats", "cats or"], [1]),
        ("cats OR", ["cats", "cats or"], [1]),
        ("a or b", ["a", "a b", "a or b"], [2]),
        ("a OR OR b", ["a", "a or", "b"], [1, 2]),
        ("-a", ["a", "b", "", None], [1, 2, 3]),
        ("a OR -b", ["a b", "b", "c"], [0, 2]),
        ("-a.b", ["a", "b", "a b", "b x a"], [0, 1]),
        ("a.b", ["a", "b x a"], [1]),
        ('"a b', ["a", "b x a"], [1]),
        ('-"a b', ["a", "b x a"], [1]),
        ("a - b", ["a", "b x a"], [1]),
        ("2*3", ["23", "3, 2", "2"], [1]),
        ('"x y"', ["x, y", "x z y", "x\n\n-y", "xy"], [0, 2]),
        ('"x y*"', ["x yz", "x zy"], [0]),
        ('"x y"*', ["x yz", "x zy"], [0]),
        ('-"x y*"', ["x yz", "x zy"], [1]),
        ("", ["a", None], [0, 1]),
        ('"" !?', ["a", None], [0, 1]),
        ("東京", ["東京都", "京東", "東, 京"], [0, 2]),
        ("abc東*", ["abc東", "abc 東x", "abcd東"], [0, 1]),
        ("straße", ["STRASSE", "Straße", "strase"], [0, 1]),
        ("stras*", ["Straße", "STRASSE", "strand"], [0, 1]),
        ("i*", ["İstanbul", "ıx"], [0]),
        ("İ", ["I", "i", "i\u0307", "x İ"], [3]),
        ("fine", ["ﬁne", "FINE", "fin e"], [0, 1]),
        ("ΣΑΣ", ["σας", "σασ"], [0, 1]),
        ("snake_case", ["snake_case", "snake case"], [0]),
        ("snake", ["snake_case", "a snake!"], [1]),
        ("\ud800a\0b", ["a b", "ab"], [0]),
        ("x", ["😀x😀", "éx", "x\u0301", "x²"], [0, 2]),
        ("s" * 300, ["s" * 300, "ß" * 150, "s" * 299], [0, 1]),
        ("s" * 299 + "*", ["s" * 300, "ß" * 150, "s" * 298], [0, 1]),
        ("k" * 70_000, ["K" * 70_000, "k" * 69_999], [0]),
        (" ".join(f"w{n}" for n in range(40)), [" ".join(f"w{n}" for n in range(40)), "w1"], [0]),
        (f'"{" ".join("abcdefghijkl")}"', ["a b c d e f g h i j k l", "a b c d e f g h i j l k"],
         [0]),
    ],
)  # fmt: skip
def test_corners_of_the_language(search: str, texts: list[str | None], hits: list[int]) -> None:
    assert found(search, *texts) == hits
    query = parse(search)
    assert [n for n, text in enumerate(texts) if query.matches(text or "")] == hits


@pytest.mark.parametrize(
    ("search", "text", "marked"),
    [
        ("the", "The other THE the", ["The", "THE", "the"]),
        ('"new york" york', "New, York york", ["New, York", "york"]),
        ("stra* -x", "Straße x strand", ["Straße", "strand"]),
        ("i*", "İİ x", ["İİ"]),
        ("東京", "in 東京都", ["東京"]),
        ("fi", "ﬁ😀fi", ["ﬁ", "fi"]),
        ("a OR b", "a b", ["a", "b"]),
        ('"a b" "b c"', "a b c", ["a b c"]),
        ("-a", "a", []),
    ],
)
def test_highlights_are_ranges_of_the_text_as_it_is(
    search: str, text: str, marked: list[str]
) -> None:
    assert [text[start:end] for start, end in parse(search).highlights(text)] == marked


def test_highlights_of_a_beginning_judge_words_whole() -> None:
    assert parse("the").highlights("a theory", 5) == []
    assert parse("theory").highlights("a theory", 5) == [[2, 5]]
    assert parse('"a theory"').highlights("a theory", 1) == [[0, 1]]
    assert parse("theory").highlights("a theory", 2) == []


@given(st.data())
def test_highlights_far_behind_are_those_of_the_whole_text(data: st.DataObject) -> None:
    texts = data.draw(TEXTS)
    query = parse(written(data.draw(searches_in(texts))))
    text = " ".join(texts)
    whole = query.highlights(text)
    shown = first_highlights(text, query, 5)
    if not whole:
        assert shown == []
    elif whole[0][0] < 5:
        assert shown == query.highlights(text, 5)
    else:
        # from the hit on, or from the separator before it
        first = whole[0][0]
        assert shown in (query.highlights(text, first + 4), query.highlights(text, first + 5))


@given(st.text())
def test_any_text_is_a_search(text: str) -> None:
    query = parse(text)
    assert query == parse(text)
    query.matches(text)
    for start, end in query.highlights(text):
        assert 0 <= start < end <= len(text)


def test_a_search_is_bounded() -> None:
    for search in ("a" * 100_001, "a " * 501 + " ".join(f"w{n}" for n in range(501))):
        with pytest.raises(InvalidRequestError) as caught:
            parse(search)
        assert caught.value.field == "search"


def test_what_cannot_be_spelled_out_is_checked_in_python() -> None:
    tangled = Term(("s" * 40,))
    assert patterns_of(tangled).strict is None
    assert patterns_of(Term(("word",))).strict is not None
    assert matches(pa.array(["ß" * 20, "ß" * 21]), Query(parse("s" * 40).groups)).tolist() == [
        True,
        False,
    ]


def test_letters_of_two_cases_are_spelled_out_alike() -> None:
    sieves = {letter: patterns_of(Term((letter * 3,))).sieves[0] for letter in "abz"}
    assert {len(sieve) for sieve in sieves.values()} == {len(sieves["b"])}


@given(
    st.lists(st.text("aAsSſßẞkKKfiIﬁéÉ東", min_size=1, max_size=9), min_size=1, max_size=12),
    st.sampled_from([" ", ". ", "😀", "\u0301", "\n--"]),
    st.booleans(),
    st.data(),
)
def test_no_sieve_loses_a_text(
    written: list[str], between: str, is_prefix: bool, data: st.DataObject
) -> None:
    text = between.join(written)
    folded = [word.text for word in words(text)]
    if is_prefix:
        folded[-1] = folded[-1][: data.draw(st.integers(1, len(folded[-1])))]
    term = Term(tuple(folded), is_prefix)
    wanted = pa.array([text, f"x {text}, y"])
    for sieve in patterns_of(term).sieves:
        assert pc.match_substring_regex(wanted, sieve).to_pylist() == [True, True]
    assert matches(wanted, Query((Group((term,)),))).tolist() == [True, True]


def test_sieves_rule_out_what_has_the_words_elsewhere() -> None:
    *_, phrase = patterns_of(Term(("self", "attention", "of"))).sieves
    texts = pa.array(["SELF, attention of", "attention of self", "self attention", "self of"])
    assert pc.match_substring_regex(texts, phrase).to_pylist() == [True, False, False, False]
    (word,) = patterns_of(Term(("self",))).sieves
    # from the first letter on that has no other shape than its two in ASCII
    assert pc.match_substring_regex(pa.array(["elf", "ſelf", "sel"]), word).to_pylist() == [
        True, True, False,
    ]  # fmt: skip
