"""`python -m benchmarks.lexicon`: the time to read an utterance, and to find phrases among 100, 1,000 and 10,000.

The texts are those of the labelled dialogues. The invented lexicons share the phrases that occur, so each finds the
same: only the number of unused phrases differs.
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import msgspec

from streams.contract.events import SpeechUtterance
from streams.settings.speech import Speech
from streams.speech.labels import events, read_dialogues
from streams.speech.lexicon import File, Lexicon
from streams.speech.reading import Reader
from streams.speech.shipped import lexicon
from streams.speech.words import Words

DIALOGUES = Path(__file__).parents[1] / "tests" / "fixtures" / "speech" / "dialogues"
SIZES = (100, 1_000, 10_000)
SAID = ["на самом деле", "как бы", "в принципе", "то есть", "you know", "i mean", "kind of", "sort of", "basically"]
LETTERS = "абвгдежзиклмнопрстуфхцчшэюя"


def invented(phrases: int) -> Lexicon:
    """Return a lexicon of this number of phrases: those that occur, and invented ones of two or three words."""
    chance = random.Random(7)
    words = ["".join(chance.choices(LETTERS, k=9)) for _ in range(4_000)]
    others = {" ".join(chance.choices(words, k=chance.choice((2, 3)))) for _ in range(phrases * 2)}
    listed = [*SAID, *sorted(others)[: phrases - len(SAID)]]
    text = "\n".join(f'[cue.g{at}]\nphrases = ["{phrase}"]' for at, phrase in enumerate(listed))
    return Lexicon.load([File("invented.toml", text)])


def microseconds(work: Callable[[], object], items: int, rounds: int) -> float:
    """Return the median time an item takes, after one round that does not count."""
    work()
    times = []
    for _ in range(rounds):
        begun = perf_counter()
        work()
        times.append((perf_counter() - begun) / items * 1e6)
    return statistics.median(times)


def said() -> list[SpeechUtterance]:
    """Return the utterances of the labelled dialogues."""
    return [
        event
        for path in sorted(DIALOGUES.glob("*.ndjson"))
        for dialogue in read_dialogues(path.read_text(encoding="utf-8"))
        for event in events(dialogue)
    ]


def measure(rounds: int) -> dict[str, float]:
    """Return microseconds an utterance by the name of the measurement."""
    utterances = said()
    words = [(Words(event.text), event.role) for event in utterances]
    found: dict[str, float] = {}
    hits = set()
    for size in SIZES:
        made = invented(size)
        hits.add(sum(len(made.find(one, role)) for one, role in words))
        found[f"find among {size}"] = microseconds(
            lambda made=made: [made.find(one, role) for one, role in words],  # type: ignore[misc]  # bound now
            len(words),
            rounds,
        )
    assert len(hits) == 1, "the invented lexicons find different things"
    begun = perf_counter()
    shipped = lexicon()
    found["load the shipped lexicon, ms"] = (perf_counter() - begun) * 1e3
    reader = Reader(shipped, Speech())
    found["words"] = microseconds(lambda: [Words(event.text) for event in utterances], len(utterances), rounds)
    found["find, shipped"] = microseconds(lambda: [shipped.find(one, role) for one, role in words], len(words), rounds)
    found["read, shipped"] = microseconds(lambda: [reader.read(event) for event in utterances], len(utterances), rounds)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(options.rounds)
    if options.json:
        print(msgspec.json.encode(found).decode())
        return
    for name, figure in found.items():
        print(f"{name:32} {figure:8.1f}")


if __name__ == "__main__":
    main()
