"""The demo's PBX: recorded sessions of a real one, played over a manager interface to the client that logs in."""

from __future__ import annotations

import asyncio
import secrets
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, Self

from agents.embedded.manager_interface import LISTED, Account, Ami, ManagerInterface
from streams.contract.events import EARLIEST_MS, Event
from streams.settings.settings import Settings
from streams.sources.asterisk import AsteriskMapping, RecordingClock, read_recording, replay
from streams.sources.people import People
from streams.units import DAY_MS, SECOND_MS

_BETWEEN_MS: Final = 5 * SECOND_MS
_LOOK_S: Final = 0.05


class RecordedPbx:
    """Plays recordings one after the other, as if the last one ended when this object was made.

    Its clock stands at the beginning of the first recording until all are played: a listener dates events without a
    `Timestamp` of their own before the calls, not after them.

    The port is taken at once, so it can be written into settings; clients are answered from `async with` on.
    """

    def __init__(self, recordings: Iterable[bytes]) -> None:
        self._sessions = in_a_row([stamped(recording) for recording in recordings], int(time.time() * 1000))
        self._begin_s = float(self._sessions[0][0]["Timestamp"]) if self._sessions else time.time()
        self._is_played = not self._sessions
        self._account = Account("demo", secrets.token_urlsafe(16))
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._socket.getsockname()
        self._interface = ManagerInterface((self._account,), clock=self._clock)
        self.sent = 0
        """Messages that were sent to the listener, events only."""

    @property
    def sessions(self) -> int:
        """Number of its recordings."""
        return len(self._sessions)

    def access(self) -> str:
        """Return the settings with which a listener reaches it."""
        host, port = self.address
        return f"""
[sources.asterisk.ami]
host = "{host}"
port = {port}
username = "{self._account.username}"
secret = "{self._account.secret}"
ping_interval = "2s"
ping_deadline = "60s"
"""

    def expected(self, settings: Settings) -> dict[str, Event]:
        """Return the expected contract events, by id: each recording by itself, without a socket."""
        mapping = settings.source(AsteriskMapping)
        secret = settings.privacy.lead_secret.reveal().encode()
        people = People.of(settings, secret)
        found = (replay(session, mapping, secret, close=False, people=people) for session in self._sessions)
        return {event.id: event for events in found for event in events}

    async def play(self) -> None:
        """Wait for a client that has logged in and has its lists, and send it all recordings."""
        while not any(session.asked >= LISTED for session in self._interface.up):  # noqa: ASYNC110 - it has no event for this
            await asyncio.sleep(_LOOK_S)
        for session in self._sessions:
            self.sent += await self._interface.send(session)
        self._is_played = True

    def close(self) -> None:
        """Give the port back, if it was never used."""
        self._socket.close()

    async def __aenter__(self) -> Self:
        await self._interface.start(self._socket)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._interface.kill()

    def _clock(self) -> float:
        return time.time() if self._is_played else self._begin_s


def stamped(recording: bytes) -> list[tuple[int, Ami]]:
    """Return the events of a recording, each with its time in milliseconds.

    The events before the first one with a time get that time.
    """
    events = [read for read in read_recording(recording) if isinstance(read, dict) and "Event" in read]
    clock = RecordingClock()
    known_ms = next((at for at in map(clock.read, events) if at > EARLIEST_MS + DAY_MS), EARLIEST_MS)
    clock = RecordingClock(known_ms - known_ms % SECOND_MS)
    return [(clock.read(event), event) for event in events]


def in_a_row(sessions: Iterable[Sequence[tuple[int, Mapping[str, str]]]], ends_ms: int) -> list[list[Ami]]:
    """Return sessions moved in time, so that each begins after the one before it and the last one ends at `ends_ms`."""
    laid: list[list[Ami]] = []
    for session in reversed([session for session in sessions if session]):
        by_ms = ends_ms - max(at for at, _ in session)
        laid.append([{**event, "Timestamp": f"{(at + by_ms) / SECOND_MS:.6f}"} for at, event in session])
        ends_ms += min(at for at, _ in session) - max(at for at, _ in session) - _BETWEEN_MS
    return laid[::-1]


def recordings(folder: Path) -> list[bytes]:
    """Return the recorded sessions of a folder."""
    files = sorted(path for path in folder.glob("*.json") if path.name != "peer_expected.json")
    return [path.read_bytes() for path in files]
