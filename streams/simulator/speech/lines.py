"""The lines of simulated people, by their purpose, each with its labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from streams.speech.marks import QuestionType

PURPOSES: Final = (
    "greeting",
    "permission",
    "need",
    "confirm",
    "pain",
    "presentation",
    "price",
    "dated",
    "vague",
    "farewell",
    "small_talk",
)
"""The purposes of a manager's lines. A customer's lines answer them."""
OBJECTIONS: Final = ("price", "timing", "competitor", "authority", "need", "trust")
SLOT: Final = "{f}"
"""The place of a possible filler in a line. The filler has its own commas."""


class Line(Struct, frozen=True, gc=False):
    """A line, the questions in it, and whether these specify a statement of the other side."""

    text: str
    questions: tuple[QuestionType, ...] = ()
    clarifying: bool = False


class ObjectionLines(Struct, frozen=True, gc=False):
    """The lines for an objection of one kind: the objection, reactions to it, and lines that ignore it."""

    said: tuple[Line, ...]
    adequate: tuple[Line, ...]
    ignored: tuple[Line, ...]


class Lines(Struct, frozen=True, kw_only=True, gc=False):
    """All lines of a language.

    `fillers` are phrases without meaning for slots. `words` are wrong words by which a recogniser replaces a word.
    `times` are those of agreed next steps.
    """

    language: str
    fillers: tuple[str, ...]
    back_channels: tuple[str, ...]
    manager: Mapping[str, tuple[Line, ...]]
    customer: Mapping[str, tuple[Line, ...]]
    objections: Mapping[str, ObjectionLines]
    names: tuple[str, ...]
    products: tuple[str, ...]
    times: tuple[str, ...]
    words: tuple[str, ...]
