"""Transcripts for benchmarks: texts of the labelled dialogues, Russian and English in turn, in utterances of 20 words.

Half of the calls have times of words, like those of live recognisers; the others have text alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Final

import msgspec

from streams.contract.events import SpeechUtterance, SpokenWord, encode

DIALOGUES: Final = Path(__file__).parents[1] / "tests" / "fixtures" / "speech" / "dialogues"
WORDS: Final = 20
WORD_MS: Final = 400
INTERIMS: Final = 10
"""The number of interim versions before a final utterance."""
_SOURCE: Final = "recogniser.example"


def texts() -> list[str]:
    """Return texts of 20 words each, with their punctuation; Russian and English in turn, each text once."""
    by_language = [_of(path) for path in sorted(DIALOGUES.glob("*.ndjson"))]
    return [text for pair in zip(*by_language, strict=False) for text in pair]


def finals(calls: int, utterances: int, *, managers: int = 200, at_ms: int) -> Iterator[SpeechUtterance]:
    """Yield `utterances` of each of `calls` calls, in the order of calls that all go on at once."""
    said = cycle(texts())
    for number in range(utterances):
        for call in range(calls):
            yield _utterance(call, number, next(said).split(), managers, at_ms)


def interims(of: SpeechUtterance) -> Iterator[SpeechUtterance]:
    """Yield the versions of an utterance that come before it: each begins as the one before and is longer."""
    words = of.text.split()
    for number in range(INTERIMS):
        count = max(1, len(words) * (number + 1) // INTERIMS)
        yield msgspec.structs.replace(
            of,
            id=f"{of.id}-{number}",
            text=" ".join(words[:count]),
            words=of.words[:count],
            end_ms=of.start_ms + count * WORD_MS,
            final=False,
            revision=number,
        )


def record(event: SpeechUtterance) -> tuple[bytes, bytes]:
    """Return key and value of the event's record."""
    return event.manager.encode(), encode(event)


def _of(path: Path) -> list[str]:
    words = [
        word
        for line in path.read_text(encoding="utf-8").splitlines()
        for said in msgspec.json.decode(line)["utterances"]
        for word in said["text"].split()
    ]
    return [" ".join(words[at : at + WORDS]) for at in range(0, len(words) - WORDS + 1, WORDS)]


def _utterance(call: int, number: int, words: list[str], managers: int, at_ms: int) -> SpeechUtterance:
    start_ms = number * (WORDS * WORD_MS + 700)
    timed = call % 2 == 0
    return SpeechUtterance(
        v=1,
        id=f"call-{call:06d}-u{number:04d}",
        at=at_ms + start_ms,
        source=_SOURCE,
        call=f"call-{call:06d}",
        manager=f"manager-{call % managers:04d}",
        utterance=f"u{number:04d}",
        role="manager" if number % 2 == 0 else "customer",
        start_ms=start_ms,
        end_ms=start_ms + len(words) * WORD_MS,
        text=" ".join(words),
        final=True,
        words=tuple(
            SpokenWord(text=word, start_ms=start_ms + at * WORD_MS, end_ms=start_ms + (at + 1) * WORD_MS - 50)
            for at, word in enumerate(words)
        )
        if timed
        else (),
        revision=INTERIMS,
    )
