"""The notation of phrases in a lexicon, read into terms: the allowed words at each place of the phrase.

A phrase is words with spaces between. `a|b` stands for either, `(a|b c)` for one of several where one is more than one
word, `(a)?` may be left out, `{name}` is a set of words of the table `[sets]`, `#` a number in digits, `*` any one
word, `...` up to `gap` words. `~word` stands for all forms of the word, `=word` for this form only; without either, the
`forms` of the group decide. In a context `_` is the phrase, `^` and `$` the beginning and the end of a sentence, `,` a
pause mark, and `?` a sentence that ends in "?".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from streams.settings.reader import did_you_mean
from streams.speech.contexts import Context
from streams.speech.forms import TOLERANT_LETTERS, forms_of
from streams.speech.terms import Term
from streams.speech.words import normal

MAX_TERMS: Final = 16
MAX_WAYS: Final = 400
_PIECE: Final = re.compile(r"\([^()]*\)\??|[^\s]+")
_SET: Final = re.compile(r"\{([\w-]+)\}")


class Notation:
    """Reads phrases and contexts with the sets of a lexicon. Raises ValueError with the reason."""

    def __init__(self, sets: Mapping[str, Sequence[str]]) -> None:
        self._sets = sets
        # A lexicon has the same words and groups in many phrases, so each is read once.
        self._groups: dict[tuple[str, bool], list[tuple[Term, ...]]] = {}
        self._places: dict[tuple[str, bool], tuple[Term, ...]] = {}
        self._tolerant: dict[Term, Term] = {}
        self._words: dict[str, list[str]] = {}

    def phrase(self, text: str, *, all_forms: bool, gap: int) -> list[tuple[Term, ...]]:
        """Return the variants of a phrase, each as its terms."""
        ways = self._terms(text, all_forms=all_forms, gap=gap, marks=False)
        if any(all(term.optional or term.any_word for term in terms) for terms in ways):
            raise ValueError(f'"{text}" has no word that must be said')
        return [
            tuple([self._tolerating(term) for term in terms])
            if sum([not term.optional for term in terms]) > 1
            else terms
            for terms in ways
        ]

    def context(self, text: str, *, all_forms: bool, gap: int) -> list[Context]:
        """Return the terms that a context requires before and after the phrase: any one of the results."""
        parts = text.split("_")
        if len(parts) != 2:  # noqa: PLR2004 - before and after
            raise ValueError(f'"{text}" must have one "_", which stands for the phrase')
        before, after = (
            self._terms(part, all_forms=all_forms, gap=gap, marks=True) if part.strip() else [()] for part in parts
        )
        if not any(before) and not any(after):
            raise ValueError(f'"{text}" asks for nothing around the phrase')
        if any(side and all(term.optional for term in side) for side in (*before, *after)):
            raise ValueError(f'"{text}" has a side on which every word may be left out')
        return [Context(one[::-1], other) for one in before for other in after]

    def _tolerating(self, term: Term) -> Term:
        """Return the term with its forms that may tolerate a slip: `without_neighbour` decides this later."""
        made = self._tolerant.get(term)
        if made is None:
            made = self._tolerant[term] = term.copy(optional=term.optional)
            made.tolerant = tuple(sorted([form for form in term.forms if len(form) >= TOLERANT_LETTERS]))
        return made

    def _terms(self, text: str, *, all_forms: bool, gap: int, marks: bool) -> list[tuple[Term, ...]]:
        ways: list[tuple[Term, ...]] = [()]
        for piece in _PIECE.findall(text):
            if piece == "...":
                options: list[tuple[Term, ...]] = [(Term(any_word=True, optional=True),) * gap]
            elif piece in ("^", "$", ",", "?") and marks:
                options = [(Term(mark=piece),)]
            elif piece.startswith("("):
                options = self._group(piece, all_forms=all_forms)
            else:
                options = [self._place(piece, all_forms=all_forms)]
            ways = [(*way, *option) for way in ways for option in options]
            if len(ways) > MAX_WAYS:
                raise ValueError(f'"{text}" can be said in more than {MAX_WAYS} ways')
        if not any(ways):
            raise ValueError("is empty")
        longest = max(map(len, ways))
        if longest > MAX_TERMS:
            raise ValueError(f'"{text}" has {longest} places, and {MAX_TERMS} are allowed')
        return ways

    def _group(self, piece: str, *, all_forms: bool) -> list[tuple[Term, ...]]:
        """Return the alternatives of a group `(a|b c)`. One is empty or optional if the group may be left out."""
        ways = self._groups.get((piece, all_forms))
        if ways is None:
            ways = self._groups[piece, all_forms] = self._new_group(piece, all_forms=all_forms)
        return ways

    def _new_group(self, piece: str, *, all_forms: bool) -> list[tuple[Term, ...]]:
        inner = piece.rstrip("?")[1:-1]
        if not piece.rstrip("?").endswith(")"):
            raise ValueError(f'"{piece}" has no closing bracket')
        single: list[str] = []
        several: list[list[str]] = []
        for option in inner.split("|"):
            words = option.split()
            if len(words) == 1 and len(self._normal(words[0])) <= 1:
                single += words
            else:
                several.append(words)
        ways: list[tuple[Term, ...]] = []
        if single:
            place = self._place("|".join(single), all_forms=all_forms)
            ways.append(tuple([term.copy(optional=piece.endswith("?")) for term in place]))
        ways += [tuple(term for word in words for term in self._place(word, all_forms=all_forms)) for words in several]
        return [*ways, ()] if several and not single and piece.endswith("?") else ways

    def _place(self, piece: str, *, all_forms: bool) -> tuple[Term, ...]:
        """Return the terms of one piece: one, or several where a single word has a hyphen in it."""
        terms = self._places.get((piece, all_forms))
        if terms is None:
            terms = self._places[piece, all_forms] = self._new_place(piece, all_forms=all_forms)
        return terms

    def _new_place(self, piece: str, *, all_forms: bool) -> tuple[Term, ...]:
        options = piece.split("|")
        if piece == "*":
            return (Term(any_word=True),)
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
                return tuple(Term(forms_of(word) if every else frozenset({word})) for word in words)
            forms |= forms_of(words[0]) if every else {words[0]}
        return (Term(frozenset(forms), digits=digits),)

    def _normal(self, word: str) -> list[str]:
        words = self._words.get(word)
        if words is None:
            words = self._words[word] = normal(word)
        return words

    def _word(self, option: str, piece: str, *, all_forms: bool) -> tuple[list[str], bool]:
        every = option.startswith("~") or (all_forms and not option.startswith("="))
        word = option[1:] if option[:1] in ("~", "=") else option
        words = self._normal(word)
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
