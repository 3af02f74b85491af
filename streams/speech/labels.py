"""Labelled dialogues: calls with labels by people. The form is that of tests/fixtures/speech/dialogues."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import Struct

from streams.contract.events import Role, SpeechUtterance, SpokenWord
from streams.speech.score_questions import NoQuestion, QuestionLabel


class Word(Struct, frozen=True):
    """A word of an utterance with its time."""

    text: str
    start_ms: int
    end_ms: int


class Utterance(Struct, frozen=True):
    """An utterance of a dialogue."""

    id: str
    role: Role
    start_ms: int
    end_ms: int
    text: str
    words: tuple[Word, ...] = ()


class Filler(Struct, frozen=True):
    """A filler phrase, `offset` characters into its utterance."""

    utterance: str
    offset: int
    group: str
    core: bool = True


class Begun(Struct, frozen=True):
    """The utterance in which a stage begins."""

    stage: str
    utterance: str


class Taken(Struct, frozen=True):
    """The utterance in which the manager takes an objection up."""

    utterance: str | None
    adequate: bool


class Objected(Struct, frozen=True):
    """An objection. `also` are other kinds that are equally right."""

    utterance: str
    kind: str
    also: tuple[str, ...] = ()
    reaction: Taken | None = None


class Step(Struct, frozen=True):
    """The next step: `agreed`, or only vague."""

    utterance: str
    agreed: bool


class Labelled(Struct, frozen=True):
    """A place in an utterance."""

    utterance: str


class Labels(Struct, frozen=True):
    """The labels of a dialogue, by people."""

    fillers: tuple[Filler, ...] = ()
    questions: tuple[QuestionLabel, ...] = ()
    not_questions: tuple[NoQuestion, ...] = ()
    stages: tuple[Begun, ...] = ()
    objections: tuple[Objected, ...] = ()
    next_step: Step | None = None
    back_channels: tuple[Labelled, ...] = ()


class Dialogue(Struct, frozen=True):
    """A labelled call."""

    id: str
    language: str
    utterances: tuple[Utterance, ...]
    labels: Labels
    source_has_punctuation: bool = True


def read_dialogues(text: str) -> Iterator[Dialogue]:
    """Yield the dialogues of a file, one JSON object a line. Raises msgspec.ValidationError or DecodeError."""
    decoder = msgspec.json.Decoder(Dialogue)
    for line in text.splitlines():
        if line.strip():
            yield decoder.decode(line)


def events(dialogue: Dialogue) -> Iterator[SpeechUtterance]:
    """Yield the utterances as events of the contract."""
    for said in dialogue.utterances:
        yield SpeechUtterance(
            v=1,
            id=said.id,
            at=0,
            source="labels",
            call=dialogue.id,
            manager="manager",
            utterance=said.id,
            role=said.role,
            start_ms=said.start_ms,
            end_ms=said.end_ms,
            text=said.text,
            words=tuple(SpokenWord(text=word.text, start_ms=word.start_ms, end_ms=word.end_ms) for word in said.words),
            final=True,
            language=dialogue.language,
        )
