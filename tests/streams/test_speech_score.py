"""The shipped lexicon on labelled dialogues: floors under its present score, and the rules of the score."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from streams.settings.speech import Speech
from streams.speech.labels import (
    Begun,
    Dialogue,
    Filler,
    Labels,
    Objected,
    Step,
    Utterance,
    read_dialogues,
)
from streams.speech.lexicon import File, Lexicon
from streams.speech.reading import Reader
from streams.speech.score import Score, score
from streams.speech.words import Words
from tests.lexicons import lexicon, reader

DIALOGUES = Path(__file__).parents[1] / "fixtures" / "speech" / "dialogues"


@cache
def shipped(language: str) -> Score:
    text = (DIALOGUES / f"{language}.ndjson").read_text(encoding="utf-8")
    return score(read_dialogues(text), reader())


@pytest.mark.parametrize(
    ("language", "part", "precision", "recall"),
    [
        ("ru", "fillers", 0.95, 0.95),
        ("en", "fillers", 0.95, 0.95),
        ("ru", "objections", 0.90, 0.85),
        ("en", "objections", 0.90, 0.90),
        ("ru", "next_steps", 0.95, 0.95),
        ("en", "next_steps", 0.95, 0.95),
        ("ru", "stages", 0.88, 0.85),
        ("en", "stages", 0.85, 0.82),
    ],
)
def test_the_shipped_lexicon_hears_at_least(language: str, part: str, precision: float, recall: float) -> None:
    tally = shipped(language).tallies[part][""]
    assert tally.precision is not None
    assert tally.recall is not None
    assert (tally.precision >= precision, tally.recall >= recall) == (True, True), tally


def test_what_people_say_elsewhere_is_hardly_taken_for_an_objection() -> None:
    """Statements of forums and subtitles; some of them are doubts and refusals indeed."""
    lines = (DIALOGUES.parent / "russian_questions" / "statements.txt").read_text(encoding="utf-8").splitlines()
    shipped_lexicon = lexicon()
    taken = sum(
        any(match.kind == "objection" for match in shipped_lexicon.find(Words(line), "customer")) for line in lines
    )
    assert taken / len(lines) < 0.025


# -- the rules of the score

READER = Reader(
    Lexicon.load(
        [
            File(
                "small.toml",
                """
[filler."как бы"]
phrases = ["как бы"]
[objection.price]
side = "customer"
phrases = ["дорого"]
[next_step.vague_time]
phrases = ["потом"]
[cue.offer]
phrases = ["созвонимся"]
[stage.pain]
side = "manager"
phrases = ["теряете"]
""",
            )
        ]
    ),
    Speech(),
)


def dialogue(labels: Labels, *texts: str) -> Dialogue:
    said = tuple(
        Utterance(f"u{at}", "customer" if text.startswith("-") else "manager", at * 2_000, at * 2_000 + 1_500, text)
        for at, text in enumerate(texts)
    )
    return Dialogue("d", "ru", said, labels)


def counts(labels: Labels, part: str, *texts: str) -> tuple[int, int, int]:
    tally = score([dialogue(labels, *texts)], READER).tallies.get(part, {}).get("")
    return (tally.right, tally.wrong, tally.missed) if tally else (0, 0, 0)


@pytest.mark.parametrize(
    ("offset", "group", "expected"),
    [(6, "как бы", (1, 0, 0)), (0, "как бы", (0, 1, 1)), (6, "типа", (0, 1, 1))],
)
def test_a_filler_is_right_at_its_place_in_its_group(offset: int, group: str, expected: tuple[int, int, int]) -> None:
    assert counts(Labels(fillers=(Filler("u0", offset, group),)), "fillers", "Это, «как бы» да") == expected


def test_a_group_that_is_not_asked_for_is_scored_apart() -> None:
    assert counts(Labels(fillers=(Filler("u0", 0, "собственно", core=False),)), "extra_fillers", "собственно") == (
        0,
        0,
        1,
    )


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (Labels(objections=(Objected("u1", "price"),)), (1, 0, 0)),
        (Labels(objections=(Objected("u0", "price"),)), (0, 1, 1)),
        (Labels(next_step=Step("u1", agreed=False)), (0, 0, 0)),
        (Labels(next_step=Step("u1", agreed=True)), (0, 1, 0)),
    ],
)
def test_a_stall_at_the_close_may_be_taken_for_an_objection(labels: Labels, expected: tuple[int, int, int]) -> None:
    assert counts(labels, "objections", "ну", "- дорого") == expected


@pytest.mark.parametrize(("kind", "also", "expected"), [("price", (), 1), ("trust", ("price",), 1), ("trust", (), 0)])
def test_another_kind_that_is_as_right_counts(kind: str, also: tuple[str, ...], expected: int) -> None:
    labels = Labels(objections=(Objected("u1", kind, also),))
    assert counts(labels, "objection_kinds", "ну", "- дорого")[0] == expected


@pytest.mark.parametrize(
    ("utterance", "agreed", "expected"),
    [("u3", False, (1, 0, 0)), ("u1", False, (1, 0, 0)), ("u0", False, (0, 1, 1)), ("u3", True, (0, 1, 1))],
)
def test_a_next_step_may_be_near(utterance: str, agreed: bool, expected: tuple[int, int, int]) -> None:
    labels = Labels(next_step=Step(utterance, agreed))
    assert counts(labels, "next_steps", "ну", "- ну", "созвонимся", "- потом") == expected


@pytest.mark.parametrize(("utterance", "expected"), [("u1", 1), ("u3", 1), ("u0", 0)])
def test_a_stage_may_begin_one_utterance_away(utterance: str, expected: int) -> None:
    labels = Labels(stages=(Begun("introduction", "u0"), Begun("pain", utterance)))
    right, _, _ = counts(labels, "stages", "ну", "- ну", "вы теряете", "- ну")
    assert right == 1 + expected


def test_misses_name_places_and_no_text() -> None:
    result = score([dialogue(Labels(fillers=(Filler("u0", 0, "типа"),)), "как бы секрет")], READER)
    assert [
        (miss.utterance, miss.part, miss.group, miss.wrong) for miss in result.misses if miss.part == "fillers"
    ] == [
        ("u0", "fillers", "как бы", True),
        ("u0", "fillers", "типа", False),
    ]
    assert "секрет" not in repr(result.misses)
