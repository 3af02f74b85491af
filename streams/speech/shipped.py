"""The lexicons that come with callpulse, Russian and English: data of this package."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files

from streams.speech.lexicon import File, Lexicon

LANGUAGES = ("ru", "en")


def shipped() -> tuple[File, ...]:
    """Return the lexicon files of this package. Both languages are always searched: speakers mix them."""
    folder = files("streams.speech") / "lexicons"
    return tuple(
        File(name, (folder / name).read_text(encoding="utf-8"), shipped=True)
        for name in sorted(entry.name for entry in folder.iterdir())
        if name.endswith(".toml") and not name.startswith("forms_")
    )


def lexicon(further: Iterable[File] = ()) -> Lexicon:
    """Return the shipped lexicon with the additions and replacements of further files. Raises LexiconError."""
    return Lexicon.load((*shipped(), *further))
