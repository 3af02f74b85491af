"""Sides that look swapped: the detection by the hits of each side."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from streams.contract.events import Role
from streams.speech.labels import Dialogue, events, read_dialogues
from streams.speech.marks import Hit, UtteranceMarks
from streams.speech.sides import LOOKED_AT_MS, MARGIN, look_swapped
from tests.lexicons import reader
from tests.streams.speech_cases import FIXTURES

OTHER: dict[Role, Role] = {"manager": "customer", "customer": "manager"}
DIALOGUES = [
    dialogue
    for path in sorted((FIXTURES / "dialogues").glob("*.ndjson"))
    for dialogue in read_dialogues(path.read_text(encoding="utf-8"))
]


def read(dialogue: Dialogue, *, swapped: bool) -> dict[str, UtteranceMarks]:
    return {
        said.utterance: reader().read(replace(said, role=OTHER[said.role]) if swapped else said)
        for said in events(dialogue)
    }


def test_labelled_calls_look_as_they_are_and_most_of_them_look_swapped_when_they_are() -> None:
    assert len(DIALOGUES) == 40
    assert [each.id for each in DIALOGUES if look_swapped(read(each, swapped=False))] == []
    found = sum(look_swapped(read(each, swapped=True)) for each in DIALOGUES)
    assert found >= 30, "33 when this was written; the others say too little in their first minute"


def marks(named: int, other: int, **more: Any) -> UtteranceMarks:
    hits = tuple(Hit("objection", "price", "", 0, 0) for _ in range(named))
    made = UtteranceMarks(revision=0, final=True, role="customer", stretches=((0, 9),), words=5, hits=hits)
    return replace(made, as_other=other, **more)


@pytest.mark.parametrize(
    ("utterances", "expected"),
    [
        ([], False),
        ([marks(0, MARGIN)], True),
        ([marks(0, MARGIN - 1)], False),
        ([marks(1, MARGIN)], False),
        ([marks(0, 1), marks(0, 1)], True),
        ([marks(0, 3), marks(2, 0)], False),
        ([marks(0, 3, final=False)], False),  # interim utterances do not count
        ([marks(0, 3), marks(9, 0, stretches=((LOOKED_AT_MS, LOOKED_AT_MS + 9),))], True),
        ([marks(0, 3, hits=(Hit("filler", "like", "like", 0, 0),) * 9)], True),  # either side may say it
    ],
)
def test_the_reading_that_finds_more_is_the_right_one(utterances: list[UtteranceMarks], expected: bool) -> None:
    assert look_swapped({str(number): each for number, each in enumerate(utterances)}) is expected


def test_only_the_first_minute_is_read_as_the_other_side_s_and_only_what_is_final() -> None:
    said = next(events(DIALOGUES[0]))
    swapped = replace(said, role=OTHER[said.role])
    assert reader().read(swapped).as_other > 0
    assert reader().read(replace(swapped, final=False)).as_other == 0
    later = replace(swapped, start_ms=LOOKED_AT_MS, end_ms=LOOKED_AT_MS + 4_000)
    assert reader().read(later).as_other == 0
