"""The manager interface of the demo for tests: it also has the faults of a real one.

Its messages are those of `tests/fixtures/asterisk/live`. It cuts its output at any byte, closes in the middle of a
line, stops answering, drops clients that do not read, and restarts.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from agents.embedded import manager_interface
from agents.embedded.manager_interface import Ami, ManagerInterface, Session, rendered
from streams.sources.asterisk import RecordingClock, read_recording

__all__ = ["Account", "Ami", "AmiServer", "Connection", "Session", "connections_of", "rendered"]

SLOW_READER_BYTES: Final = 3_000_000


@dataclass(frozen=True)
class Account(manager_interface.Account):
    """A user of manager.conf."""

    username: str = "callpulse"
    secret: str = "the secret of the tests"  # noqa: S105 - of the tests


@dataclass
class AmiServer(ManagerInterface):
    """One PBX. With `chance`, its output is cut into pieces of any size."""

    accounts: Sequence[manager_interface.Account] = (Account(),)
    chance: Random | None = None
    dropped: int = 0
    stalled: bool = False

    async def hear(self, session: Session, action: Ami) -> None:
        if self.stalled:
            await asyncio.Event().wait()
        await super().hear(session, action)

    async def write(self, session: Session, data: bytes) -> None:
        while self.stalled:  # noqa: ASYNC110 - a test sets it from outside
            await asyncio.sleep(0.01)
        *pieces, last = _pieces(data, self.chance)
        for piece in pieces:
            session.writer.write(piece)
            await asyncio.sleep(0)
        await super().write(session, last)

    def send_now(self, data: bytes) -> None:
        """Send bytes to all clients without waiting, and drop those that are too far behind."""
        for session in self.up:
            session.writer.write(data)
            if session.writer.transport.get_write_buffer_size() > SLOW_READER_BYTES:
                self.dropped += 1
                self.drop(session)

    def hang_up(self, session: Session) -> None:
        """Close the connection of a client after the sent bytes."""
        self.sessions.remove(session)
        session.writer.close()

    def cut(self, event: Ami, at: int) -> None:
        """Send the beginning of an event to all clients, and close their connections."""
        for session in self.up:
            session.writer.write(rendered(event)[:at])
            session.writer.close()

    async def until(self, condition: Callable[[], object], within_s: float = 10.0) -> None:
        """Wait until a condition is true."""
        deadline = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < deadline, "not in time"
            await asyncio.sleep(0.005)


def _pieces(data: bytes, chance: Random | None) -> Iterator[bytes]:
    if chance is None:
        yield data
        return
    place = 0
    while place < len(data):
        size = chance.choice((1, 2, 3, chance.randint(1, 40), chance.randint(1, 4000)))
        yield data[place : place + size]
        place += size


@dataclass(frozen=True)
class Connection:
    """One connection of a recording: its beginning, its list of channels, its events."""

    begin_s: float
    listed: list[Ami]
    events: list[Ami]


def connections_of(recording: bytes) -> list[Connection]:
    """Split a recording of the interface at its greetings. Every message gets a `Timestamp`."""
    clock = RecordingClock()
    found = []
    for part in GREETING.split(recording):
        messages = [read for read in read_recording(part) if isinstance(read, dict)]
        stamped = [event | {"Timestamp": f"{clock.read(event) / 1000:.6f}"} for event in messages if "Event" in event]
        listed = [event for event in stamped if event["Event"] == "CoreShowChannel"]
        rest = [event for event in stamped if not event["Event"].startswith("CoreShowChannel")]
        if stamped or messages:
            begin_s = float(stamped[0]["Timestamp"]) if stamped else 1_795_900_000.0
            found.append(Connection(begin_s, listed, rest))
    return found or [Connection(1_795_900_000.0, [], [])]  # no events were recorded


GREETING: Final = re.compile(rb"Asterisk Call Manager/[\d.]+\r?\n")
