from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.contract.events import Role, SpeechUtterance, SpokenWord
from streams.settings.speech import Speech
from streams.speech.conversation import heard
from streams.speech.lexicon import File, Lexicon
from streams.speech.marks import UtteranceMarks
from streams.speech.reading import Reader
from streams.speech.shipped import lexicon, shipped
from tests.lexicons import lexicon as shipped_lexicon

SMALL = Lexicon.load(
    [
        File(
            "small.toml",
            """
[back_channels]
words = ["угу", "да", "mhm"]
[filler."как бы"]
phrases = ["как бы"]
[objection.price]
side = "customer"
phrases = ["дорого"]
[next_step.agreed]
within = "end"
span = "10s"
phrases = ["договорились"]
""",
        )
    ]
)
READER = Reader(SMALL, Speech())


def event(text: str, role: Role = "customer", **more: Any) -> SpeechUtterance:
    fields: dict[str, Any] = {
        "v": 1,
        "id": "e1",
        "source": "test",
        "at": 1_700_000_000_000,
        "manager": "anna",
        "call": "c1",
        "utterance": "u1",
        "role": role,
        "start_ms": 1_000,
        "end_ms": 3_000,
        "text": text,
        "final": True,
    }
    return SpeechUtterance(**(fields | more))


def timed(text: str, each_ms: int = 100) -> tuple[SpokenWord, ...]:
    return tuple(
        SpokenWord(text=word, start_ms=1_000 + each_ms * at, end_ms=1_000 + each_ms * (at + 1))
        for at, word in enumerate(text.split())
    )


def test_marks_say_what_was_heard_and_when() -> None:
    marks = READER.read(event("Это, как бы, дорого.", language="ru", revision=2))
    assert (marks.role, marks.revision, marks.final, marks.language) == ("customer", 2, True, "ru")
    assert (marks.words, marks.punctuated, marks.timed, marks.back_channel) == (4, True, False, False)
    assert marks.stretches == ((1_000, 3_000),)
    assert [(hit.kind, hit.group, hit.phrase, hit.word) for hit in marks.hits] == [
        ("filler", "как бы", "как бы", 1),
        ("objection", "price", "", 3),
    ]
    assert [hit.at_ms for hit in marks.hits] == [1_428, 2_142], "a share of the utterance by its letters"


@pytest.mark.parametrize(
    ("text", "words", "at_ms"),
    [
        ("ну, как бы дорого", "ну, как бы дорого", [1_100, 1_300]),
        ("follow-up как-бы дорого", "follow-up как-бы дорого", [1_100, 1_200]),
        ("ну, как бы дорого", "ну, как бы", [1_307, 2_076]),
    ],
)
def test_a_hit_has_the_time_of_its_word(text: str, words: str, at_ms: list[int]) -> None:
    assert [hit.at_ms for hit in READER.read(event(text, words=timed(words))).hits] == at_ms


@pytest.mark.parametrize(
    ("text", "back_channel"),
    [("Угу.", True), ("Да-да, угу", True), ("да да да да", False), ("да ладно", False), ("", False), ("...", False)],
)
def test_a_back_channel_is_few_words_of_the_list(text: str, back_channel: bool) -> None:
    assert READER.read(event(text)).back_channel == back_channel


def test_an_objection_of_the_manager_is_none() -> None:
    assert READER.read(event("это дорого", "manager")).hits == ()


def test_what_belongs_to_the_end_counts_when_the_end_is_known() -> None:
    early = READER.read(event("договорились", start_ms=1_000, end_ms=2_000))
    late = READER.read(event("договорились", start_ms=20_000, end_ms=21_000))
    assert [len(hits) for hits in heard({"a": early}).values()] == [1]
    assert {name: len(hits) for name, hits in heard({"a": early, "b": late}).items()} == {"a": 0, "b": 1}


def test_no_mark_holds_a_word_of_the_speaker() -> None:
    marks: UtteranceMarks = READER.read(event("Секретный Иванов сказал: это как бы дорого"))
    assert "ванов" not in repr(marks)


@given(st.text(max_size=200), st.sampled_from(["manager", "customer"]))
def test_any_text_can_be_read(text: str, role: Role) -> None:
    marks = READER.read(event(text, role))
    assert all(1_000 <= hit.at_ms <= 3_000 and 0 <= hit.word < marks.words for hit in marks.hits)


def test_the_shipped_lexicon_loads() -> None:
    loaded = shipped_lexicon()
    assert {file.name for file in shipped()} >= {"ru.toml", "en.toml"}
    assert len(loaded) > 0
    assert lexicon([File("mine.toml", '[filler."x"]\nphrases = ["x"]')]).version != loaded.version


def test_the_beginning_of_an_over_long_word_is_kept_as_unclear() -> None:
    words = (SpokenWord(text="да", start_ms=1_000, end_ms=9_000),)
    marks = READER.read(event("да", start_ms=1_000, end_ms=9_000, words=words))
    assert (marks.stretches, marks.unclear) == (((7_000, 9_000),), ((1_000, 7_000),))
    assert READER.read(event("да", start_ms=1_000, end_ms=9_000)).unclear == ()
