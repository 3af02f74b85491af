"""Transcripts for the tests of speech: marks by hand, the labelled dialogues, and the output of real recognisers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

from streams.contract.events import Role, SpeechUtterance, SpokenWord
from streams.settings.speech import Speech
from streams.speech.marks import UtteranceMarks
from streams.speech.stretches import stretches, unclear

FIXTURES: Final = Path(__file__).parents[1] / "fixtures/speech"
SPEECH: Final = Speech()
AT: Final = 1_795_435_200_000
RECORDINGS: Final = {"40": 245_380, "49": 237_560}
"""The two calls that Whisper read, and their length in ms."""
WHISPER_SIDES: Final[dict[str, Role]] = {"agent": "manager", "caller": "customer"}

Span = tuple[int, int]


def marks(
    role: Role, *spans: Span, words: int = 5, nod: bool = False, timed: bool = False, unclear: tuple[Span, ...] = ()
) -> UtteranceMarks:
    return UtteranceMarks(
        revision=0, final=True, role=role, stretches=spans, words=words, timed=timed, back_channel=nod, unclear=unclear
    )


def numbered(*utterances: UtteranceMarks) -> dict[str, UtteranceMarks]:
    return {str(number): utterance for number, utterance in enumerate(utterances)}


def utterance(
    name: str, role: Role, start: int, end: int, text: str, words: tuple[tuple[str, int, int], ...] = ()
) -> SpeechUtterance:
    return SpeechUtterance(
        v=1,
        id=f"asr-{name}",
        at=AT,
        source="asr",
        call="c-1",
        manager="anna",
        utterance=name,
        role=role,
        start_ms=start,
        end_ms=end,
        text=text,
        final=True,
        words=tuple(SpokenWord(text=word, start_ms=first, end_ms=last) for word, first, last in words),
    )


def marked(event: SpeechUtterance, *, nod: bool = False) -> UtteranceMarks:
    """Return the times of an utterance as marks, without hits of its words."""
    return UtteranceMarks(
        revision=event.revision,
        final=event.final,
        role=event.role,
        stretches=stretches(event, SPEECH.word_gap_ms, SPEECH.longest_word_ms),
        words=len(event.text.split()),
        timed=bool(event.words),
        back_channel=nod,
        unclear=unclear(event, SPEECH.longest_word_ms),
    )


@cache
def dialogues() -> tuple[dict[str, Any], ...]:
    """Return the labelled dialogues: 20 in Russian, 20 in English."""
    return tuple(
        json.loads(line)
        for language in ("ru", "en")
        for line in (FIXTURES / f"dialogues/{language}.ndjson").read_text(encoding="utf-8").splitlines()
    )


def events_of(dialogue: dict[str, Any]) -> Iterator[SpeechUtterance]:
    for said in dialogue["utterances"]:
        words = tuple((word["text"], word["start_ms"], word["end_ms"]) for word in said.get("words", ()))
        yield utterance(said["id"], said["role"], said["start_ms"], said["end_ms"], said["text"], words)


def whisper(call: str, *, timed: bool = True) -> Iterator[SpeechUtterance]:
    """Yield Whisper's segments of a recording, with the times of their words or without."""
    for side, role in WHISPER_SIDES.items():
        path = FIXTURES / f"whisper/Auto_Repairs_{call}_UTC_{side}.whisper.json"
        for number, segment in enumerate(json.loads(path.read_text(encoding="utf-8"))["segments"]):
            words = tuple(
                (word["word"].strip(), round(word["start"] * 1_000), round(word["end"] * 1_000))
                for word in segment["words"]
            )
            start, end = round(segment["start"] * 1_000), round(segment["end"] * 1_000)
            yield utterance(f"{side}-{number}", role, start, end, segment["text"].strip(), words if timed else ())


def heard(call: str) -> dict[str, UtteranceMarks]:
    """Return the speech of each side in a recording, measured in the audio: one utterance for each stretch."""
    found = json.loads((FIXTURES / f"whisper/Auto_Repairs_{call}_UTC.speech.json").read_text(encoding="utf-8"))
    return {
        f"{side}-{number}": marks(role, (start, end), timed=True)
        for side, role in WHISPER_SIDES.items()
        for number, (start, end) in enumerate(found[side])
    }
