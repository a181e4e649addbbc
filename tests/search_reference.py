"""What a search finds, said slowly and plainly: the measure for scan and index.

It knows nothing of `samples`: searches are given as what they mean, and written down for it.
"""

# ruff: noqa: RUF001 -- letters that look alike are what is tested
from __future__ import annotations

import re
from dataclasses import dataclass

from hypothesis import strategies as st

CJK = "東京都々カなー한글ㄅｱ"
ODD = "aAbsSſßẞkKKfiIﬁﬀİıtﬆΣσςŉéE_0²٣½" + CJK + " \n.,-*\"'\0\u200d\u0301\u3099😀\ufffd"


def plain_words(text: str) -> list[str]:
    """Return the folded words of a text, one character at a time."""
    found, run = [], ""
    for character in text + " ":
        if re.fullmatch(r"\w", character) and character not in CJK:
            run += character
            continue
        if run:
            found.append(run.casefold())
        run = ""
        if character in CJK:
            found.append(character)
    return found


@dataclass(frozen=True)
class Wanted:
    """One thing that is looked for: the words as typed, side by side."""

    text: str
    is_phrase: bool = False
    is_prefix: bool = False
    is_negated: bool = False

    def written(self) -> str:
        quote = '"' if self.is_phrase else ""
        return "-" * self.is_negated + quote + self.text + "*" * self.is_prefix + quote

    def is_in(self, text: str) -> bool:
        wanted, found = plain_words(self.text), plain_words(text)
        for at in range(len(found) - len(wanted) + 1):
            pairs = list(zip(wanted, found[at:], strict=False))
            fits = [mine == its for mine, its in pairs]
            if self.is_prefix:
                fits[-1] = pairs[-1][1].startswith(pairs[-1][0])
            if all(fits):
                return True
        return False


Search = list[list[Wanted]]


def written(search: Search) -> str:
    return " OR ".join(" ".join(one.written() for one in group) for group in search)


def plainly_matches(search: Search, text: str) -> bool:
    return any(all(one.is_in(text) != one.is_negated for one in group) for group in search)


_TYPED = st.text([c for c in ODD if re.fullmatch(r"\w", c)], min_size=1, max_size=4).filter(
    lambda word: word != "OR"
)
_PHRASE = st.lists(_TYPED, min_size=1, max_size=3).map(" . ".join)


def _wanted() -> st.SearchStrategy[Wanted]:
    flags = st.booleans()
    return st.one_of(
        st.builds(Wanted, _TYPED, st.just(False), flags, flags),
        st.builds(Wanted, _PHRASE, st.just(True), flags, flags),
    )


TEXTS = st.lists(st.text(ODD, max_size=25), min_size=1, max_size=12)
SEARCHES = st.lists(st.lists(_wanted(), min_size=1, max_size=3), min_size=1, max_size=2)


@st.composite
def searches_in(draw: st.DrawFn, texts: list[str]) -> Search:
    """Draw a search of which some words stand in the texts."""
    search = draw(SEARCHES)
    words = [run for text in texts for run in re.findall(r"\w+", text) if run != "OR"]
    if not words:
        return search
    known = st.sampled_from(words)
    return [
        [
            Wanted(draw(known), one.is_phrase, one.is_prefix, one.is_negated)
            if draw(st.booleans())
            else one
            for one in group
        ]
        for group in search
    ]
