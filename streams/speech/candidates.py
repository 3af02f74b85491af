"""Found phrases, and the selection of those that count: by their contexts, and the longest of each kind."""

from __future__ import annotations

from typing import Final

from streams.speech.contexts import Contexts
from streams.speech.marks import HIT_KINDS, HitKind
from streams.speech.words import ENDS, PAUSES

LOOP: Final = 3
"""The fewest exact repeats in a row that are a recogniser's loop; they count once."""
FEW: Final = 12
"""The greatest number of candidates that are sorted by insertion. More are sorted by key, which is faster then."""


class Phrase:
    """A phrase with the conditions under which it counts. `veto`: it is no hit, and hides shorter ones of its kind.

    `number` is its place among the phrases of the lexicon.
    """

    __slots__ = (
        "end_span_ms",
        "group",
        "kind",
        "kind_number",
        "number",
        "start_span_ms",
        "text",
        "unless",
        "veto",
        "when",
    )

    def __init__(self, kind: HitKind, group: str, text: str, *, number: int, veto: bool) -> None:
        self.kind: HitKind = kind
        self.kind_number: int = HIT_KINDS.index(kind)
        self.group: str = group
        self.text: str = text
        self.number: int = number
        self.veto: bool = veto
        self.unless: Contexts | None = None
        self.when: Contexts | None = None
        self.start_span_ms: int = 0
        self.end_span_ms: int = 0


class Candidate:
    """A found phrase: tokens `[first, end)`."""

    __slots__ = ("end", "first", "kind", "phrase")

    def __init__(self, phrase: Phrase, first: int, end: int) -> None:
        self.phrase: Phrase = phrase
        self.first: int = first
        self.end: int = end
        self.kind: int = phrase.kind_number


def counted(candidates: list[Candidate], forms: list[str], start_ms: int) -> list[Candidate]:
    """Return those of the found phrases that count, in order. It sorts `candidates`."""
    if len(candidates) > FEW:
        candidates.sort(key=_rank)
    else:
        _sort_few_by_rank(candidates)
    matches: list[Candidate] = []
    _longest(candidates, forms, start_ms, matches)
    if len(matches) >= LOOP and _may_loop(matches):
        matches = _without_loops(matches, forms)
    if len(matches) > FEW:
        matches.sort(key=_place)
    else:
        _sort_few_by_place(matches)
    return matches


def _counts(candidate: Candidate, forms: list[str], start_ms: int) -> bool:
    """Return whether a phrase counts at its place."""
    phrase = candidate.phrase
    if phrase.start_span_ms and start_ms > phrase.start_span_ms:
        return False
    if phrase.unless is not None and phrase.unless.hold(forms, candidate.first, candidate.end):
        return False
    return phrase.when is None or phrase.when.hold(forms, candidate.first, candidate.end)


def _longest(candidates: list[Candidate], forms: list[str], start_ms: int, matches: list[Candidate]) -> None:
    """Add the phrases that count and do not overlap with a longer one of their kind. `_rank` orders them."""
    taken: list[Candidate] = []
    for one in candidates:
        free = True
        for other in taken:
            if one.kind == other.kind and one.first < other.end and other.first < one.end:
                free = False
                break
        if free and _counts(one, forms, start_ms):
            taken.append(one)
            if not one.phrase.veto:
                matches.append(one)


def _rank(candidate: Candidate) -> tuple[int, bool, int, int]:
    """Return the sort key: the longest first, of equally long ones the veto, which hides a hit, then the earlier."""
    return (candidate.first - candidate.end, not candidate.phrase.veto, candidate.first, candidate.phrase.number)


def _ranks_before(one: Candidate, other: Candidate) -> bool:
    """Return whether `one` stands before `other` in the order of `_rank`."""
    longer = one.end - one.first - other.end + other.first
    if longer:
        return longer > 0
    if one.phrase.veto != other.phrase.veto:
        return one.phrase.veto
    if one.first != other.first:
        return one.first < other.first
    return one.phrase.number < other.phrase.number


def _sort_few_by_rank(candidates: list[Candidate]) -> None:
    """Sort in place. For few candidates this is several times as fast as a sort by key."""
    for number in range(1, len(candidates)):
        one = candidates[number]
        at = number
        while at > 0 and _ranks_before(one, candidates[at - 1]):
            candidates[at] = candidates[at - 1]
            at -= 1
        candidates[at] = one


def _sort_few_by_place(matches: list[Candidate]) -> None:
    """Sort in place, as `_sort_few_by_rank` does, by `_place`."""
    for number in range(1, len(matches)):
        one = matches[number]
        at = number
        while at > 0:
            other = matches[at - 1]
            if other.first != one.first:
                if other.first < one.first:
                    break
            elif other.end < one.end or (other.end == one.end and other.kind <= one.kind):
                break
            matches[at] = other
            at -= 1
        matches[at] = one


def _place(match: Candidate) -> tuple[int, int, int]:
    return match.first, match.end, match.kind


def _may_loop(matches: list[Candidate]) -> bool:
    """Return whether a phrase has so many repeats that it may be a loop."""
    times: dict[str, int] = {}
    for match in matches:
        count = times.get(match.phrase.text, 0) + 1
        if count >= LOOP:
            return True
        times[match.phrase.text] = count
    return False


def _without_loops(matches: list[Candidate], forms: list[str]) -> list[Candidate]:
    """Return the matches without exact repeats: of a loop the first match only."""
    by_phrase: dict[tuple[str, str, str], list[Candidate]] = {}
    for match in matches:
        phrase = match.phrase
        by_phrase.setdefault((phrase.kind, phrase.group, phrase.text), []).append(match)
    kept: list[Candidate] = []
    for said in by_phrase.values():
        said.sort(key=_place)
        at = 0
        while at < len(said):
            run = _loop_from(said, at, forms)
            kept += said[at : at + 1] if run >= LOOP else said[at : at + run]
            at += run
    return kept


def _loop_from(said: list[Candidate], at: int, forms: list[str]) -> int:
    """Return the number of matches from `at` on that follow each other with the same words between."""
    run = 1
    if at + 1 >= len(said):
        return run
    step = said[at + 1].first - said[at].first
    period = _bare(forms[said[at].first : said[at + 1].first])
    while at + run < len(said):
        here = said[at + run]
        if here.first - said[at + run - 1].first != step:
            break
        if _bare(forms[said[at + run - 1].first : here.first]) != period:
            break
        run += 1
    return run if run >= LOOP else 1


def _bare(forms: list[str]) -> list[str]:
    return [form for form in forms if form not in PAUSES and form[0] not in ENDS]
