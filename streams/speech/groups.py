"""The groups of a lexicon as its files write them: read, checked, and put together from the shipped and further files.

A file holds tables by kind and group, such as `[objection.price]`, or several blocks `[[objection.price]]` where
phrases of one group differ in side or context; `[sets]` with words that phrases use by name;
`[back_channels]`; and the cues of questions by language, `[questions.ru]`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeAlias, get_args

import msgspec
from msgspec import Meta, Struct

from streams.settings.fields import Span
from streams.settings.reader import Problem, Reader, did_you_mean, join, kind_of
from streams.speech.marks import HIT_KINDS
from streams.speech.patterns import Notation
from streams.speech.question_cues import LANGUAGES, Cues, Language, no_cues
from streams.speech.question_lists import CuesOfLanguage
from streams.speech.words import normal

Side: TypeAlias = Literal["manager", "customer", "both"]
SIDES: Final[tuple[Side, ...]] = get_args(Side)
Phrases: TypeAlias = tuple[Annotated[str, Meta(min_length=1, max_length=4_000)], ...]


class Block(Struct, frozen=True, kw_only=True):
    """Phrases of one group that share their side and contexts. The fields are the keys of the file.

    A phrase counts where none of `unless` stands around it and, if there are any, one of `when`. `never` are longer
    phrases that are no hit of this kind. `within` is the part of the call, `span_ms` long, to which the phrases belong.
    `phrases` replaces the group's phrases of earlier files; `add` and `remove` change them; `enabled = false` drops it.
    """

    phrases: Phrases | None = None
    add: Phrases = ()
    remove: Phrases = ()
    never: Phrases = ()
    unless: Phrases = ()
    when: Phrases = ()
    side: Side | None = None
    forms: Literal["exact", "all"] = "exact"
    gap: Annotated[int, Meta(ge=0, le=8)] = 3
    within: Literal["start", "end"] | None = None
    span_ms: Annotated[Span, Meta(ge=1_000)] = 60_000
    enabled: bool = True


class BackChannels(Struct, frozen=True, kw_only=True):
    """The words of back-channels: an utterance of few words, all of them of this list, takes no turn."""

    words: tuple[str, ...] | None = None
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


class LexiconError(ValueError):
    """A lexicon cannot be used. `problems` has all errors, each with file, key and reason."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class Origin(NamedTuple):
    """A block with its file and its key."""

    file: str
    key: str
    block: Block


