"""What a ``tokenizer.json`` says about its tokens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal

from ..errors import InvalidRequestError, TokenizationError
from .chat import ChatTemplate

if TYPE_CHECKING:
    import tokenizers

Role = Literal["bos", "eos", "sep", "pad"]
PairTemplate = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]

ROLES: Final[tuple[Role, ...]] = ("bos", "eos", "sep", "pad")

USUAL_NAMES: Final[Mapping[Role, tuple[str, ...]]] = {
    "bos": (
        "<s>",
        "<bos>",
        "[BOS]",
        "<|begin_of_text|>",
        "<|startoftext|>",
        "<\uff5cbegin\u2581of\u2581sentence\uff5c>",
        "<|endoftext|>",
        "[CLS]",
    ),
    "eos": (
        "</s>",
        "<eos>",
        "[EOS]",
        "<|end_of_text|>",
        "<|endoftext|>",
        "<\uff5cend\u2581of\u2581sentence\uff5c>",
        "[SEP]",
    ),
    "sep": ("[SEP]", "<sep>", "</s>"),
    "pad": ("<pad>", "[PAD]", "<|pad|>", "<|padding|>", "<|finetune_right_pad_id|>"),
}
"""Names that special tokens usually have; used where no companion file names them."""

_ASKABLE: Final[Mapping[str, Role]] = {"bos": "bos", "eos": "eos", "sep": "sep"}

_TEMPLATE_PROBES: Final = ("", "a", "Hello world", "The 3rd line.\nZürich 東京", "b b b b")

_MAX_NAMES_SHOWN: Final = 8


@dataclass(frozen=True)
class Tokenizer:
    """One tokenizer, as its ``tokenizer.json`` and the files beside it describe it.

    Attributes
    ----------
    name : str
        What a person calls it: a hub id, or the folder's or file's name.
    path : str
        The ``tokenizer.json``.
    sha256 : str
        Of that file.
    vocab_size : int
        Ids that it knows, added tokens included.
    num_ids : int
        The largest id plus one; above ``vocab_size`` where ids have gaps.
    roles : dict
        The id of "bos", "eos", "sep" and "pad", None for what the tokenizer does not have.
    special_tokens : dict
        Every special token's text by id.
    template : tuple of two tuples of int, or None
        What stands before and after a single text; None when the tokenizer does more than
        put the same ids before and after.
    pair_template : tuple of three tuples of int, or None
        What stands before, between and after a pair of texts.
    chat_templates : dict
        Jinja sources by name, "default" among them; empty for a tokenizer without.
    named_tokens : dict
        Texts of "bos_token", "eos_token" and so on, as chat templates ask for them.
    """

    name: str
    path: str
    sha256: str
    vocab_size: int
    num_ids: int
    roles: Mapping[Role, int | None]
    special_tokens: Mapping[int, str]
    template: tuple[tuple[int, ...], tuple[int, ...]] | None
    backend: tokenizers.Tokenizer = field(repr=False, compare=False)
    pair_template: PairTemplate | None = None
    chat_templates: Mapping[str, str] = field(default_factory=dict, repr=False)
    named_tokens: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def bos_id(self) -> int | None:
        """The token that begins a text."""
        return self.roles["bos"]

    @property
    def eos_id(self) -> int | None:
        """The token that ends a text."""
        return self.roles["eos"]

    @property
    def sep_id(self) -> int | None:
        """The token that divides two texts."""
        return self.roles["sep"]

    @property
    def pad_id(self) -> int | None:
        """The token that fills."""
        return self.roles["pad"]

    @cached_property
    def fill_id(self) -> int:
        """What empty positions hold: pad, else eos, else id 0, else the lowest id there is."""
        for token_id in (self.pad_id, self.eos_id):
            if token_id is not None:
                return token_id
        has_zero = self.text_of(0) is not None
        return 0 if has_zero else min(self.backend.get_vocab(with_added_tokens=True).values())

    @property
    def prefix_ids(self) -> tuple[int, ...]:
        """Special tokens before a single text; raises `TokenizationError` without a template."""
        return self._template()[0]

    @property
    def suffix_ids(self) -> tuple[int, ...]:
        """Special tokens after a single text; raises `TokenizationError` without a template."""
        return self._template()[1]

    def _template(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        if self.template is None:
            raise TokenizationError(
                f"The tokenizer {self.name} does more with its special tokens than to put them "
                "before and after a text.",
                hint="Use add_special_tokens=False.",
            )
        return self.template

    def pair_around(self) -> PairTemplate:
        """Return what stands around a pair; raises `TokenizationError` without a template."""
        if self.pair_template is None:
            raise TokenizationError(
                f"The tokenizer {self.name} does more with its special tokens than to put them "
                "before, between and after two texts.",
                hint="Use add_special_tokens=False.",
            )
        return self.pair_template

    def chat_template(self, asked: str | None = None) -> ChatTemplate | None:
        """Return the template that renders conversations, None where there is none.

        Parameters
        ----------
        asked : str or None
            Jinja, or the name of one of the tokenizer's templates. None: its default.

        Raises
        ------
        InvalidRequestError
            For the name of a template that the tokenizer does not have.
        TokenizationError
            For a source that is not valid Jinja.
        """
        source = self.chat_templates.get(asked or "default", asked)
        if source is None:
            return None
        if asked == source and "{" not in source:
            raise InvalidRequestError(
                f"chat_template: the tokenizer {self.name} has no template {asked!r}.",
                field="chat_template",
                hint=f"It has {', '.join(self.chat_templates) or 'none'}; or give Jinja.",
            )
        found = ChatTemplate(source, tuple(sorted(self.named_tokens.items())))
        found.check()
        return found

    def text_of(self, token_id: int) -> str | None:
        """Return the token as the vocabulary writes it, None for an id that it does not have."""
        return self.backend.id_to_token(token_id) if 0 <= token_id < self.num_ids else None

    def decode(self, ids: Sequence[int]) -> str:
        """Turn ids back into text, special tokens included."""
        return self.backend.decode(list(ids), skip_special_tokens=False)

    def resolve(self, token: int | str | None, field: str) -> int | None:
        """Find the id of a token that the user named.

        Parameters
        ----------
        token : int, str or None
            "bos", "eos" or "sep", an id, a token's text, or None for no token.
        field : str
            The setting that it came from; errors name it.

        Raises
        ------
        InvalidRequestError
            When the tokenizer has no such token.
        """
        if token is None:
            return None
        if isinstance(token, int):
            return self._checked_id(token, field)
        if token in _ASKABLE:
            return self._role_id(_ASKABLE[token], field)
        found = self.backend.token_to_id(token)
        if found is None:
            raise InvalidRequestError(
                f"{field}: the tokenizer {self.name} has no token {token!r}.",
                field=field,
                hint=self._choices(),
            )
        return found

    def _checked_id(self, token_id: int, field: str) -> int:
        if isinstance(token_id, bool) or self.text_of(token_id) is None:
            raise InvalidRequestError(
                f"{field}: {token_id} is not an id of the tokenizer {self.name}, "
                f"which has {self.vocab_size} tokens.",
                field=field,
                hint=self._choices(),
            )
        return token_id

    def _role_id(self, role: Role, field: str) -> int:
        found = self.roles[role]
        if found is None:
            raise InvalidRequestError(
                f"{field}: the tokenizer {self.name} has no {role} token.",
                field=field,
                hint=self._choices(),
            )
        return found

    def _choices(self) -> str:
        named = [role for role in _ASKABLE.values() if self.roles[role] is not None]
        texts = list(self.special_tokens.values())[:_MAX_NAMES_SHOWN]
        known = ", ".join([*(f'"{role}"' for role in named), *(f'"{text}"' for text in texts)])
        if known:
            return f"Choose one of {known}, or another token's text or id."
        return "It has no special tokens: choose a token's text or id, or None."


def find_roles(
    special_tokens: Mapping[int, str],
    named: Mapping[str, str | None],
    backend: tokenizers.Tokenizer,
) -> dict[Role, int | None]:
    """Find bos, eos, sep and pad.

    Parameters
    ----------
    special_tokens : dict
        Texts by id.
    named : dict
        What companion files say, "bos_token" and so on; None means that they say "none".
    backend : tokenizers.Tokenizer
        Knows the ids of all tokens.
    """
    by_text = {text: token_id for token_id, text in special_tokens.items()}
    roles: dict[Role, int | None] = {}
    for role in ROLES:
        key = f"{role}_token"
        if key in named:
            text = named[key]
            # a name that is not in the vocabulary would give an id outside the model
            roles[role] = None if text is None else backend.token_to_id(text)
        else:
            usual = (by_text[name] for name in USUAL_NAMES[role] if name in by_text)
            roles[role] = next(usual, None)
    return roles


def find_template(
    backend: tokenizers.Tokenizer,
) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Derive what the reference puts before and after a text, None if it is nothing so plain."""
    remaining: set[tuple[tuple[int, ...], tuple[int, ...]]] | None = None
    for text in _TEMPLATE_PROBES:
        bare = backend.encode(text, add_special_tokens=False).ids
        full = backend.encode(text, add_special_tokens=True).ids
        around = set(_surroundings(full, bare))
        remaining = around if remaining is None else remaining & around
    return remaining.pop() if remaining and len(remaining) == 1 else None


def _surroundings(
    full: list[int], bare: list[int]
) -> Iterable[tuple[tuple[int, ...], tuple[int, ...]]]:
    for start in range(len(full) - len(bare) + 1):
        if full[start : start + len(bare)] == bare:
            yield tuple(full[:start]), tuple(full[start + len(bare) :])


_PAIR_PROBES: Final = (("a", "Hello world"), ("The 3rd line.", "Zürich 東京"), ("b b", ""))


def find_pair_template(backend: tokenizers.Tokenizer) -> PairTemplate | None:
    """Derive what the reference puts around and between two texts, None if nothing so plain."""
    remaining: set[PairTemplate] | None = None
    for texts in _PAIR_PROBES:
        first, second = (backend.encode(text, add_special_tokens=False).ids for text in texts)
        full = backend.encode(*texts, add_special_tokens=True).ids
        found = {
            (prefix, between, after)
            for prefix, rest in _surroundings(full, first)
            for between, after in _surroundings(list(rest), second)
        }
        remaining = found if remaining is None else remaining & found
    return remaining.pop() if remaining and len(remaining) == 1 else None
