"""The lexicon: phrases in groups, and the search for them in an utterance.

A group has a kind and a name. Within one kind the longest phrase wins; a phrase may count in several kinds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from streams.contract.events import Role
from streams.speech.candidates import Candidate, Phrase, counted
from streams.speech.contexts import Context, Contexts
from streams.speech.forms import dictionaries
from streams.speech.groups import Block, Groups, LexiconError, Origin
from streams.speech.marks import HitKind
from streams.speech.matching import Automaton, Forms, Vocabulary
from streams.speech.patterns import Notation
from streams.speech.questions import Questions
from streams.speech.sides import TELLING
from streams.speech.terms import Term
from streams.speech.words import Words

ENGINE: Final = 1
"""The version of the search, part of the lexicon's version.

A change of the found phrases for the same files raises it.
"""


class File(NamedTuple):
    """The text of a lexicon file, with its name for messages."""

    name: str
    text: str
    shipped: bool = False


class Match(NamedTuple):
    """A phrase that was found: tokens `[first, end)`. `phrase` is written as in the lexicon.

    With an `end_span_ms` it counts only in the last `end_span_ms` of the call, which an utterance alone does not
    decide.
    """

    kind: HitKind
    group: str
    phrase: str
    first: int
    end: int
    end_span_ms: int = 0


class Lexicon:
    """The phrases of some files, ready to be found.

    `version` changes with everything that may change the found phrases.
    """

    def __init__(self, files: Iterable[File]) -> None:
        files = tuple(files)
        groups = Groups()
        for file in files:
            groups.read(file.name, file.text, shipped=file.shipped)
        self._phrases: list[Phrase] = []
        sides: dict[Role, list[int]] = {"manager": [], "customer": []}
        terms: list[tuple[Term, ...]] = []
        _Loader(groups, self._phrases, terms, sides).load()
        if groups.problems:
            raise LexiconError(groups.problems)
        self._sides: dict[Role, Automaton] = {}
        self._telling: dict[Role, Automaton] = {}
        for role, numbers in sides.items():
            telling = [number for number in numbers if self._phrases[number].kind in TELLING]
            self._sides[role] = self._automaton(numbers, terms)
            self._telling[role] = self._automaton(telling, terms)
        self._forms: Forms = Forms(terms)
        self._vocabulary: Vocabulary = self._new_vocabulary()
        self.groups: tuple[tuple[str, str], ...] = tuple(groups.blocks)
        self.back_channels: frozenset[str] = frozenset(groups.back_channels)
        self.questions: Questions = Questions(groups.cues)
        self.version: str = _version(groups, files)

    @classmethod
    def load(cls, files: Iterable[File]) -> Lexicon:
        """Read the files, later ones over earlier ones. Raises LexiconError with all problems."""
        return cls(files)

    def __len__(self) -> int:
        return len(self._phrases)

    def find(self, words: Words, side: Role, start_ms: int | None = None) -> list[Match]:
        """Return the phrases that this side said, in order. `start_ms` is the moment in the call, if known."""
        matches: list[Match] = []
        for one in self.said(words, side, -1 if start_ms is None else start_ms):
            phrase = one.phrase
            matches.append(Match(phrase.kind, phrase.group, phrase.text, one.first, one.end, phrase.end_span_ms))
        return matches

    def said(self, words: Words, side: Role, start_ms: int) -> list[Candidate]:
        """Return the phrases that this side said, in order. `start_ms` is less than 0 if it is not known."""
        return self._counted(self._sides, words, side, start_ms, telling=False)

    def telling(self, words: Words, side: Role, start_ms: int) -> list[Candidate]:
        """Return those of the phrases that this side said which tell sides, stages and objections, in order."""
        return self._counted(self._telling, words, side, start_ms, telling=True)

    def _counted(
        self,
        sides: Mapping[Role, Automaton],
        words: Words,
        side: Role,
        start_ms: int,
        *,
        telling: bool,
    ) -> list[Candidate]:
        automaton = sides[side]
        if automaton.full():
            automaton.renew()
            self._vocabulary = self._new_vocabulary()
        found = automaton.find(words, self._vocabulary, is_manager=side == "manager", telling=telling)
        return counted(found, words.forms, start_ms) if found else []

    def _automaton(self, numbers: list[int], terms: list[tuple[Term, ...]]) -> Automaton:
        return Automaton([self._phrases[number] for number in numbers], [terms[number] for number in numbers])

    def _new_vocabulary(self) -> Vocabulary:
        sides, telling = self._sides, self._telling
        return Vocabulary(sides["manager"], sides["customer"], telling["manager"], telling["customer"], self._forms)


class _Loader:
    """Compiles the blocks of all groups into phrases; notes their problems."""

    def __init__(
        self,
        groups: Groups,
        phrases: list[Phrase],
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
                self._block(kind, name, origin)  # type: ignore[arg-type]  # `Groups` accepts only known kinds

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
                phrase = Phrase(kind, name, text, number=len(self._phrases), veto=veto)
                phrase.start_span_ms = start
                if not veto:
                    phrase.unless, phrase.when, phrase.end_span_ms = unless, when, end
                for terms in ways:
                    for role, numbers in self._sides.items():
                        if block.side in (role, "both"):
                            numbers.append(len(self._phrases))
                    self._phrases.append(phrase)
                    self._terms.append(terms)

    def _contexts(self, origin: Origin, key: str, texts: Sequence[str]) -> Contexts | None:
        block: Block = origin.block
        read: list[Context] = []
        for number, text in enumerate(texts):
            try:
                read.extend(self._notation.context(text, all_forms=block.forms == "all", gap=block.gap))
            except ValueError as error:
                self._groups.refuse(origin, f"{key}[{number}]", str(error))
        return Contexts(read) if read else None


def _version(groups: Groups, files: Sequence[File]) -> str:
    """Return the hash of everything that decides the found phrases."""
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
