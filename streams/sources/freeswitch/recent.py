"""A mapping that keeps the entries that were used last, up to a number."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")
MOST: Final = 20_000
"""Channels of some hours in a large department. One entry is a few hundred bytes at most."""


class Recent(Generic[K, V]):
    """At most `most` entries: the oldest goes when one more comes."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._held: OrderedDict[K, V] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of entries."""
        return len(self._held)

    def get(self, key: K) -> V | None:
        """Return an entry, or None."""
        return self._held.get(key)

    def put(self, key: K, value: V) -> None:
        """Add an entry, or replace it."""
        self._held[key] = value
        self._held.move_to_end(key)
        if len(self._held) > self._most:
            self._held.popitem(last=False)

    def pop(self, key: K) -> V | None:
        """Take an entry out, and return it; None for none."""
        return self._held.pop(key, None)
