"""Stretches of speech from the times of words: cases, the rule in steps of one millisecond, and two real calls."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.contract.events import LONGEST_MS, SpeechUtterance, SpokenWord
from streams.speech.stretches import stretches, unclear

WHISPER: Final = Path(__file__).parents[1] / "fixtures/speech/whisper"
GAP: Final = 500
LONGEST: Final = 2_000

Times = tuple[tuple[int, int], ...]


def spoken(start: int, end: int, *words: tuple[int, int]) -> SpeechUtterance:
    return SpeechUtterance(
        v=1,
        id="u-1",
        at=1_795_435_200_000,
        source="asr",
        call="c-1",
        manager="anna",
        utterance="1",
        role="manager",
        start_ms=start,
        end_ms=end,
        text=" ".join("well" for _ in words) or "well",
        final=True,
        words=tuple(SpokenWord(text="well", start_ms=first, end_ms=last) for first, last in words),
    )


CASES: Final[tuple[tuple[str, SpeechUtterance, Times], ...]] = (
    ("no words: the whole utterance", spoken(1_000, 9_000), ((1_000, 9_000),)),
    ("no words and no length", spoken(700, 700), ((700, 700),)),
    ("one word", spoken(0, 5_000, (1_000, 1_300)), ((1_000, 1_300),)),
    ("a gap of word_gap joins", spoken(0, 5_000, (0, 300), (800, 900)), ((0, 900),)),
    ("a longer one does not", spoken(0, 5_000, (0, 300), (801, 900)), ((0, 300), (801, 900))),
    ("words out of order", spoken(0, 5_000, (800, 900), (0, 300), (3_000, 3_100)), ((0, 900), (3_000, 3_100))),
    ("words that overlap", spoken(0, 5_000, (0, 1_500), (200, 600), (1_400, 1_700)), ((0, 1_700),)),
    ("the same word twice", spoken(0, 5_000, (100, 400), (100, 400)), ((100, 400),)),
    ("a word that begins before the utterance", spoken(1_000, 5_000, (600, 1_200)), ((1_000, 1_200),)),
    ("a word that ends after it", spoken(1_000, 5_000, (4_800, 5_600)), ((4_800, 5_000),)),
    (
        "words outside it do not count",
        spoken(1_000, 5_000, (0, 900), (2_000, 2_300), (5_100, 6_000)),
        ((2_000, 2_300),),
    ),
    ("all words outside it: the whole utterance", spoken(1_000, 5_000, (0, 900), (5_100, 6_000)), ((1_000, 5_000),)),
    ("a word of no length", spoken(0, 5_000, (0, 300), (2_000, 2_000)), ((0, 300),)),
    ("it joins its neighbours", spoken(0, 5_000, (0, 300), (700, 700), (1_100, 1_300)), ((0, 1_300),)),
    ("only words of no length", spoken(0, 5_000, (0, 0), (2_000, 2_000)), ((0, 5_000),)),
    ("words at moment 0 of an utterance of no length", spoken(0, 0, (0, 0)), ((0, 0),)),
    ("of an over-long word the end counts", spoken(0, 30_000, (0, 300), (300, 19_540)), ((0, 300), (17_540, 19_540))),
    ("a word of longest_word counts whole", spoken(0, 30_000, (5_000, 7_000)), ((5_000, 7_000),)),
    ("a huge word ends with its utterance", spoken(1_000, 5_000, (0, LONGEST_MS)), ((3_000, 5_000),)),
    ("an over-long word in a short utterance", spoken(1_000, 2_000, (0, 9_000)), ((1_000, 2_000),)),
    (
        "an over-long word begins before its neighbour and counts after it",
        spoken(0, 30_000, (1_000, 9_000), (2_000, 2_300), (9_100, 9_400)),
        ((2_000, 2_300), (7_000, 9_400)),
    ),
)


@pytest.mark.parametrize(("event", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_stretches(event: SpeechUtterance, expected: Times) -> None:
    assert stretches(event, GAP, LONGEST) == expected


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (spoken(0, 9_000), ()),
        (spoken(0, 9_000, (0, 2_000)), ()),
        (spoken(0, 9_000, (0, 2_001)), ((0, 1),)),
        (spoken(0, 30_000, (300, 19_540), (19_540, 19_900)), ((300, 17_540),)),
        (spoken(1_000, 5_000, (0, 9_000)), ((1_000, 3_000),)),
        (spoken(1_000, 2_000, (0, 9_000)), ()),
    ],
)
def test_the_beginning_of_an_over_long_word_is_unclear(event: SpeechUtterance, expected: Times) -> None:
    assert unclear(event, LONGEST) == expected


SMALL = st.integers(0, 60)
WORDS = st.lists(st.tuples(SMALL, SMALL).map(lambda pair: (min(pair), max(pair))), max_size=8)


@given(SMALL, SMALL, WORDS, st.integers(0, 10), st.integers(1, 20), st.randoms(use_true_random=False))
def test_the_rule_step_by_step(
    one: int, other: int, words: list[tuple[int, int]], gap: int, longest: int, chance: Random
) -> None:
    """In steps of 1 ms: a step is speech if a word covers it, or if it lies between words at most `gap` apart."""
    first, last = min(one, other), max(one, other)
    event = spoken(first, last, *words)
    found = stretches(event, gap, longest)

    spoken_steps: set[int] = set()
    points: set[int] = set()  # where a word begins, ends or goes on: what a gap lies between
    for start, end in words:
        ended = min(end, last)
        begun = max(start, first, ended - longest)
        if begun <= ended:
            spoken_steps |= set(range(begun, ended))
            points |= set(range(begun, ended + 1))
    for point in sorted(points):
        later = [other for other in points if other > point]
        if later and min(later) - point <= gap:
            spoken_steps |= set(range(point, min(later)))
    steps = {step for start, end in found for step in range(start, end)}
    assert steps == (spoken_steps or set(range(first, last)))

    assert len(found) >= 1
    assert list(found) == sorted(found)
    assert all(after[0] > before[1] for before, after in pairwise(found))
    shuffled = list(words)
    chance.shuffle(shuffled)
    assert stretches(spoken(first, last, *shuffled), gap, longest) == found


def whisper_words(call: str, side: str) -> list[tuple[int, int]]:
    recognised = json.loads((WHISPER / f"Auto_Repairs_{call}_UTC_{side}.whisper.json").read_text(encoding="utf-8"))
    return [
        (round(word["start"] * 1_000), round(word["end"] * 1_000))
        for segment in recognised["segments"]
        for word in segment["words"]
    ]


def test_real_recordings_say_that_the_end_of_a_long_word_is_the_speech() -> None:
    """Of the words of more than 1.2 s in two real calls, the last half second holds more speech than the first.

    The true stretches of each side are measured in the audio.
    """
    firsts: list[int] = []
    lasts: list[int] = []
    for call in ("40", "49"):
        heard = json.loads((WHISPER / f"Auto_Repairs_{call}_UTC.speech.json").read_text(encoding="utf-8"))
        for side in ("agent", "caller"):
            for start, end in whisper_words(call, side):
                if end - start > 1_200:
                    firsts.append(sum(max(0, min(to, start + 500) - max(at, start)) for at, to in heard[side]))
                    lasts.append(sum(max(0, min(to, end) - max(at, end - 500)) for at, to in heard[side]))
    assert len(firsts) == 9
    print(f"speech in the first 500 ms: {sum(firsts)} ms, in the last: {sum(lasts)} ms")
    assert sum(lasts) > sum(firsts)
