"""The lexicon: phrases in groups, and where they stand in an utterance.

A group has a kind and a name. Within one kind the longest phrase wins; a phrase may count in several kinds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import msgspec

from streams.contract.events import Role
from streams.speech.forms import dictionaries
from streams.speech.groups import Block, Groups, LexiconError, Origin
from streams.speech.marks import HitKind
from streams.speech.matching import Automaton
from streams.speech.patterns import Context, Notation, Term, one_holds
from streams.speech.questions import Questions
from streams.speech.words import ENDS, PAUSES, Words

ENGINE: Final = 1
"""Raised whenever the same files would find other phrases: part of the version."""
LOOP: Final = 3
"""So many repeats in a row, word for word, are a recogniser's loop; they count once."""


class File(NamedTuple):
    """The text of a lexicon file, with its name for messages."""

    name: str
    text: str
    shipped: bool = False


class _Phrase:
    """A phrase with all that decides whether it counts. `veto`: it is no hit, and hides shorter ones of its kind."""

    __slots__ = ("end_span_ms", "group", "kind", "start_span_ms", "text", "unless", "veto", "when")

    def __init__(self, kind: HitKind, group: str, text: str, *, veto: bool) -> None:
        self.kind: HitKind = kind
        self.group: str = group
        self.text: str = text
        self.veto: bool = veto
        self.unless: list[Context] = []
        self.when: list[Context] = []
        self.start_span_ms: int = 0
        self.end_span_ms: int = 0


class Match(NamedTuple):
    """A phrase that was found: tokens `[first, end)`. `phrase` is written as in the lexicon.

    With an `end_span_ms` it counts only in the last so many ms of the call, of which an utterance alone does not know.
    """

    kind: HitKind
    group: str
    phrase: str
    first: int
    end: int
    end_span_ms: int = 0


class _Candidate:
    """A phrase where it was found. `number` is its place among the phrases of the side."""

    __slots__ = ("end", "first", "number", "phrase")

    def __init__(self, phrase: _Phrase, number: int, first: int, end: int) -> None:
        self.phrase: _Phrase = phrase
        self.number: int = number
        self.first: int = first
        self.end: int = end


class Lexicon:
    """The phrases of some files, ready to be found. `version` changes with everything that may change what is found."""

    def __init__(self, files: Iterable[File]) -> None:
        files = tuple(files)
        groups = Groups()
        for file in files:
            groups.read(file.name, file.text, shipped=file.shipped)
        self._phrases: list[_Phrase] = []
        sides: dict[Role, list[int]] = {"manager": [], "customer": []}
        terms: list[tuple[Term, ...]] = []
        _Loader(groups, self._phrases, terms, sides).load()
        if groups.problems:
            raise LexiconError(groups.problems)
        self._sides: dict[Role, tuple[Automaton, list[_Phrase]]] = {}
        for role, numbers in sides.items():
            self._sides[role] = (
                Automaton([terms[number] for number in numbers]),
                [self._phrases[number] for number in numbers],
            )
        self.groups: tuple[tuple[str, str], ...] = tuple(groups.blocks)
        self.back_channels: frozenset[str] = frozenset(groups.back_channels)
        self.questions: Questions = Questions(groups.cues)
        self.version: str = _version(groups, files)

    @classmethod
    def load(cls, files: Iterable[File]) -> Lexicon:
        """Read the files, later ones over earlier ones. Raises LexiconError with everything that is wrong."""
        return cls(files)

    def __len__(self) -> int:
        return len(self._phrases)

    def find(self, words: Words, side: Role, start_ms: int | None = None) -> list[Match]:
        """Return the phrases that this side said, in order. `start_ms` is the moment in the call, if known."""
        automaton, phrases = self._sides[side]
        forms = words.forms
        found = automaton.find(forms)
        if not found:
            return []
        by_kind: dict[str, list[_Candidate]] = {}
        for number, first, end in found:
            phrase = phrases[number]
            candidate = _Candidate(phrase, number, first, end)
            of_kind = by_kind.get(phrase.kind)
            if of_kind is None:
                by_kind[phrase.kind] = [candidate]
            else:
                of_kind.append(candidate)
        matches: list[Match] = []
        for candidates in by_kind.values():
            if len(candidates) > 1:
                candidates.sort(key=_rank)
            _longest(candidates, forms, start_ms, matches)
        if len(matches) >= LOOP and _may_loop(matches):
            matches = _without_loops(matches, forms)
        if len(matches) > 1:
            matches.sort(key=_place)
        return matches


