"""Persons in events without a roster entry, and the lines that add them to the roster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec
from msgspec import Struct

from streams.contract.events import QUEUE_PREFIX
from streams.settings.identities import may_be_number
from streams.settings.reader import join
from streams.settings.settings import Settings
from streams.sources.directory import Known
from streams.sources.people import UNKNOWN, Heard, People
from streams.tables.manager.synthetic import SOURCE as OWN

NOBODY = "the source names nobody"
UNCOUNTED = "a member of a queue: these lines count for nobody"


class Stranger(Struct, kw_only=True):
    """A person without a roster entry, by the name in one source: events, the first and the last by their times.

    `lines` add the person to the roster. `note` has the reason if there are none, or the present manager. `is_counted`
    is false for a person whose calls count for no manager.
    """

    source: str
    manager: str
    events: int = 0
    refused: int = 0
    first_ms: int = 0
    last_ms: int = 0
    lines: list[str] = []
    note: str = ""
    is_counted: bool = True


class Unmapped:
    """Collects the people of events. `ignored` are ids that stand for no person, such as `outside`."""

    def __init__(self, settings: Settings, people: People, ignored: Iterable[str] = ()) -> None:
        self._settings = settings
        self._people = people
        self._ignored = frozenset(ignored)
        self._strangers: dict[tuple[str, str], Stranger] = {}
        self.refused_parts: Counter[str] = Counter()
        """Parts of deliveries that were refused, by source. The people in them are unknown."""

    def take(self, source: str, manager: str, at_ms: int, *, refused: bool = False) -> None:
        """Take the manager of one event. A time of 0 is not known."""
        is_known = manager in self._settings.managers or manager in self._ignored or manager.startswith(QUEUE_PREFIX)
        if is_known or not manager or source == OWN:
            return
        one = self._strangers.setdefault((source, manager), Stranger(source=source, manager=manager))
        one.events += not refused
        one.refused += refused
        if at_ms:
            _between(one, at_ms, at_ms)

    def take_uncounted(self, source: str, key: str, count: int, first_ms: int, last_ms: int) -> None:
        """Add a person whom a source names by `key`, `count` times, and who has no events."""
        manager = f"{source}:{key}"
        one = self._strangers.setdefault((source, manager), Stranger(source=source, manager=manager, is_counted=False))
        one.events += count
        _between(one, first_ms, last_ms)

    def take_directory(self, source: str, known: Known) -> None:
        """Add the users of a source's directory who are not on the roster, with or without events."""
        for user, name in known.strangers.items():
            manager = f"{source}:{user}"
            one = self._strangers.setdefault((source, manager), Stranger(source=source, manager=manager))
            one.note = "" if name == UNKNOWN else name

    def lines(self) -> list[str]:
        """Return a line for each person, those with most events first."""
        return [
            f"{one.manager}: {one.events + one.refused} events{one.note and f' ({one.note})'}" for one in self.found()
        ]

    def found(self) -> list[Stranger]:
        """Return the people, those with most events first. No id in them could be a telephone number."""
        strangers = sorted(
            self._strangers.values(), key=lambda one: (-one.events - one.refused, one.source, one.manager)
        )
        return [self._described(one) for one in strangers]

    def _described(self, one: Stranger) -> Stranger:
        source, colon, key = one.manager.partition(":")
        if may_be_number(one.manager):
            note = "the id looks like a telephone number; let the source send another one"
            return msgspec.structs.replace(one, manager=self._people.public(one.manager), note=note)
        if not colon or source != one.source:
            return msgspec.structs.replace(one, lines=["[[managers]]", f"id = {_quoted(one.manager)}"])
        if key == UNKNOWN:
            return msgspec.structs.replace(one, note=NOBODY)
        by_now = self._people.find(source, Heard(key, key, key, key, key))
        if by_now is not None:
            before = "stays under the old id" if one.is_counted else "counts for nobody"
            note = f"is {by_now.manager} by now; what came before {before}"
        else:
            note = one.note if one.is_counted else UNCOUNTED
        lines = [] if by_now is not None else [f"identities = {{ {join('', source)} = {_quoted(key)} }}"]
        return msgspec.structs.replace(one, lines=lines, note=note)


def _between(one: Stranger, first_ms: int, last_ms: int) -> None:
    one.first_ms = min(one.first_ms or first_ms, first_ms)
    one.last_ms = max(one.last_ms, last_ms)


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()
