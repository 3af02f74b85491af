"""The shipped lexicon, loaded once in a process and not while tests are collected: a load takes half a second."""

from __future__ import annotations

from functools import cache

from streams.settings.speech import Speech
from streams.speech import shipped
from streams.speech.lexicon import Lexicon
from streams.speech.reading import Reader


@cache
def lexicon() -> Lexicon:
    return shipped.lexicon()


@cache
def reader() -> Reader:
    """Return a reader with this lexicon and the settings' defaults."""
    return Reader(lexicon(), Speech())