class Groups:
    """All groups of several files. `blocks[kind, name]` are the blocks of a group, in the order of the files."""

    def __init__(self) -> None:
        self.sets: dict[str, tuple[str, ...]] = {}
        self.back_channels: set[str] = set()
        self.blocks: dict[tuple[str, str], list[Origin]] = {}
        self.cues: dict[Language, Cues] = no_cues()
        self.problems: list[Problem] = []

    def read(self, file: str, text: str, *, shipped: bool = False) -> None:
        """Add the contents of a file.

        In a shipped file `phrases` adds to the group; in later files it replaces the group's phrases.
        """
        try:
            raw = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            self._refuse(file, "", f"is no TOML: {error}")
            return
        for name, table in raw.items():
            if name == "sets":
                self._read_sets(file, table)
            elif name == "back_channels":
                self._read_back_channels(file, table)
            elif name in HIT_KINDS:
                self._read_kind(file, name, table, shipped=shipped)
            elif name == "questions":
                self._read_questions(file, table)
            else:
                known = (*HIT_KINDS, "sets", "back_channels", "questions")
                self._refuse(file, name, f"unknown table{did_you_mean(name, known) or '; known: ' + ', '.join(known)}")

    def notation(self) -> Notation:
        """Return the reader of phrases with the sets."""
        return Notation(self.sets)

    def refuse(self, origin: Origin, key: str, message: str) -> None:
        """Note a problem of a key of a block."""
        self._refuse(origin.file, f"{origin.key}.{key}", message)

    def _refuse(self, file: str, key: str, message: str) -> None:
        self.problems.append(Problem(f"{file}: {key}" if key else file, message))

    def _read_sets(self, file: str, table: object) -> None:
        if not isinstance(table, Mapping):
            self._refuse(file, "sets", f"a table was expected, not {kind_of(table)}")
            return
        for name, words in table.items():
            given = words.split("|") if isinstance(words, str) else words
            if not isinstance(given, list) or not given or not all(isinstance(word, str) for word in given):
                self._refuse(file, join("sets", name), 'words were expected, such as "one|two" or ["one", "two"]')
                continue
            self.sets[name] = tuple(word.strip() for word in given)

    def _read_back_channels(self, file: str, table: object) -> None:
        read = self._struct(BackChannels, file, "back_channels", table)
        if read is None:
            return
        if read.words is not None:
            self.back_channels |= _all_words(read.words)
        self.back_channels |= _all_words(read.add)
        self.back_channels -= _all_words(read.remove)

    def _read_questions(self, file: str, table: object) -> None:
        if not isinstance(table, Mapping):
            self._refuse(file, "questions", f"a table of languages was expected, not {kind_of(table)}")
            return
        for language, given in table.items():
            key = join("questions", language)
            if language not in self.cues:
                self._refuse(file, key, f"unknown language; known: {', '.join(LANGUAGES)}")
                continue
            read = self._struct(CuesOfLanguage, file, key, given)
            if read is not None:
                try:
                    self.cues[language].add(read)
                except ValueError as error:
                    self._refuse(file, key, str(error))

    def _read_kind(self, file: str, kind: str, table: object, *, shipped: bool) -> None:
        if not isinstance(table, Mapping):
            self._refuse(file, kind, f"a table of groups was expected, not {kind_of(table)}")
            return
        for name, given in table.items():
            key = join(kind, name)
            many = isinstance(given, list)
            for number, one in enumerate(given if many else [given]):
                here = f"{key}[{number}]" if many else key
                block = self._struct(Block, file, here, one)
                if block is not None:
                    self._merge((kind, name), Origin(file, here, block), shipped=shipped, first=number == 0)

    def _struct(self, form: Any, file: str, key: str, given: object) -> Any:
        reader = Reader()
        read = reader.struct(form, given, key)
        for problem in reader.problems:
            self._refuse(file, problem.key, problem.message)
        return None if reader.problems else read

    def _merge(self, group: tuple[str, str], origin: Origin, *, shipped: bool, first: bool) -> None:
        block = origin.block
        blocks = self.blocks.setdefault(group, [])
        if not block.enabled:
            blocks.clear()
            return
        if block.phrases is not None and not shipped and first:
            blocks.clear()
        for number, phrase in enumerate(block.remove):
            self._remove(blocks, phrase, origin, number)
        side = block.side or next((other.block.side for other in blocks if other.block.side), None) or "both"
        if block.phrases or block.add or block.never:
            blocks.append(origin._replace(block=msgspec.structs.replace(block, side=side)))
        elif not block.remove:
            self.refuse(origin, "phrases", "is missing")

    def _remove(self, blocks: list[Origin], phrase: str, origin: Origin, number: int) -> None:
        wanted = phrase.split()
        found = False
        for at, other in enumerate(blocks):
            block = other.block
            kept = tuple(one for one in block.phrases or () if one.split() != wanted)
            added = tuple(one for one in block.add if one.split() != wanted)
            if len(kept) + len(added) < len(block.phrases or ()) + len(block.add):
                blocks[at] = other._replace(block=msgspec.structs.replace(block, phrases=kept, add=added))
                found = True
        if not found:
            known = [one for other in blocks for one in (*(other.block.phrases or ()), *other.block.add)]
            hint = did_you_mean(phrase, known)
            self.refuse(origin, f"remove[{number}]", f'there is no phrase "{phrase}" in this group{hint}')


def _all_words(phrases: Sequence[str]) -> set[str]:
    return {word for phrase in phrases for word in normal(phrase)}
