"""The lexicon of a process: the shipped ones, and the files that the settings add. Enter at `lexicon_of`."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from streams.settings.settings import Settings
from streams.speech.lexicon import File, Lexicon
from streams.speech.shipped import lexicon


def lexicon_of(settings: Settings) -> Lexicon:
    """Return the lexicon of the settings.

    Raise OSError for a file that cannot be read, LexiconError for one that is not a lexicon.
    """
    return loaded(tuple(File(name, Path(name).read_text(encoding="utf-8")) for name in settings.speech.lexicons))


@lru_cache(maxsize=4)
def loaded(files: tuple[File, ...]) -> Lexicon:
    """Return the shipped lexicon with further files. Kept: a load takes half a second. Raises LexiconError."""
    return lexicon(files)
