"""The forms of a word. They are computed when a lexicon is loaded, so an utterance needs only look-ups in a dictionary.

Russian words are inflected by pymorphy3 with the dictionary of OpenCorpora; English ones by a table and the regular
endings. No endings are cut off: «какой» must not become «как», nor "actually" "actual".
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any, Final

from pymorphy3 import MorphAnalyzer

_VOWELS: Final = "aeiou"
_SIBILANT: Final = ("s", "x", "z", "ch", "sh", "o")
_CYRILLIC: Final = re.compile("[а-я]")
_LETTERS: Final = "абвгдежзийклмнопрстуфхцчшщъыьэюя"
TOLERANT_LETTERS: Final = 7
"""The fewest letters of a word in which a recogniser's slip is tolerated."""


def forms_of(word: str) -> frozenset[str]:
    """Return every form of a word in normal form, the word itself among them."""
    return russian(word) if _CYRILLIC.search(word) else english(word)


def dictionaries() -> str:
    """Return the dictionaries of the forms as text: part of a lexicon's version."""
    russian_ones = f"pymorphy3 {version('pymorphy3')}, pymorphy3-dicts-ru {version('pymorphy3-dicts-ru')}"
    return f"{russian_ones}, {sorted(_english_table().items())}"


@cache
def russian(word: str) -> frozenset[str]:
    """Return the forms of a Russian word.

    Of several readings, those with the word as their base form count, else the first.
    """
    found = _russian_forms().parse(word)
    based = [parse for parse in found if parse.is_known and parse.normal_form.replace("ё", "е") == word]
    chosen = based or found[:1]
    return frozenset({word} | {form.word.replace("ё", "е") for parse in chosen for form in parse.lexeme})


@cache
def english(word: str) -> frozenset[str]:
    """Return the forms of an English word: of the table where it stands there, else with the regular endings."""
    irregular = _english_table().get(word)
    return frozenset({word, *irregular}) if irregular is not None else frozenset({word, *_regular(word)})


@cache
def without_neighbour(word: str) -> bool:
    """Return whether no other word differs in one letter from this word, so that a slip may be tolerated.

    The dictionary decides for Russian words. For English there is no dictionary here: words that differ in the ending
    only are never taken for each other (`one_letter_apart`), and no slip is tolerated in short words.
    """
    if len(word) < TOLERANT_LETTERS:
        return False
    if not _CYRILLIC.search(word):
        return True
    known = _russian_forms().word_is_known
    own = russian(word)
    return not any(other not in own and known(other) for other in _one_letter_away(word))


def one_letter_apart(heard: str, word: str) -> bool:
    """Return whether two words differ in one letter that is added, missing or another one, but not in the ending."""
    if heard == word or abs(len(heard) - len(word)) > 1:
        return False
    shorter, longer = sorted((heard, word), key=len)
    at = 0
    while at < len(shorter) and shorter[at] == longer[at]:
        at += 1
    if at >= len(shorter) - 1:
        return False
    return shorter[at:] == longer[at + 1 :] or (len(heard) == len(word) and shorter[at + 1 :] == longer[at + 1 :])


def _one_letter_away(word: str) -> set[str]:
    found: set[str] = set()
    for at in range(len(word) + 1):
        head, tail = word[:at], word[at:]
        found |= {head + letter + tail for letter in _LETTERS}
        if tail:
            found.add(head + tail[1:])
            found |= {head + letter + tail[1:] for letter in _LETTERS}
    return found - {word}


@cache
def _russian_forms() -> Any:
    return MorphAnalyzer(lang="ru")


@cache
def _english_table() -> dict[str, list[str]]:
    text = (files("streams.speech") / "lexicons" / "forms_en.toml").read_text(encoding="utf-8")
    table: dict[str, list[str]] = tomllib.loads(text)["forms"]
    return table


def _regular(word: str) -> set[str]:
    """Return the plural, the third person, the past and the -ing form that regular spelling gives."""
    if word.endswith("y") and word[-2:-1] not in _VOWELS:
        return {word[:-1] + "ies", word[:-1] + "ied", word + "ing"}
    if word.endswith("e"):
        return {word + "s", word + "d", word[:-1] + "ing"}
    return {word + ("es" if word.endswith(_SIBILANT) else "s"), word + "ed", word + "ing"}
