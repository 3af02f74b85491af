"""Calls and phrases that were written before their author read the lexicon: floors under its hits in them.

Of those whose half is "unread" only the sums were seen while the lexicon was changed.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from streams.settings.speech import Speech
from streams.speech.labels import read_dialogues
from streams.speech.reading import Reader
from streams.speech.score import Score, score
from streams.speech.shipped import lexicon
from streams.speech.words import Words

SPEECH = Path(__file__).parents[1] / "fixtures" / "speech"
LEXICON = cache(lexicon)


@cache
def calls(folder: str, half: str) -> Score:
    files = [SPEECH / folder / f"{language}_{half}.ndjson" for language in ("ru", "en")]
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    return score(read_dialogues(text), Reader(LEXICON(), Speech()))


@pytest.mark.parametrize(
    ("folder", "half", "part", "precision", "recall"),
    [
        ("calls", "read", "objections", 0.95, 0.95),
        ("calls", "read", "next_steps", 0.95, 0.95),
        ("calls", "read", "stages", 0.95, 0.93),
        ("calls", "unread", "objections", 0.95, 0.90),
        ("calls", "unread", "next_steps", 0.95, 0.95),
        ("calls", "unread", "stages", 0.90, 0.88),
        ("calls_second", "read", "fillers", 0.95, 0.95),
        ("calls_second", "read", "objections", 0.93, 0.93),
        ("calls_second", "read", "next_steps", 0.95, 0.95),
        ("calls_second", "read", "stages", 0.90, 0.88),
        ("calls_second", "unread", "fillers", 0.93, 0.95),
        ("calls_second", "unread", "objections", 0.55, 0.62),
        ("calls_second", "unread", "next_steps", 0.55, 0.60),
        ("calls_second", "unread", "stages", 0.68, 0.69),
    ],
)
def test_in_whole_calls_at_least_so_much_is_heard(
    folder: str, half: str, part: str, precision: float, recall: float
) -> None:
    tally = calls(folder, half).tallies[part][""]
    assert tally.precision is not None
    assert tally.recall is not None
    assert (tally.precision >= precision, tally.recall >= recall) == (True, True), tally


@cache
def phrases(language: str, half: str) -> list[dict[str, Any]]:
    lines = map(json.loads, (SPEECH / "phrases_second.ndjson").read_text(encoding="utf-8").splitlines())
    return [line for line in lines if (line["language"], line["half"]) == (language, half)]


def is_objection(text: str) -> bool:
    return any(match.kind == "objection" for match in LEXICON().find(Words(text), "customer"))


@pytest.mark.parametrize(
    ("language", "half", "heard", "passed_over"),
    [
        ("ru", "read", 0.95, 0.85),
        ("en", "read", 0.95, 0.95),
        ("ru", "unread", 0.70, 0.90),
        ("en", "unread", 0.60, 0.88),
    ],
)
def test_of_the_phrases_alone_so_many_are_told_rightly(
    language: str, half: str, heard: float, passed_over: float
) -> None:
    said = phrases(language, half)
    objections = [is_objection(line["text"]) for line in said if line["part"] == "objection"]
    others = [is_objection(line["text"]) for line in said if line["part"] == "no_objection"]
    assert sum(objections) / len(objections) >= heard
    assert 1 - sum(others) / len(others) >= passed_over
