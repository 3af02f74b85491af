"""The calls of `make demo-speech`: what Whisper made of the voices, against what was spoken and when."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, Final

import pytest

from speech_demo.summary import Call, lines, of_call, transcript
from speech_demo.talks import TALKS
from streams.contract.events import SpeechEvents
from streams.settings.speech import Speech
from streams.sources.frame import Translation
from tests.streams.transcripts import FIXTURES, read, utterances

ROLES: Final = ("manager", "customer")
HEARD: Final = {
    "en": ("do you have with your current supplier", "too expensive", "let us meet on thursday"),
    "ru": ("с какими трудностями", "слишком дорого", "посоветоваться с директором", "договоримся на четверг"),
}
"""What was heard as it was said. Other words were not: "Vector" is misheard in both languages."""


def events(language: str) -> list[SpeechEvents]:
    found = heard(language)
    assert found.refused == []
    return [event for event in found.events if isinstance(event, SpeechEvents)]


def heard(language: str) -> Translation:
    return read("whisper", [(FIXTURES / "whisper" / f"demo_{language}_{role}.json").read_bytes() for role in ROLES])


def truth(language: str) -> Any:
    return json.loads((FIXTURES / "whisper" / f"demo_{language}.speech.json").read_bytes())


@cache
def figures(language: str) -> Call:
    return of_call(events(language), Speech())


@pytest.mark.parametrize("language", TALKS)
def test_what_was_said_is_heard(language: str) -> None:
    said = " ".join(one.text for one in utterances(heard(language))).lower()
    assert [phrase for phrase in HEARD[language] if phrase not in said] == []
    assert {one.language for one in utterances(heard(language))} == {language}


@pytest.mark.parametrize("language", TALKS)
def test_the_figures_are_those_of_what_was_spoken(language: str) -> None:
    found, spoken = figures(language).timing, truth(language)
    talk = {role: sum(end - start for start, end in spoken[role]) for role in ROLES}
    assert found.talk_share == pytest.approx(talk["manager"] / sum(talk.values()), abs=0.05)
    first, last = min(spoken[role][0][0] for role in ROLES), max(spoken[role][-1][1] for role in ROLES)
    assert found.span_ms == pytest.approx(last - first, abs=2_000)
    assert found.manager.interruptions == ()
    assert found.customer.interruptions is not None
    assert len(found.customer.interruptions) <= 1  # it begins 0.6 s before the end: about as long as is needed


def test_the_terminal_shows_what_was_said_and_what_it_amounts_to() -> None:
    shown = list(transcript(events("ru")))
    assert len(shown) == len(utterances(heard("ru")))
    assert shown == sorted(shown, key=lambda line: float(line.split()[0]))
    assert [line.split()[0] for line in lines(figures("ru"))][:2] == ["talk", "silence"]
    assert not any("unknown" in line for line in lines(figures("ru")))
    assert any("customer  objection" in line for line in lines(figures("ru")))
    assert all("unknown" in line for line in lines(of_call([], Speech())))
