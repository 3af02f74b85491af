"""Entries: the records of one request, from their arrival until Kafka or the spool has them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Final, TypeAlias

import msgspec
from msgspec import Struct

from agents.gateway.sink import NotStoredError
from streams.contract import topics
from streams.contract.events import EVENT_TYPES, Event, encode
from streams.sources.frame import Statement

Outgoing: TypeAlias = tuple[str, bytes, bytes, list[tuple[str, bytes]]]
"""A record for Kafka: topic as the contract names it, key, value, headers."""
_KEY_FIELD: Final = {"calls": "manager", "speech": "manager", "crm": "lead"}
_RECORD_BYTES: Final = 32


class Bundle(Struct, frozen=True, array_like=True, gc=False):
    """Records that are stored together, with their position in all that a process takes in.

    Positions grow. One that has been committed to Kafka means that all before it are committed, or were given up.
    """

    position: int
    source: str
    records: list[Outgoing]

    @property
    def size(self) -> int:
        """Approximate size of the records, in bytes."""
        return sum(len(key) + len(value) + _RECORD_BYTES for _, key, value, _ in self.records)


class Entry:
    """A bundle on its way, with the future that the sender waits for.

    `ids` identify its events in the duplicate memory. `stored` is done once the records are in Kafka or the spool;
    it fails with NotStoredError. `is_sent` means that Kafka may have it, `is_written` that it is being written to the
    spool.
    """

    __slots__ = ("begun_s", "bundle", "ids", "is_sent", "is_written", "size", "stored")

    def __init__(self, bundle: Bundle, ids: Sequence[int], begun_s: float) -> None:
        self.bundle = bundle
        self.ids = ids
        self.begun_s = begun_s
        self.size = bundle.size
        self.is_sent = False
        self.is_written = False
        self.stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.stored.add_done_callback(_look_at)

    @property
    def position(self) -> int:
        """The position of the bundle."""
        return self.bundle.position

    def fail(self, text: str, retry_after_s: int, *, maybe: bool) -> None:
        """Answer the sender that the entry is not stored, or may be stored."""
        self.stored.set_exception(NotStoredError(text, retry_after_s, maybe=maybe))


def records_of(events: Iterable[Event]) -> list[Outgoing]:
    """Return the records of events, keyed as the contract says."""
    found: list[Outgoing] = []
    for event in events:
        topic, key_of = _place(type(event))
        found.append((topic, key_of(event).encode(), encode(event), []))
    return found


class Kept(Struct, frozen=True):
    """The value of a record of the topic `statements`."""

    source: str
    call: str
    body: msgspec.Raw


def statement_record(source: str, statement: Statement) -> Outgoing:
    """Return the record of a statement, with a key by which all of one call are in one partition."""
    value = msgspec.json.encode(Kept(source, statement.call, msgspec.Raw(statement.body)))
    return topics.STATEMENTS.name, f"{source}:{statement.call}".encode(), value, []


class Named(Struct):
    """The fields of an event that identify it."""

    id: str
    source: str


def named(value: bytes | None) -> Named | None:
    """Return the identity of the event in a record, None for a record without an event."""
    try:
        return _decode_named(value or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


_decode_named: Final = msgspec.json.Decoder(Named).decode


def identity(source: str, event_id: str) -> int:
    """Return 64 bits that stand for an event. They differ from process to process."""
    return hash((source, event_id)) & 0xFFFF_FFFF_FFFF_FFFF


@lru_cache(maxsize=64)
def _place(kind: type[Event]) -> tuple[str, Callable[[Event], str]]:
    """Return the topic of a kind of event, and the function that returns its key."""
    for topic, kinds in EVENT_TYPES.items():
        if kind in kinds:
            return topic, attrgetter(_KEY_FIELD[topic])
    raise TypeError(f"{kind.__name__} is no event of the contract")


def _look_at(stored: asyncio.Future[None]) -> None:
    """Retrieve the error: the request that waited for it may be gone."""
    if not stored.cancelled():
        stored.exception()
