"""The search language: what a search box says, as a tree, and what it finds in a text.

    words        all of them must occur, in any order and place
    "a phrase"   these words side by side, whatever separates them
    word*        words that begin so; also the last of a phrase: "a phr*" or "a phr"*
    -word        not that word; also -"a phrase" and -word*
    a OR b       one of both; binds less than the space: a b OR c is (a and b) or c

What a word is says `samples.text`. The corners:

- What is written together is one thing: ``東京`` means both characters side by side, not anywhere.
  But what separators hold together is several words: ``torch.nn`` means both, in any place; in a
  negation, ``-torch.nn`` leaves out the texts that have both.
- What cannot be parsed is searched as plain words: a quote that nothing closes, a minus or star
  that touches no word (``a - b``, ``2 * 3``, ``a*b``), an ``OR`` with nothing to choose from on
  one side, brackets, ``AND``, ``NOT``, ``or``.
- ``-word`` alone finds all texts without it, also empty ones.
- A search without any word (``""``, ``!?``) asks for nothing, so every text has it; a manager
  refuses one that is not blank.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ..errors import InvalidRequestError
from .text import Word, words

MAX_QUERY_CHARS: Final = 100_000
MAX_QUERY_WORDS: Final = 500

# a chunk ends at a space, but not at one between quotes
_CHUNK: Final = re.compile(r'(?:"[^"]*"|\S)+')
_TERM: Final = re.compile(r'"([^"]*)"(\*(?!\w))?|(\w+)(\*(?![\w*]))?')
_NEGATED: Final = re.compile(r'-(?:\w|"[^"]*")')
_STAR_IN_PHRASE: Final = re.compile(r"\w\*\s*\Z")


@dataclass(frozen=True)
class Term:
    """Folded words that stand side by side; of the last, a prefix is enough if ``is_prefix``."""

    words: tuple[str, ...]
    is_prefix: bool = False

    def spans(self, found: Sequence[Word], places: Mapping[str, Sequence[int]]) -> Iterator[Word]:
        """Yield where the term stands among the words of a text.

        ``places`` are the positions of each word in ``found``.
        """
        last = len(self.words) - 1
        if last:
            starts: Sequence[int] = places.get(self.words[0], ())
        elif self.is_prefix:
            prefix = self.words[0]
            starts = [at for word, all_at in places.items() if word.startswith(prefix)
                      for at in all_at]  # fmt: skip
        else:
            starts = places.get(self.words[0], ())
        for at in starts:
            if self.is_at(found, at):
                yield Word("", found[at].start, found[at + last].end)

    def is_at(self, found: Sequence[Word], at: int = 0) -> bool:
        """Tell whether the term begins with this word of a text."""
        return at + len(self.words) <= len(found) and all(
            self._fits(number, found[at + number].text) for number in range(len(self.words))
        )

    def _fits(self, number: int, word: str) -> bool:
        wanted = self.words[number]
        if self.is_prefix and number == len(self.words) - 1:
            return word.startswith(wanted)
        return word == wanted


@dataclass(frozen=True)
class Group:
    """Terms that must all occur, and sets of terms of which none may occur as a whole."""

    required: tuple[Term, ...] = ()
    excluded: tuple[tuple[Term, ...], ...] = ()


@dataclass(frozen=True)
class Query:
    """A search that was understood: one of the groups must hold; without any, all texts do.

    Two searches that mean the same in the same order of words are equal.
    """

    groups: tuple[Group, ...]

    @property
    def is_empty(self) -> bool:
        """Whether it asks for nothing."""
        return not self.groups

    @property
    def required(self) -> tuple[Term, ...]:
        """All terms that are looked for, each once."""
        return tuple(dict.fromkeys(term for group in self.groups for term in group.required))

    def matches(self, text: str) -> bool:
        """Tell whether a text has what is asked for.

        >>> parse('"quick brown" fo* -dog').matches("The QUICK, brown fox.")
        True
        """
        if self.is_empty:
            return True
        found, places = _places(text)

        def has(term: Term) -> bool:
            return next(term.spans(found, places), None) is not None

        return any(
            all(map(has, group.required))
            and not any(all(map(has, terms)) for terms in group.excluded)
            for group in self.groups
        )

    def highlights(
        self, text: str, num_chars: int | None = None, start: int = 0
    ) -> list[list[int]]:
        """Return where what is looked for stands.

        Parameters
        ----------
        text : str
        num_chars : int, optional
            Only the beginning is shown: a word that goes on behind it is judged whole, and the
            range ends where the beginning does.
        start : int
            Nothing before it is looked at; where no word goes on.

        Returns
        -------
        list of [start, end]
            Code points, in order, apart from each other: phrases from their first to their last
            word, words whole where a prefix was asked for.

        >>> parse("stra* OR “東京”").highlights("Straße in 東京都")
        [[0, 6], [10, 12]]
        """
        if not self.required:
            return []
        shown = len(text) if num_chars is None else num_chars
        found, places = _places(text, shown, start)
        ranges = sorted(
            [span.start, min(span.end, shown)]
            for term in self.required
            for span in term.spans(found, places)
            if span.start < shown
        )
        merged: list[list[int]] = []
        for low, high in ranges:
            if merged and low < merged[-1][1]:
                merged[-1][1] = max(merged[-1][1], high)
            else:
                merged.append([low, high])
        return merged


def parse(search: str) -> Query:
    """Understand a search; whatever it is, it can be.

    Raises
    ------
    InvalidRequestError
        More than 100,000 characters or 500 words.
    """
    if len(search) > MAX_QUERY_CHARS:
        raise InvalidRequestError(
            f"A search has at most {MAX_QUERY_CHARS} characters, not {len(search)}.", field="search"
        )
    chunks = [chunk.group() for chunk in _CHUNK.finditer(search)]
    chunks = [chunk for chunk in chunks if next(words(chunk), None) is not None]
    groups, group = [], Group()
    for number, (chunk, is_or) in enumerate(zip(chunks, _choices(chunks), strict=True)):
        if is_or:
            groups.append(group)
            group = Group()
        else:
            group = _with_chunk(group, chunk)
        if number == len(chunks) - 1:
            groups.append(group)
    _check_size(groups)
    return Query(tuple(dict.fromkeys(groups)))


def _choices(chunks: Sequence[str]) -> list[bool]:
    """Tell for each chunk whether it is the ``OR`` between two others."""
    choices: list[bool] = []
    for number, chunk in enumerate(chunks):
        after = chunks[number + 1 : number + 2]
        stands_between = number > 0 and not choices[-1] and after not in ([], ["OR"])
        choices.append(chunk == "OR" and stands_between)
    return choices


def _with_chunk(group: Group, chunk: str) -> Group:
    is_negated = _NEGATED.match(chunk) is not None
    terms = tuple(_terms(chunk))
    if is_negated:
        return Group(group.required, tuple(dict.fromkeys((*group.excluded, terms))))
    return Group(tuple(dict.fromkeys((*group.required, *terms))), group.excluded)


def _terms(chunk: str) -> Iterator[Term]:
    for match in _TERM.finditer(chunk):
        phrase, star_after, run, star = match.groups()
        text = run if phrase is None else phrase
        is_prefix = bool(star or star_after or (phrase and _STAR_IN_PHRASE.search(phrase)))
        found = tuple(word.text for word in words(text))
        if found:
            yield Term(found, is_prefix)


def _check_size(groups: Sequence[Group]) -> None:
    num_words = sum(
        len(term.words)
        for group in groups
        for terms in (group.required, *group.excluded)
        for term in terms
    )
    if num_words > MAX_QUERY_WORDS:
        raise InvalidRequestError(
            f"A search has at most {MAX_QUERY_WORDS} words, not {num_words}.",
            field="search",
            hint="Search for the words that tell most.",
        )


def _places(
    text: str, shown: int | None = None, start: int = 0
) -> tuple[list[Word], dict[str, list[int]]]:
    found: list[Word] = []
    places: dict[str, list[int]] = {}
    behind = 0
    for word in words(text, start):
        if shown is not None and word.start >= shown:
            # a phrase may begin in what is shown and end behind it
            behind += 1
            if behind > MAX_QUERY_WORDS:
                break
        places.setdefault(word.text, []).append(len(found))
        found.append(word)
    return found, places
