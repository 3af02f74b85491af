"""The answers to senders: the entries that wait for one, and those of an outcome that is not known yet."""

from __future__ import annotations

from collections.abc import Callable

from agents.gateway.entries import Entry


class Answers:
    """Entries in the order of their positions, from their arrival until their outcome is known.

    `on_stored` is called with each entry once it is stored, also if its sender is gone, and `on_dropped` with one that
    is not stored. The sender may have got the answer before that the entry may be stored.
    """

    def __init__(self, on_stored: Callable[[Entry], None], on_dropped: Callable[[Entry], None]) -> None:
        self._on_stored = on_stored
        self._on_dropped = on_dropped
        self._open: dict[int, Entry] = {}
        self._undecided: dict[int, Entry] = {}
        self.in_flight = 0
        """Records without an answer."""

    def add(self, entry: Entry) -> None:
        """Add an entry, whose position is the highest so far."""
        self._open[entry.position] = entry
        self.in_flight += len(entry.bundle.records)

    def oldest(self) -> Entry | None:
        """Return the entry that waits longest."""
        return next(iter(self._open.values()), None)

    def waiting(self) -> list[Entry]:
        """Return all entries that wait."""
        return list(self._open.values())

    def stored(self, entry: Entry) -> None:
        """Answer the sender that the entry is stored."""
        if self._close(entry):
            self._on_stored(entry)
            entry.stored.set_result(None)

    def drop(self, entry: Entry, text: str, retry_after_s: int, *, may_be_on_disk: bool = False) -> None:
        """Answer the sender that the entry is not stored, or may be stored."""
        if self._close(entry):
            is_undecided = entry.is_sent or entry.is_written
            entry.fail(text, retry_after_s, maybe=is_undecided or may_be_on_disk)
            if is_undecided:
                self._undecided[entry.position] = entry
            else:
                self._on_dropped(entry)

    def committed(self, position: int) -> None:
        """Note that Kafka has all entries up to a position."""
        for entry in [entry for entry in self._undecided.values() if entry.is_sent and entry.position <= position]:
            del self._undecided[entry.position]
            self._on_stored(entry)
        while (oldest := self.oldest()) is not None and oldest.position <= position:
            self.stored(oldest)

    def not_in_kafka(self) -> None:
        """Note that Kafka does not have the entries that were sent and not committed, and never will."""
        for entry in [*self._open.values(), *self._undecided.values()]:
            entry.is_sent = False
        for entry in [entry for entry in self._undecided.values() if not entry.is_written]:
            del self._undecided[entry.position]
            self._on_dropped(entry)

    def written(self, entry: Entry) -> None:
        """Note that the spool has an entry."""
        entry.is_written = False
        if self._undecided.pop(entry.position, None) is not None:
            self._on_stored(entry)
        else:
            self.stored(entry)

    def not_written(self, entry: Entry, text: str, retry_after_s: int, *, may_be_on_disk: bool) -> None:
        """Note that the spool does not have an entry."""
        entry.is_written = False
        if entry.position not in self._undecided:
            self.drop(entry, text, retry_after_s, may_be_on_disk=may_be_on_disk)
        elif not entry.is_sent:
            del self._undecided[entry.position]
            self._on_dropped(entry)

    def _close(self, entry: Entry) -> bool:
        if self._open.pop(entry.position, None) is None:
            return False
        self.in_flight -= len(entry.bundle.records)
        return True
