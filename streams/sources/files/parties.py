"""The parties of a row: the manager, the queue, and the lead with its numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from streams.contract.events import QUEUE_PREFIX, LeadLinked
from streams.phone_numbers import digest
from streams.settings.identities import may_be_number
from streams.sources.files.cells import Cells
from streams.sources.files.mapping import FileMapping
from streams.sources.numbers import Numbers
from streams.sources.people import Heard, People

_BETWEEN: Final = re.compile(r"[,;|\n]")
_OWN_ID: Final = re.compile(r"\d{9,10}\.\d{1,18}", re.ASCII)  # of Asterisk: a second and a counter, and no number
_LONGEST_ID: Final = 64
_MOST_LINKS: Final = 65_536


class Side(NamedTuple):
    """One side of a call by its number: an extension or not."""

    text: str
    is_internal: bool


class Parties:
    """Finds the people of the rows of one file."""

    def __init__(self, source: str, mapping: FileMapping, people: People, secret: bytes) -> None:
        self._source = source
        self._people = people
        self._secret = secret
        self._numbers = Numbers(mapping.numbers, mapping.region)
        self._internal = re.compile(mapping.internal, re.IGNORECASE)
        self._queue_prefix = mapping.queue_prefix
        self._default_queue = mapping.default_queue
        self._linked: dict[str, None] = {}

    def hashed(self, text: str) -> str:
        """Return the keyed hash of a text, 32 hex digits."""
        return digest(text, self._secret)

    def public_id(self, text: str) -> str:
        """Return an id of another system as it may be published: hashed if it is long or could be a number."""
        is_safe = len(text) <= _LONGEST_ID and text.isprintable()
        return text if is_safe and (_OWN_ID.fullmatch(text) or not may_be_number(text)) else self.hashed(text)

    def queue(self, name: str) -> str:
        """Return the pseudo-manager of a queue; of no name, the default one."""
        return QUEUE_PREFIX + self._people.public(name or self._default_queue)

    def queue_of(self, cells: Cells, row: Sequence[str]) -> str | None:
        """Return the pseudo-manager that a row names as its manager, or None."""
        for name in cells.people:
            text = cells.text(row, name)
            text = cells.renamed("manager", text) if text and name == "manager" else text
            if text.startswith(QUEUE_PREFIX):
                return self.queue(text.removeprefix(QUEUE_PREFIX).strip())
            if self._queue_prefix and text.casefold().startswith(self._queue_prefix.casefold()):
                return self.queue(text[len(self._queue_prefix) :].strip())
        return None

    def manager(self, cells: Cells, row: Sequence[str]) -> str | None:
        """Return the manager of a row, on the roster or not; None if it names none."""
        said = {name: cells.text(row, name) for name in cells.people}
        if not any(said.values()):
            return None
        user, number = cells.renamed("manager", said.pop("manager", "")), said.pop("manager_number", "")
        return self._people.resolve(self._source, Heard(user, number=self._full(number), **said)).manager

    def person(self, text: str) -> str:
        """Return the manager whom a single text names."""
        return self._people.resolve(self._source, Heard(user=text, extension=text)).manager

    def side(self, text: str) -> Side:
        """Return one side of a call: an extension by its form, or because the roster has it; or a number outside."""
        found = self._internal.fullmatch(text)
        name = found[1] if found is not None and found.re.groups and found[1] else text
        known = self._people.find(self._source, self._heard(name))
        return Side(name, found is not None or known is not None)

    def at_extension(self, text: str) -> str:
        """Return the manager at an extension or a number."""
        return self._people.resolve(self._source, self._heard(text)).manager

    def _heard(self, text: str) -> Heard:
        return Heard(endpoint=text, extension=text, number=self._full(text))

    def lead(self, cells: Cells, row: Sequence[str], other: str = "") -> tuple[str | None, list[str]]:
        """Return the lead of a row, or None, and the keys of its numbers. `other` is a number that no column names."""
        keys = self._keys(cells.text(row, "lead_number") or other)
        named = cells.text(row, "lead")
        if named:
            return self.public_id(named), keys
        return (keys[0] if keys else None), []

    def links(self, lead: str, keys: Sequence[str], at: int) -> list[LeadLinked]:
        """Return the links of the numbers to a lead. One that this file had before is left out."""
        found = []
        for key in keys:
            name = self.hashed(f"{lead}\x1f{key}")
            if name in self._linked:
                continue
            if len(self._linked) >= _MOST_LINKS:
                del self._linked[next(iter(self._linked))]
            self._linked[name] = None
            event_id = f"{self._source}:{name}:linked"
            found.append(LeadLinked(v=1, id=event_id, at=at, source=self._source, lead=lead, old_key=key))
        return found

    def _keys(self, text: str) -> list[str]:
        parts = _BETWEEN.split(text) if text else []
        keys = (self._numbers.lead(part, self._secret) for part in parts)
        return list(dict.fromkeys(key for key in keys if key is not None))

    def _full(self, number: str) -> str:
        return (self._numbers.read(number) or "") if number else ""
