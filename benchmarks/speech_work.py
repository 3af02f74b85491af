"""`python -m benchmarks.speech_work`: reads transcripts in this process, and prints the times as JSON.

A process of its own, so that the compiled callpulse can be measured from a benchmark that runs as source.
"""

from __future__ import annotations

import gc
import random
import sys
import tracemalloc
from collections.abc import Callable
from statistics import median
from time import process_time
from typing import Final

import msgspec
from msgspec import Struct

from agents.gc_tuning import without_the_start
from benchmarks import speech_load
from streams.contract.decoding import Decoder
from streams.contract.events import SpeechEvents, SpeechUtterance
from streams.settings.speech import Speech
from streams.speech.lexicon import File, Lexicon
from streams.speech.reading import Reader
from streams.speech.shipped import lexicon
from streams.speech.stretches import stretches
from streams.speech.words import Words
from streams.tables.transcript.fold import TranscriptFold
from streams.tables.transcript.row import TranscriptRecords, TranscriptRow, row_key

CALLS: Final = 40
UTTERANCES: Final = 50
ROUNDS: Final = 9
SIZES: Final = (100, 1_000, 10_000)
SAID: Final = ("на самом деле", "как бы", "в принципе", "то есть", "you know", "i mean", "kind of", "basically")
_AT_MS: Final = 1_700_000_000_000
_LETTERS: Final = "абвгдежзиклмнопрстуфхцчшэюя"


class Found(Struct, frozen=True):
    """The cost of the work. Times in µs of processor time an utterance, by step; the median of the rounds.

    `sizes`: the time to find phrases, by the number of phrases in the lexicon, and the number of those found.
    `bytes_of_record`: an event. `bytes_of_row`: the part of an utterance in the record of its leg. `bytes_in_memory`:
    its part of the open leg.
    """

    python: str
    phrases: int
    utterances: int
    parts: dict[str, float]
    all_finals: float
    all_interims: float
    sizes: dict[int, float]
    hits: dict[int, int]
    bytes_of_record: float
    bytes_of_row: float
    bytes_in_memory: float


def main() -> None:
    """Measure and print."""
    with without_the_start():  # workers, too, exclude the objects of the start from collections
        print(msgspec.json.encode(measure()).decode())


def measure() -> Found:
    """Read the finals, and their interims, like the speech agent; then the single steps."""
    shipped, speech = lexicon(), Speech()
    reader = Reader(shipped, speech)
    fold = TranscriptFold(reader, speech, shipped.version)
    finals = list(speech_load.finals(CALLS, UTTERANCES, at_ms=_AT_MS))
    spoken = [one for final in finals[: CALLS * 5] for one in (*speech_load.interims(final), final)]
    values, values_spoken = ([speech_load.record(event)[1] for event in events] for events in (finals, spoken))
    words = [Words(event.text) for event in finals]
    count = len(finals)
    parts: dict[str, Callable[[], object]] = {
        "decode": lambda: [_decode(value) for value in values],
        "words": lambda: [Words(event.text) for event in finals],
        "phrases": lambda: [
            shipped.find(one, event.role, event.start_ms) for one, event in zip(words, finals, strict=True)
        ],
        "questions": lambda: [shipped.questions.find(one) for one in words],
        "stretches": lambda: [stretches(event, speech.word_gap_ms, speech.longest_word_ms) for event in finals],
        "read": lambda: [reader.read(event) for event in finals],
    }
    gc.freeze()  # the lexicons
    taken = {name: _took(work, count) for name, work in parts.items()}
    rows = _rows(fold, finals)
    records = TranscriptRecords()
    taken["encode rows"] = _took(lambda: [records.changelog(key, row) for key, row in rows.items()], count)
    size = sum(len(value or b"") for key, row in rows.items() for _, value in records.changelog(key, row))
    sizes, hits = _flatness(words, finals)
    return Found(
        python=sys.modules[Reader.__module__].__file__ or "",
        phrases=len(shipped),
        utterances=count,
        parts=taken,
        all_finals=_took(lambda: _all(fold, values), count),
        all_interims=_took(lambda: _all(fold, values_spoken), len(spoken)),
        sizes=sizes,
        hits=hits,
        bytes_of_record=sum(map(len, values)) / count,
        bytes_of_row=size / count,
        bytes_in_memory=_in_memory(fold, finals) / count,
    )


_decode: Final[Callable[[bytes], object]] = Decoder[SpeechEvents]("speech").decode


def _took(work: Callable[[], object], items: int) -> float:
    """Return the median processor time an item takes, µs, after one round that does not count."""
    work()
    times = []
    for _ in range(ROUNDS):
        begun = process_time()
        work()
        times.append((process_time() - begun) / items * 1e6)
    return median(times)


def _rows(fold: TranscriptFold, events: list[SpeechUtterance]) -> dict[bytes, TranscriptRow]:
    rows: dict[bytes, TranscriptRow] = {}
    for event in events:
        fold.utterance(rows.setdefault(row_key(event.manager, event.call), TranscriptRow()), event)
    return rows


def _all(fold: TranscriptFold, values: list[bytes]) -> None:
    """Do all steps of the agent with records up to their changelog."""
    rows: dict[bytes, TranscriptRow] = {}
    for value in values:
        event = _decode(value)
        assert isinstance(event, SpeechUtterance)
        key = row_key(event.manager, event.call)
        row = rows.get(key)
        if row is None:
            row = rows[key] = TranscriptRow()
        fold.utterance(row, event)
    records = TranscriptRecords()
    for key, row in rows.items():
        records.changelog(key, row)


def _in_memory(fold: TranscriptFold, events: list[SpeechUtterance]) -> int:
    _rows(fold, events)  # the caches of words and phrases are no part of these legs
    gc.collect()
    tracemalloc.start()
    rows = _rows(fold, events)
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del rows
    return held


def _flatness(words: list[Words], events: list[SpeechUtterance]) -> tuple[dict[int, float], dict[int, int]]:
    """Find the same phrases among 100, 1,000 and 10,000; the others do not occur."""
    sizes: dict[int, float] = {}
    hits: dict[int, int] = {}
    made = {size: _invented(size) for size in SIZES}
    for size, of_size in made.items():
        pairs = list(zip(words, events, strict=True))
        hits[size] = sum(len(of_size.find(one, event.role)) for one, event in pairs)
        sizes[size] = _took(lambda: [of_size.find(one, event.role) for one, event in pairs], len(pairs))  # noqa: B023 - called at once
    return sizes, hits


def _invented(phrases: int) -> Lexicon:
    """Return a lexicon of this number of phrases: those that occur, and invented ones of two or three words."""
    chance = random.Random(7)
    words = ["".join(chance.choices(_LETTERS, k=9)) for _ in range(4_000)]
    others = {" ".join(chance.choices(words, k=chance.choice((2, 3)))) for _ in range(phrases * 2)}
    listed = [*SAID, *sorted(others)[: phrases - len(SAID)]]
    text = "\n".join(f'[cue.g{at}]\nphrases = ["{phrase}"]' for at, phrase in enumerate(listed))
    return Lexicon.load([File("invented.toml", text)])


if __name__ == "__main__":
    main()