class _Loader:
    """Compiles the blocks of all groups into phrases; notes what is wrong with them."""

    def __init__(
        self,
        groups: Groups,
        phrases: list[_Phrase],
        terms: list[tuple[Term, ...]],
        sides: dict[Role, list[int]],
    ) -> None:
        self._groups = groups
        self._notation: Notation = groups.notation()
        self._phrases = phrases
        self._terms = terms
        self._sides = sides

    def load(self) -> None:
        """Compile everything."""
        for (kind, name), origins in self._groups.blocks.items():
            for origin in origins:
                self._block(kind, name, origin)  # type: ignore[arg-type]  # `Groups` lets only known kinds in

    def _block(self, kind: HitKind, name: str, origin: Origin) -> None:
        block = origin.block
        unless = self._contexts(origin, "unless", block.unless)
        when = self._contexts(origin, "when", block.when)
        for key, texts in (("phrases", block.phrases or ()), ("add", block.add), ("never", block.never)):
            for number, text in enumerate(texts):
                try:
                    ways = self._notation.phrase(text, all_forms=block.forms == "all", gap=block.gap)
                except ValueError as error:
                    self._groups.refuse(origin, f"{key}[{number}]", str(error))
                    continue
                veto = key == "never"
                start = block.span_ms if block.within == "start" else 0
                end = block.span_ms if block.within == "end" else 0
                phrase = _Phrase(kind, name, text, veto=veto)
                phrase.start_span_ms = start
                if not veto:
                    phrase.unless, phrase.when, phrase.end_span_ms = unless, when, end
                for terms in ways:
                    for role, numbers in self._sides.items():
                        if block.side in (role, "both"):
                            numbers.append(len(self._phrases))
                    self._phrases.append(phrase)
                    self._terms.append(terms)

    def _contexts(self, origin: Origin, key: str, texts: Sequence[str]) -> list[Context]:
        block: Block = origin.block
        read: list[Context] = []
        for number, text in enumerate(texts):
            try:
                read.extend(self._notation.context(text, all_forms=block.forms == "all", gap=block.gap))
            except ValueError as error:
                self._groups.refuse(origin, f"{key}[{number}]", str(error))
        return read


def _counts(candidate: _Candidate, forms: list[str], start_ms: int | None) -> bool:
    """Return whether a phrase counts where it stands."""
    phrase = candidate.phrase
    if phrase.start_span_ms and start_ms is not None and start_ms > phrase.start_span_ms:
        return False
    if phrase.unless and one_holds(phrase.unless, forms, candidate.first, candidate.end):
        return False
    return not phrase.when or one_holds(phrase.when, forms, candidate.first, candidate.end)


def _longest(candidates: list[_Candidate], forms: list[str], start_ms: int | None, matches: list[Match]) -> None:
    """Add those that count and that no longer one overlaps. They are in order of `_rank`."""
    taken: list[_Candidate] = []
    for one in candidates:
        free = True
        for other in taken:
            if one.first < other.end and other.first < one.end:
                free = False
                break
        if free and _counts(one, forms, start_ms):
            taken.append(one)
            phrase = one.phrase
            if not phrase.veto:
                matches.append(Match(phrase.kind, phrase.group, phrase.text, one.first, one.end, phrase.end_span_ms))


def _rank(candidate: _Candidate) -> tuple[int, bool, int, int]:
    """Return what puts the longest first; of two as long what is no hit, to hide a hit, then the earlier."""
    return (candidate.first - candidate.end, not candidate.phrase.veto, candidate.first, candidate.number)


def _place(match: Match) -> tuple[int, int]:
    return match.first, match.end


def _may_loop(matches: list[Match]) -> bool:
    """Return whether a phrase was said so often that it may be a loop."""
    times: dict[str, int] = {}
    for match in matches:
        count = times.get(match.phrase, 0) + 1
        if count >= LOOP:
            return True
        times[match.phrase] = count
    return False


def _without_loops(matches: list[Match], forms: list[str]) -> list[Match]:
    """Return the matches, of a phrase that is said over and over, word for word, the first only."""
    by_phrase: dict[tuple[str, str, str], list[Match]] = {}
    for match in matches:
        by_phrase.setdefault((match.kind, match.group, match.phrase), []).append(match)
    kept: list[Match] = []
    for said in by_phrase.values():
        said.sort(key=_place)
        at = 0
        while at < len(said):
            run = _loop_from(said, at, forms)
            kept += said[at : at + 1] if run >= LOOP else said[at : at + run]
            at += run
    return kept


def _loop_from(said: list[Match], at: int, forms: list[str]) -> int:
    """Return how many matches from `at` on follow each other with the same words between."""
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


def _version(groups: Groups, files: Sequence[File]) -> str:
    """Return the hash of all that decides what is found."""
    blocks = [
        (kind, name, msgspec.to_builtins(origin.block))
        for (kind, name), origins in groups.blocks.items()
        for origin in origins
    ]
    content = msgspec.json.encode(
        (ENGINE, dictionaries(), groups.sets, sorted(groups.back_channels), blocks, [file.text for file in files]),
        order="sorted",
    )
    return hashlib.sha256(content).hexdigest()[:16]
