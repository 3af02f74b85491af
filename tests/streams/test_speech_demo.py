"""The calls of `make demo-speech`: Whisper's transcripts compared with the spoken words and their times."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, Final

import pytest

from speech_demo.summary import lines, transcript
from speech_demo.talks import TALKS
from streams.contract.events import SpeechEvents
from streams.contract.features import CallFeatures
from streams.settings.speech import Speech
from streams.sources.frame import Translation
from streams.speech.features import call_features
from streams.speech.reading import Reader
from tests.lexicons import lexicon
from tests.streams.transcripts import FIXTURES, capabilities, read, utterances

SPEECH: Final = Speech()
ROLES: Final = ("manager", "customer")
HEARD: Final = {
    "en": ("do you have with your current supplier", "too expensive", "let us meet on thursday"),
    "ru": ("с какими трудностями", "слишком дорого", "посоветоваться с директором", "договоримся на четверг"),
}
"""Words that Whisper recognised. Others were not: "Vector" is misheard in both languages."""


def events(language: str) -> list[SpeechEvents]:
    found = heard(language)
    assert found.refused == []
    return [event for event in found.events if isinstance(event, SpeechEvents)]


def heard(language: str) -> Translation:
    return read("whisper", [(FIXTURES / "whisper" / f"demo_{language}_{role}.json").read_bytes() for role in ROLES])


def truth(language: str) -> Any:
    return json.loads((FIXTURES / "whisper" / f"demo_{language}.speech.json").read_bytes())


@cache
def figures(language: str) -> CallFeatures:
    reader, given = Reader(lexicon(), SPEECH), capabilities(heard(language))
    marks = {one.utterance: reader.read(one) for one in utterances(heard(language))}
    return call_features(marks, SPEECH, given, conversation=True)


@pytest.mark.parametrize("language", TALKS)
def test_what_was_said_is_heard(language: str) -> None:
    said = " ".join(one.text for one in utterances(heard(language))).lower()
    assert [phrase for phrase in HEARD[language] if phrase not in said] == []
    assert {one.language for one in utterances(heard(language))} == {language}


@pytest.mark.parametrize("language", TALKS)
def test_the_figures_are_those_of_what_was_spoken(language: str) -> None:
    found, spoken = figures(language), truth(language)
    talk = {role: sum(end - start for start, end in spoken[role]) for role in ROLES}
    assert found.talk is not None
    share = found.talk.manager / (found.talk.manager + found.talk.customer)
    assert share == pytest.approx(talk["manager"] / sum(talk.values()), abs=0.05)
    first, last = min(spoken[role][0][0] for role in ROLES), max(spoken[role][-1][1] for role in ROLES)
    assert found.span == pytest.approx(last - first, abs=2_000)
    assert found.interruptions is not None
    assert found.interruptions.manager == 0
    assert found.interruptions.customer <= 1  # it begins 0.6 s before the end: about as long as is needed


def test_the_terminal_shows_what_was_said_and_what_it_amounts_to() -> None:
    shown = list(transcript(events("ru")))
    assert len(shown) == len(utterances(heard("ru")))
    assert shown == sorted(shown, key=lambda line: float(line.split()[0]))
    told = list(lines(figures("ru")))
    assert [line.split()[0] for line in told][:2] == ["talk", "longest"]
    assert any(line.startswith("fillers") and "на самом деле 1" in line for line in told)
    assert not any("unknown" in line for line in told[:7])
    nothing = [line.split("  ", 1)[1].strip() for line in lines(CallFeatures(utterances=0))]
    assert nothing == [*["unknown"] * 8, *["none"] * 5]
