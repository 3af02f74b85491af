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
from streams.speech.forms import TOLERANT_LETTERS, forms_of
from streams.speech.words import ENDS, PAUSES, normal

MAX_TERMS: Final = 16
MAX_WAYS: Final = 400
_PIECE: Final = re.compile(r"\([^()]*\)\??|[^\s]+")
_SET: Final = re.compile(r"\{([\w-]+)\}")


class Term:
    """One place of a phrase. `tolerant` are those of the forms that are long enough for a recogniser's slip.

    `mark` is "^", "$", "," or "?" in a context: a place between words.
    """

    __slots__ = ("any_word", "digits", "forms", "mark", "optional", "tolerant")

    def __init__(
        self,
        forms: frozenset[str] = frozenset(),
        *,
        digits: bool = False,
        any_word: bool = False,
        optional: bool = False,
        mark: str = "",
    ) -> None:
        self.forms: frozenset[str] = forms
        self.digits: bool = digits
        self.any_word: bool = any_word
        self.optional: bool = optional
        self.mark: str = mark
        self.tolerant: tuple[str, ...] = ()

    def copy(self, *, optional: bool) -> Term:
        """Return the same place, optional or not."""
        return Term(self.forms, digits=self.digits, any_word=self.any_word, optional=optional, mark=self.mark)


class Context:
    """A context of a phrase: `before` from the phrase outwards, `after` likewise.

    `next_before` and `next_after` are the words of which one must stand next to the phrase, None if unknown: one
    look-up rules most contexts out.
    """

    __slots__ = ("after", "before", "next_after", "next_before")

    def __init__(self, before: tuple[Term, ...], after: tuple[Term, ...]) -> None:
        self.before: list[Term] = list(before)
        self.after: list[Term] = list(after)
        self.next_before: frozenset[str] | None = _next_to(before)
        self.next_after: frozenset[str] | None = _next_to(after)


class Contexts:
    """Alternative contexts of a phrase. One must hold.

    Most begin with a word next to the phrase, before it or else after it, and are noted by that word. Of those that
    are one word within some words of the phrase, the word has its greatest distance. All others are tried in turn.
    """

    __slots__ = ("_after", "_any", "_before", "_far_after", "_far_before", "_within_after", "_within_before")

    def __init__(self, contexts: Sequence[Context]) -> None:
        self._before: dict[str, list[Context]] = {}
        self._after: dict[str, list[Context]] = {}
        self._within_before: dict[str, int] = {}
        self._within_after: dict[str, int] = {}
        self._any: list[Context] = []
        for context in contexts:
            if context.next_before is not None:
                _note(self._before, context.next_before, context)
            elif context.next_after is not None:
                _note(self._after, context.next_after, context)
            elif not context.after and _is_within(context.before):
                _note_within(self._within_before, context.before)
            elif not context.before and _is_within(context.after):
                _note_within(self._within_after, context.after)
            else:
                self._any.append(context)
        self._far_before: int = max(self._within_before.values(), default=0)
        self._far_after: int = max(self._within_after.values(), default=0)

    def hold(self, forms: list[str], first: int, end: int) -> bool:
        """Return whether one of the contexts holds around the tokens `[first, end)`."""
        if self._before and first > 0:
            noted = self._before.get(forms[first - 1])
            if noted is not None and _one_holds(noted, forms, first, end):
                return True
        if self._after and end < len(forms):
            noted = self._after.get(forms[end])
            if noted is not None and _one_holds(noted, forms, first, end):
                return True
        if self._far_before and _stands_within(self._within_before, self._far_before, forms, first - 1, -1):
            return True
        if self._far_after and _stands_within(self._within_after, self._far_after, forms, end, 1):
            return True
        return _one_holds(self._any, forms, first, end)


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


def _next_to(terms: tuple[Term, ...]) -> frozenset[str] | None:
    """Return the words of which one must stand first; None if it may be something else."""
    if not terms or terms[0].mark or terms[0].any_word or terms[0].digits or terms[0].optional:
        return None
    return terms[0].forms


def _note(by_word: dict[str, list[Context]], words: frozenset[str], context: Context) -> None:
    """Note a context by each of the words that may stand next to the phrase, and by each mark that hides the word."""
    for word in (*PAUSES, *words):
        by_word.setdefault(word, []).append(context)


def _is_within(terms: list[Term]) -> bool:
    """Return whether the terms are one word behind a number of any words."""
    if not terms:
        return False
    last = terms[-1]
    if last.mark or last.any_word or last.digits or last.optional:
        return False
    return all(term.any_word and term.optional for term in terms[:-1])


def _note_within(by_word: dict[str, int], terms: list[Term]) -> None:
    """Note the greatest distance of each of the words."""
    for word in terms[-1].forms:
        by_word[word] = max(len(terms), by_word.get(word, 0))


def _stands_within(by_word: dict[str, int], far: int, forms: list[str], at: int, step: int) -> bool:
    """Return whether one of the words stands within its distance from `at` on, in the same sentence."""
    distance = 0
    while 0 <= at < len(forms):
        here = forms[at]
        at += step
        if here in PAUSES:
            continue
        distance += 1
        if distance > far or here[0] in ENDS:
            return False
        if distance <= by_word.get(here, 0):
            return True
    return False


def _one_holds(contexts: list[Context], forms: list[str], first: int, end: int) -> bool:
    """Return whether one of the contexts holds."""
    for context in contexts:  # noqa: SIM110 - `any` makes a generator, which takes longer than the loop
        if holds(context, forms, first, end):
            return True
    return False


def holds(context: Context, forms: list[str], first: int, end: int) -> bool:
    """Return whether the tokens before `first` and from `end` on fulfil a context."""
    before, after = context.before, context.after
    if before and not _follows(before, 0, forms, first - 1, -1):
        return False
    return not after or _follows(after, 0, forms, end, 1)


def _follows(terms: list[Term], number: int, forms: list[str], at: int, step: int) -> bool:
    """Return whether `terms` from `number` on stand at `at` and, step by step, behind it."""
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
        if term.mark == "?":
            return _asked(forms, at)
        over = not here or here[0] in ENDS
        if term.mark:
            return over and number == len(terms) - 1
        if term.optional and _follows(terms, number + 1, forms, at, step):
            return True
        if over or not accepts(term, here):
            return False
        number, at = number + 1, at + step
    return True


def _asked(forms: list[str], at: int) -> bool:
    """Return whether the sentence at a token ends in a question mark."""
    while at < len(forms) and forms[at][0] not in ENDS:
        at += 1
    return at < len(forms) and "?" in forms[at]


def accepts(term: Term, form: str) -> bool:
    """Return whether a word may stand at this place."""
    return term.any_word or form in term.forms or (term.digits and form[0].isdigit())
