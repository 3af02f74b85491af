"""Telephone numbers as lead keys: a number is brought to E.164 if possible, then hashed with a key.

The number itself stays in the source. A hash without a key would not protect it: all numbers can be tried.
"""

from __future__ import annotations

import hmac
import re
from typing import Final

import phonenumbers

KEY_PREFIX: Final = "phone:"
_KEY_DIGITS: Final = 32
# The shortest subscriber numbers with their area code have 7 digits; the longest E.164 number has 15. What is shorter
# is an extension, an emergency number or a service code.
_FEWEST: Final = 7
_MOST: Final = 15
_SPELLING: Final = re.compile(r"[\s().\-/]")
_NUMBER: Final = re.compile(r"\+?\d+")


def e164(number: str, region: str | None = None) -> str | None:
    """Return `number` in E.164 ("+31150010001"), or None where it cannot be completed.

    `region` is the ISO 3166 country of numbers that do not begin with + or 00.
    """
    digits = _SPELLING.sub("", number)
    if _NUMBER.fullmatch(digits) is None:
        return None
    if digits.startswith("00"):
        digits = "+" + digits[2:]
    try:
        parsed = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(parsed):
        return None
    return str(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164))


def is_outside_number(number: str) -> bool:
    """Return whether `number` has the form of a subscriber's number, and is no extension, name or service code."""
    digits = _SPELLING.sub("", number)
    return _NUMBER.fullmatch(digits) is not None and _FEWEST <= len(digits.lstrip("+")) <= _MOST


def lead_key(number: str, secret: bytes, region: str | None = None) -> str | None:
    """Return the key of the lead behind `number`: `phone:` and 32 hex digits of an HMAC-SHA256, or None for no lead.

    No lead: extensions, service codes, withheld or anonymous callers. A number that cannot be completed to E.164 (no
    `region` is set, or the region's plan does not have it) is keyed by its digits as they are: one spelling keeps one
    key, but another spelling of the same number gives another key.
    """
    if not is_outside_number(number):
        return None
    full = e164(number, region) or _SPELLING.sub("", number)
    return KEY_PREFIX + digest(full, secret)


def digest(text: str, secret: bytes) -> str:
    """Return 32 hex digits of the HMAC-SHA256 of `text` under `secret`."""
    return hmac.digest(secret, text.encode("utf-8", "surrogatepass"), "sha256").hex()[:_KEY_DIGITS]


def has_number(text: str) -> bool:
    """Return whether `text` may contain a subscriber's number. Used before a name is published.

    Ten digits in a row, or seven after a plus sign, are taken for a number.
    """
    return re.search(r"\+\d{7}|\d{10}", text) is not None
