"""Questions for the tests of speech: the shipped cues, sentences without punctuation, and measurements on them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from streams.speech.questions import Asked, Questions
from streams.speech.words import Words
from tests.lexicons import lexicon

FIXTURES: Final = Path(__file__).parents[1] / "fixtures/speech"
MARKS: Final = re.compile(r"[.,?!…:;«»“”\"()—–]+|(?<!\S)-(?!\S)")


def questions() -> Questions:
    return lexicon().questions


def asked(text: str) -> list[Asked]:
    return questions().find(Words(text))


def of_each(text: str) -> list[tuple[str, bool, bool, int]]:
    """Return type, clarifying, marked and place of each question."""
    return [(question.type, question.clarifying, question.marked, question.word) for question in asked(text)]


def types(text: str) -> list[str]:
    return [question.type for question in asked(text)]


def bare(text: str) -> str:
    """Return the text as a recogniser writes it that gives no punctuation and no capitals."""
    return " ".join(MARKS.sub(" ", text.lower()).split())


def lines(path: str) -> list[str]:
    return (FIXTURES / path).read_text(encoding="utf-8").splitlines()
