"""What simulated people say: lines by their purpose, each with what is true of it."""

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
"""What lines of a manager are for. A customer's lines answer them."""
OBJECTIONS: Final = ("price", "timing", "competitor", "authority", "need", "trust")
SLOT: Final = "{f}"
"""Where a filler may stand in a line. It brings its own commas."""


class Line(Struct, frozen=True, gc=False):
    """A line, the questions in it, and whether these make precise what the other side said."""

    text: str
    questions: tuple[QuestionType, ...] = ()
    clarifying: bool = False


class ObjectionLines(Struct, frozen=True, gc=False):
    """How an objection of one kind is said, taken up, and ignored."""

    said: tuple[Line, ...]
    adequate: tuple[Line, ...]
    ignored: tuple[Line, ...]


class Lines(Struct, frozen=True, kw_only=True, gc=False):
    """All lines of a language.

    `fillers` are phrases that mean nothing in a slot. `words` are what a recogniser puts in place of a word.
    `times` are what an agreed next step names.
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
