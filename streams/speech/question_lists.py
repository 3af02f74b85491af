"""The word lists of questions as a lexicon file writes them: the tables `[questions.ru]` and `[questions.en]`."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

Strength: TypeAlias = Literal["strong", "weak", "beginning", "frail"]
"""The places at which a question word begins a question without "?".

`strong`: anywhere but in a subordinate clause. `weak`: inside a sentence only next to the listener. `beginning`: inside
only right before a verb about the listener. `frail`: at a beginning only, of a sentence that is short or speaks of the
listener.
"""
WordQuestion: TypeAlias = Literal["open", "wh"]


class Asking(Struct, frozen=True, kw_only=True):
    """Question words: the type of their questions, and the next words that make it the other type."""

    words: tuple[str, ...]
    type: WordQuestion
    strength: Strength = "strong"
    open_before: tuple[str, ...] = ()
    short_before: tuple[str, ...] = ()


class CuesOfLanguage(Struct, frozen=True, kw_only=True):
    """The cues of a language, as a file writes them: the table `[questions.ru]`."""

    lists: dict[str, tuple[str, ...]] = {}
    you_endings: tuple[str, ...] = ()
    asks: tuple[Asking, ...] = ()
