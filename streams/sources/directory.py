"""The directory of a system, matched to the roster: its users with their managers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Struct

from streams.sources.people import Heard, People
from streams.sources.polls import Listed

_MOST: Final = 20_000


class Known(Struct, frozen=True):
    """The users of a system. `managers` has the manager's id by the user id; `strangers` a name to show."""

    managers: dict[str, str] = {}
    strangers: dict[str, str] = {}


def matched(people: People, source: str, listed: Iterable[Listed]) -> Known:
    """Return the directory of the users. A user without an id is left out.

    A user without an identity on the roster may still have the name of exactly one manager.
    """
    known = Known()
    for one in listed:
        if not one.heard.user or len(known.managers) + len(known.strangers) >= _MOST:
            continue
        found = people.find(source, one.heard)
        if found is None and one.name:
            found = people.find(source, Heard(user=one.name))
        if found is None:
            known.strangers[people.public(one.heard.user)] = people.public(one.name)
        else:
            known.managers[one.heard.user] = found.manager
    return known


def encoded(known: Known) -> bytes:
    """Return the stored form of a directory."""
    return msgspec.json.encode(known)


def decoded(kept: bytes | None) -> Known:
    """Return a stored directory; an empty one if it is missing or of another release."""
    try:
        return msgspec.json.decode(kept or b"{}", type=Known)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Known()
