"""The notation of telephone numbers of a source, and the reading of its texts: one number, or none.

The rules are settings of each source, because a text alone is ambiguous: 442079460204 is a number in London or, with
the digits of a city in front, one in the country of the department.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Final, NamedTuple, TypeAlias

import phonenumbers
from msgspec import Meta, Struct
from phonenumbers import PhoneNumber

from streams.phone_numbers import KEY_PREFIX, digest, is_outside_number
from streams.settings.fields import Region

Prefix: TypeAlias = Annotated[str, Meta(pattern=r"^[0-9*#]{1,6}$")]
Word: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]

_WORDS: Final = (
    *("anonymous", "restricted", "unavailable", "private", "unknown", "withheld", "blocked", "hidden"),
    *("anonym", "unbekannt", "unterdrückt", "privé", "inconnu", "desconocido", "privado"),
    *("аноним", "анонимный", "скрыт", "скрытый", "неизвестно", "неизвестный", "номер скрыт", "скрытый номер"),
)
_KEYPAD: Final = str.maketrans("abcdefghijklmnopqrstuvwxyz", "22233344455566677778889999")
_SPELLED: Final = frozenset(word.translate(_KEYPAD) for word in _WORDS[:8])
"""Some networks send a word as the digits of its keys, with a plus: +266696687 is ANONYMOUS, +7378742833 RESTRICTED."""
_SEPARATORS: Final = re.compile(r"[\s().\-/~'\"`\u2010-\u2015\u2019\u2212]")
_EXTENSION: Final = re.compile(r"(?:;?ext\.?=?|x|доб\.?|внутр\.?|#)\s*\d{1,6}$")
_ADDRESS: Final = re.compile(r"(?:sips?|tel):([^@;]*)")
_BRACKETED: Final = re.compile(r"[^<>]*<([^<>]+)>")
_DIGITS: Final = re.compile(r"\+?\d+", re.ASCII)
_DIALLED: Final = re.compile(r"[\d*#]*\+?\d+", re.ASCII)
_LONGEST: Final = 128
_REMEMBERED: Final = 65_536


class NumberRules(Struct, frozen=True, kw_only=True):
    """The notation of telephone numbers of a source.

    - `region`: the ISO 3166 country of numbers without a country code. The default is `privacy.region`.
    - `international`: numbers without a plus begin with a country code, as 491713920001 does.
    - `dial_prefixes`: digits that are dialled for an outside line and that records keep before the number.
    - `withheld`: texts for a caller who shows no number, beside the usual words.
    - `shortest`: a number with fewer digits is an extension or a service.
    """

    region: Region | None = None
    international: bool = False
    dial_prefixes: tuple[Prefix, ...] = ()
    withheld: tuple[Word, ...] = ()
    shortest: Annotated[int, Meta(ge=3, le=15)] = 7


class _Reading(NamedTuple):
    """A possible number of a text. Of several, the one with the lowest `rank` is taken."""

    rank: int
    number: PhoneNumber


class Numbers:
    """Applies the rules of one source."""

    def __init__(self, rules: NumberRules, region: str | None = None) -> None:
        """Use `region` if the rules have none."""
        self._rules = rules
        self._region = rules.region or region
        self._country = phonenumbers.country_code_for_region(self._region) if self._region else 0
        self._trunk = phonenumbers.ndd_prefix_for_region(self._region, True) if self._region else None
        self._prefixes = sorted(rules.dial_prefixes, key=len, reverse=True)
        self._withheld = {_plain(word).lstrip("+") for word in rules.withheld}
        self.read = lru_cache(maxsize=_REMEMBERED)(self._read)
        """Return the number that a text means: E.164, or its digits where it cannot be completed. None: no number.

        No number is a withheld caller, an extension, a service, a name, or an empty text.
        """

    def lead(self, text: str, secret: bytes) -> str | None:
        """Return the key of the lead behind a number, as `streams.phone_numbers.lead_key` makes it, or None."""
        number = self.read(text)
        return None if number is None else KEY_PREFIX + digest(number, secret)

    def is_withheld(self, text: str) -> bool:
        """Return whether a text stands for a caller who shows no number."""
        return self._is_withheld(_plain(text))

    def _is_withheld(self, plain: str) -> bool:
        if plain in _WORDS or (plain and plain.lstrip("+") in self._withheld):
            return True
        if plain.startswith(("+", "00")):
            return plain.removeprefix("+").removeprefix("00") in _SPELLED
        return self._rules.international and plain in _SPELLED

    def _read(self, text: str) -> str | None:
        if len(text) > _LONGEST:
            return None
        plain = _plain(text)
        if self._is_withheld(plain):
            return None
        readings = [*self._readings(plain, 0)]
        for prefix in self._prefixes:
            if plain.startswith(prefix):
                readings += self._readings(plain.removeprefix(prefix), 1)
        if readings:
            readings.sort(key=_rank)
            valid = (one for one in readings if len(readings) == 1 or phonenumbers.is_valid_number(one.number))
            number = next(valid, readings[0]).number
            return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
        long_enough = len(plain.lstrip("+")) >= self._rules.shortest
        return plain if long_enough and is_outside_number(plain) else None

    def _readings(self, form: str, stripped: int) -> Iterator[_Reading]:
        """Yield the possible numbers of a form. `stripped` is 1 after a dial prefix was taken away, else 0.

        A plus, an exit code, the own country code and the trunk prefix ("8" in Russia, "0" in Germany) identify the
        form. Without them it is a guess, and a form with more evidence goes first.
        """
        if _DIGITS.fullmatch(form) is None or len(form.lstrip("+")) < self._rules.shortest:
            return
        if form.startswith(("+", "00")):
            if (number := _parse("+" + form.lstrip("+") if form[0] == "+" else "+" + form[2:], None)) is not None:
                yield _Reading(stripped, number)
            return
        if self._rules.international and (number := _parse("+" + form, None)) is not None:
            yield _Reading(stripped if number.country_code == self._country else 2 + 2 * stripped, number)
        if self._region is not None and (number := _parse(form, self._region)) is not None:
            shown = number.country_code != self._country or (self._trunk and form.startswith(self._trunk))
            yield _Reading(stripped if shown else 3 + 2 * stripped, number)


def _rank(reading: _Reading) -> int:
    return reading.rank


def _parse(digits: str, region: str | None) -> PhoneNumber | None:
    """Return a possible number, or None."""
    try:
        number = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        return None
    return number if phonenumbers.is_possible_number(number) else None


def _plain(text: str) -> str:
    """Return a text without the parts around and inside a number: a name, sip:, a host, spaces, brackets, dashes."""
    if len(text) <= _LONGEST and _DIGITS.fullmatch(text) is not None:
        return text
    folded = unicodedata.normalize("NFKC", text[:_LONGEST]).casefold().strip()
    if (bracketed := _BRACKETED.fullmatch(folded)) is not None:
        folded = bracketed[1]
    if (address := _ADDRESS.match(folded)) is not None:
        folded = address[1]
    folded = _EXTENSION.sub("", folded)
    without = _SEPARATORS.sub("", folded)
    return without if _DIALLED.fullmatch(without) else " ".join(folded.split())
