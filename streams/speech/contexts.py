"""The contexts of phrases: the words and marks around a phrase that let it count, or not."""

from __future__ import annotations

from collections.abc import Sequence

from streams.speech.terms import Term
from streams.speech.words import ENDS, PAUSES


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
