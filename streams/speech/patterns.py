"""The notation of phrases in a lexicon, read into terms: what a word at each place of the phrase may be.

A phrase is words with spaces between. `a|b` stands for either, `(a)` may be left out, `{name}` is a set of words of the
table `[sets]`, `#` a number in digits, `*` any one word, `...` up to `gap` words. `~word` stands for all forms of the
word, `=word` for this form only; without either, the `forms` of the group decide. In a context `_` is the phrase,
`^` and `$` the beginning and the end of a sentence, and `,` a pause mark.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from streams.settings.reader import did_you_mean
from streams.speech.forms import TOLERANT_LETTERS, forms_of
from streams.speech.words import ENDS, PAUSES, normal

MAX_TERMS: Final = 16
_SET: Final = re.compile(r"\{([\w-]+)\}")


class Term(NamedTuple):
    """One place of a phrase. `tolerant` are those of the forms that are long enough for a recogniser's slip.

    `mark` is "^", "$" or "," in a context: a place between words.
    """

    forms: frozenset[str] = frozenset()
    digits: bool = False
    any_word: bool = False
    optional: bool = False
    mark: str = ""
    tolerant: tuple[str, ...] = ()


class Context(NamedTuple):
    """What stands around a phrase: `before` from the phrase outwards, `after` likewise."""

    before: tuple[Term, ...]
    after: tuple[Term, ...]


class Notation:
    """Reads phrases and contexts with the sets of a lexicon. Raises ValueError with the reason."""

    def __init__(self, sets: Mapping[str, Sequence[str]]) -> None:
        self._sets = sets

    def phrase(self, text: str, *, all_forms: bool, gap: int) -> tuple[Term, ...]:
        """Return the terms of a phrase."""
        terms = self._terms(text, all_forms=all_forms, gap=gap, marks=False)
        if all(term.optional or term.any_word for term in terms):
            raise ValueError(f'"{text}" has no word that must be said')
        if sum(not term.optional for term in terms) > 1:
            return tuple(_tolerant(term) for term in terms)
        return terms

    def context(self, text: str, *, all_forms: bool, gap: int) -> Context:
        """Return what a context asks for before and after the phrase."""
        parts = text.split("_")
        if len(parts) != 2:  # noqa: PLR2004 - before and after
            raise ValueError(f'"{text}" must have one "_", which stands for the phrase')
        before, after = (
            self._terms(part, all_forms=all_forms, gap=gap, marks=True) if part.strip() else () for part in parts
        )
        if not before and not after:
            raise ValueError(f'"{text}" asks for nothing around the phrase')
        return Context(before[::-1], after)

    def _terms(self, text: str, *, all_forms: bool, gap: int, marks: bool) -> tuple[Term, ...]:
        terms: list[Term] = []
        for piece in text.split():
            if piece == "...":
                terms += [Term(any_word=True, optional=True)] * gap
            elif piece in ("^", "$", ",") and marks:
                terms.append(Term(mark=piece))
            elif piece.startswith("(") and piece.endswith(")"):
                terms += [term._replace(optional=True) for term in self._place(piece[1:-1], all_forms=all_forms)]
            else:
                terms += self._place(piece, all_forms=all_forms)
        if not terms:
            raise ValueError("is empty")
        if len(terms) > MAX_TERMS:
            raise ValueError(f'"{text}" has {len(terms)} places, and {MAX_TERMS} are allowed')
        return tuple(terms)

    def _place(self, piece: str, *, all_forms: bool) -> list[Term]:
        """Return the terms of one piece: one, or several where a single word has a hyphen in it."""
        options = piece.split("|")
        if piece == "*":
            return [Term(any_word=True)]
        forms: set[str] = set()
        digits = False
        for option in options:
            if option == "#":
                digits = True
                continue
            if name := _SET.fullmatch(option):
                forms |= self._set(name[1], all_forms=all_forms)
                continue
            words, every = self._word(option, piece, all_forms=all_forms)
            if len(words) > 1:
                if len(options) > 1:
                    raise ValueError(f'"{option}" is several words, and one of several may only be one word')
                return [Term(forms_of(word) if every else frozenset({word})) for word in words]
            forms |= forms_of(words[0]) if every else {words[0]}
        return [Term(frozenset(forms), digits=digits)]

    def _word(self, option: str, piece: str, *, all_forms: bool) -> tuple[list[str], bool]:
        every = option.startswith("~") or (all_forms and not option.startswith("="))
        word = option[1:] if option[:1] in ("~", "=") else option
        words = normal(word)
        if not words or re.search(r"[~=#*(){}|?!^$\"]", word):
            raise ValueError(f'"{piece}" is no word')
        return words, every

    def _set(self, name: str, *, all_forms: bool, inside: tuple[str, ...] = ()) -> set[str]:
        if name not in self._sets:
            raise ValueError(f"there is no set {{{name}}}{did_you_mean(name, self._sets)}")
        if name in inside:
            raise ValueError(f"the set {{{name}}} contains itself")
        forms: set[str] = set()
        for option in self._sets[name]:
            if inner := _SET.fullmatch(option):
                forms |= self._set(inner[1], all_forms=all_forms, inside=(*inside, name))
                continue
            words, every = self._word(option, option, all_forms=all_forms)
            if len(words) > 1:
                raise ValueError(f'"{option}" in the set {{{name}}} is several words')
            forms |= forms_of(words[0]) if every else {words[0]}
        return forms


def _tolerant(term: Term) -> Term:
    """Return the term with those of its forms in which a slip may be tolerated: `without_neighbour` decides later."""
    return term._replace(tolerant=tuple(sorted(form for form in term.forms if len(form) >= TOLERANT_LETTERS)))


def holds(context: Context, forms: Sequence[str], first: int, end: int) -> bool:
    """Tell whether the tokens before `first` and from `end` on are what a context asks for."""
    return _follows(context.before, 0, forms, first - 1, -1) and _follows(context.after, 0, forms, end, 1)


def _follows(terms: tuple[Term, ...], number: int, forms: Sequence[str], at: int, step: int) -> bool:
    """Tell whether `terms` from `number` on stand at `at` and, step by step, behind it."""
    while number < len(terms):
        term = terms[number]
        here = forms[at] if 0 <= at < len(forms) else ""
        if term.mark == ",":
            if here not in PAUSES:
                return False
            number, at = number + 1, at + step
            continue
        while here in PAUSES:
            at += step
            here = forms[at] if 0 <= at < len(forms) else ""
        over = not here or here[0] in ENDS
        if term.mark:
            return over and number == len(terms) - 1
        if term.optional and _follows(terms, number + 1, forms, at, step):
            return True
        if over or not accepts(term, here):
            return False
        number, at = number + 1, at + step
    return True


def accepts(term: Term, form: str) -> bool:
    """Tell whether a word may stand at this place."""
    return term.any_word or form in term.forms or (term.digits and form[0].isdigit())
