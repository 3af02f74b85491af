"""Unknown callers: leads that are known by the keyed hash of a telephone number alone, and how they are shown.

A person is shown the short reference, the first digits of the hash. It is no number, and no number can be computed from
it; `callpulse lead-key` computes the reference of a known number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from streams.phone_numbers import KEY_PREFIX

UNKNOWN_CALLER: Final = "unknown caller"
REFERENCE_DIGITS: Final = 8
"""Hex digits of a short reference. Of a hundred thousand callers, about one pair shares one."""
_KEY: Final = re.compile(rf"{KEY_PREFIX}([0-9a-f]{{{REFERENCE_DIGITS}}})[0-9a-f]*")
_REFERENCE: Final = re.compile(rf"(?:{UNKNOWN_CALLER}\s+)?(?:{KEY_PREFIX})?([0-9a-f]{{{REFERENCE_DIGITS},32}})")


def reference(lead: str) -> str | None:
    """Return the short reference of an unknown caller, 8 hex digits, or None for a lead of the CRM."""
    found = _KEY.fullmatch(lead)
    return None if found is None else found[1]


def shown(lead: str) -> str:
    """Return a lead as shown to a person: the id of the CRM, or `unknown caller` and the short reference."""
    short = reference(lead)
    return lead if short is None else f"{UNKNOWN_CALLER} {short}"


def meant(text: str, leads: Iterable[str]) -> list[str]:
    """Return those of `leads` that a text names, in order: the one with this id, or all callers with this reference.

    A reference is taken as it is shown, with or without the words before it; upper case and further digits count, too.
    """
    known = sorted(set(leads))
    wanted = text.strip()
    if wanted in known:
        return [wanted]
    found = _REFERENCE.fullmatch(wanted.lower())
    return [] if found is None else [lead for lead in known if lead.startswith(KEY_PREFIX + found[1])]
