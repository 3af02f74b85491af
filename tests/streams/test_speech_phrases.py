"""Russian phrases of sales calls, of our own: the hits of the shipped lexicon in them.

Half "read" was looked at while the lexicon was written, half "unread" only counted. The floors are under both.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from streams.speech.shipped import lexicon
from streams.speech.words import Words

PHRASES = Path(__file__).parents[1] / "fixtures" / "speech" / "phrases_ru.ndjson"


@cache
def phrases(part: str, half: str) -> list[dict[str, Any]]:
    lines = PHRASES.read_text(encoding="utf-8").splitlines()
    return [line for line in map(json.loads, lines) if line["part"] == part and line["half"] == half]


LEXICON = cache(lexicon)


def heard(text: str, kind: str) -> set[str]:
    return {match.group for match in LEXICON().find(Words(text), "customer") if match.kind == kind}


@pytest.mark.parametrize("half", ["read", "unread"])
def test_objections_are_heard_and_told_from_what_is_none(half: str) -> None:
    of = [(line["label"], heard(line["text"], "objection")) for line in phrases("objection", half)]
    there = [label in groups for label, groups in of if label != "none"]
    none = [bool(groups) for label, groups in of if label == "none"]
    assert sum(there) / len(there) > 0.9
    assert sum(none) / len(none) < 0.09


@pytest.mark.parametrize("half", ["read", "unread"])
def test_fillers_are_heard(half: str) -> None:
    of = [(line["label"], heard(line["text"], "filler")) for line in phrases("filler", half) if line["label"] != "none"]
    assert sum(label in groups for label, groups in of) / len(of) > 0.95
