"""A manager interface for tests, which behaves as that of a real Asterisk 22 does.

What it says is what `tests/fixtures/asterisk/live` shows: greeting, plain login and challenge, refusals, permissions by
account, lists whose events carry the ActionID, a clock of its own. It cuts what it sends at any byte, goes away in the
middle of a line, stands still, drops those who do not read, and restarts.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final, Self

from streams.sources.asterisk import RecordingClock, read_recording

Ami = dict[str, str]
SLOW_READER_BYTES: Final = 3_000_000
LISTED: Final = frozenset(("CoreShowChannels", "QueueStatus"))
ACTIONS: Final[dict[str, frozenset[str]]] = {
    "Challenge": frozenset(),
    "Login": frozenset(),
    "Logoff": frozenset(),
    "Ping": frozenset(),
    "Events": frozenset(),
    "ListCommands": frozenset(),
    "QueueStatus": frozenset(),
    "CoreShowChannels": frozenset(("system", "reporting")),
    "CoreSettings": frozenset(("system", "reporting")),
    "CoreStatus": frozenset(("system", "reporting")),
    "Filter": frozenset(("system",)),
}
"""The classes of `write` of which an account needs one, by action (`listcommands.txt`)."""


@dataclass(frozen=True)
class Account:
    """A user of manager.conf."""

    username: str = "callpulse"
    secret: str = "the secret of the tests"  # noqa: S105 - of the tests
    read: frozenset[str] = frozenset(("call", "agent", "dialplan"))
    write: frozenset[str] = frozenset(("reporting",))


def rendered(message: Ami) -> bytes:
    """The bytes of a message. A header that comes twice is one value with newlines."""
    lines = [f"{name}: {part}\r\n" for name, value in message.items() for part in value.split("\n")]
    return "".join(lines).encode() + b"\r\n"


@dataclass
class Session:
    """One client."""

    writer: asyncio.StreamWriter
    account: Account | None = None
    challenge: str = ""
    mask: frozenset[str] = frozenset()
    asked: set[str] = field(default_factory=set)
    heard: list[Ami] = field(default_factory=list)


@dataclass
class AmiServer:
    """One PBX. `channels` and `queues` are what its lists show: events without their ActionID.

    `clock` is its time in seconds. With `chance`, what it sends is cut into pieces of any size.
    """

    accounts: Sequence[Account] = (Account(),)
    interface: str = "11.0.0"
    greeting: bytes | None = None
    asterisk: str = "22.10.1"
    clock: Callable[[], float] = time.time
    chance: Random | None = None
    tls: ssl.SSLContext | None = None
    booting: bool = False
    multiple_login: bool = True
    has_challenge: bool = True
    channels: list[Ami] = field(default_factory=list)
    queues: list[Ami] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    processed_calls: int = 0
    logins: int = 0
    refused: int = 0
    dropped: int = 0
    stalled: bool = False
    port: int = 0

    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self) -> Self:
        """Listen, on the same port after a restart."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def kill(self) -> None:
        """End as by kill -9: clients see the end of the stream, and nobody listens any more."""
        assert self._server is not None
        self._server.close()
        for session in list(self.sessions):
            self.drop(session)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.sessions.clear()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    # -- what a test makes happen

    async def send(self, events: Iterable[Ami]) -> None:
        """Send events to every client that may see them."""
        for event in events:
            for session in self.up:
                if _may_see(session, event):
                    await self._write(session, rendered(event))

    def send_now(self, data: bytes) -> None:
        """Send bytes to all clients without waiting for anybody, and drop those who are too far behind."""
        for session in self.up:
            session.writer.write(data)
            if session.writer.transport.get_write_buffer_size() > SLOW_READER_BYTES:
                self.dropped += 1
                self.drop(session)

    def drop(self, session: Session) -> None:
        """Close the connection of a client at once, wherever the stream is."""
        session.writer.transport.abort()

    def hang_up(self, session: Session) -> None:
        """Close the connection of a client after what was sent."""
        self.sessions.remove(session)
        session.writer.close()

    def cut(self, event: Ami, at: int) -> None:
        """Send the beginning of an event to all clients, and close their connections."""
        for session in self.up:
            session.writer.write(rendered(event)[:at])
            session.writer.close()

    @property
    def up(self) -> list[Session]:
        """The clients that have logged in."""
        return [session for session in self.sessions if session.account is not None]

    async def until(self, condition: Callable[[], object], within_s: float = 10.0) -> None:
        """Wait until a condition is true."""
        deadline = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < deadline, "not in time"
            await asyncio.sleep(0.005)

    # -- the interface

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        session = Session(writer)
        self.sessions.append(session)
        greeting = self.greeting or f"Asterisk Call Manager/{self.interface}\r\n".encode()
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._write(session, greeting)
            going_on = True
            while going_on:
                action = _read(await reader.readuntil(b"\r\n\r\n"))
                if self.stalled:
                    await asyncio.Event().wait()
                session.heard.append(action)
                going_on = await self._act(session, action)
        if session in self.sessions:
            self.sessions.remove(session)
        writer.close()

    async def _act(self, session: Session, action: Ami) -> bool:
        """Answer an action. Return whether the connection goes on."""
        name = action.get("Action", "")
        if session.account is None:
            if name == "Challenge" and self.has_challenge and action.get("AuthType", "").upper() == "MD5":
                session.challenge = "803475850"
                await self._answer(session, action, Response="Success", Challenge=session.challenge)
                return True
            if name == "Login":
                return await self._log_in(session, action)
            await self._answer(session, action, Response="Error", Message="Permission denied")
            return True
        if name == "Logoff":
            await self._answer(session, action, Response="Goodbye", Message="Thanks for all the fish.")
            return False
        if name not in ACTIONS or (self.booting and name == "QueueStatus"):
            text = f"Invalid/unknown command: {name}. Use Action: ListCommands to show available commands."
            await self._answer(session, action, Response="Error", Message=text)
        elif not _may(session.account, name):
            await self._answer(session, action, Response="Error", Message="Permission denied")
        else:
            await self._allowed(session, action, name)
        return True

    async def _log_in(self, session: Session, action: Ami) -> bool:
        account = next((one for one in self.accounts if one.username == action.get("Username")), None)
        if account is not None and not self.multiple_login and any(one.account is account for one in self.sessions):
            await self._answer(session, action, Response="Error", Message="Login Already In Use")
            return False
        if account is None or not _is_right(account, session, action):
            self.refused += 1
            await self._answer(session, action, Response="Error", Message="Authentication failed")
            return False
        session.account = account
        asked = action.get("Events", "on")
        session.mask = frozenset(() if asked == "off" else ("all",) if asked == "on" else asked.split(","))
        self.logins += 1
        await self._answer(session, action, Response="Success", Message="Authentication accepted")
        if not self.booting and "system" in account.read:
            await self._write(session, rendered({"Event": "FullyBooted", "Privilege": "system,all"}))
        return True

    async def _allowed(self, session: Session, action: Ami, name: str) -> None:
        assert session.account is not None
        if name == "Ping":
            await self._answer(session, action, Response="Success", Ping="Pong", Timestamp=f"{self.clock():.6f}")
        elif name == "CoreSettings":
            await self._answer(
                session, action, Response="Success", AMIversion=self.interface, AsteriskVersion=self.asterisk
            )
        elif name == "CoreStatus":
            await self._answer(session, action, Response="Success", CoreProcessedCalls=str(self.processed_calls))
        elif name == "ListCommands":
            may = {one: f" (Priv: {','.join(sorted(need)) or '<none>'})" for one, need in ACTIONS.items()}
            may = {one: text for one, text in may.items() if _may(session.account, one)}
            await self._answer(session, action, Response="Success", **may)
        elif name in LISTED:
            await self._list(session, action, name)
        else:
            await self._answer(session, action, Response="Success")

    async def _list(self, session: Session, action: Ami, name: str) -> None:
        listed = self.channels if name == "CoreShowChannels" else self.queues
        await self._answer(session, action, Response="Success", EventList="start", Message="will follow")
        own = {"ActionID": action["ActionID"]} if "ActionID" in action else {}
        for entry in listed:
            await self._write(session, rendered({"Event": entry["Event"], **own, **entry}))
        complete = {"CoreShowChannels": "CoreShowChannelsComplete", "QueueStatus": "QueueStatusComplete"}[name]
        end = {"Event": complete, **own, "EventList": "Complete", "ListItems": str(len(listed))}
        await self._write(session, rendered(end))
        session.asked.add(name)

    async def _answer(self, session: Session, action: Ami, **fields: str) -> None:
        response = fields.pop("Response")
        own = {"ActionID": action["ActionID"]} if "ActionID" in action else {}
        await self._write(session, rendered({"Response": response, **own, **fields}))

    async def _write(self, session: Session, data: bytes) -> None:
        while self.stalled:  # noqa: ASYNC110 - a test sets it from outside
            await asyncio.sleep(0.01)
        for piece in _pieces(data, self.chance):
            session.writer.write(piece)
            if self.chance is not None:
                await asyncio.sleep(0)
        with contextlib.suppress(ConnectionError):
            await session.writer.drain()


def _read(data: bytes) -> Ami:
    lines = data.decode().split("\r\n")
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines if line)}


def _is_right(account: Account, session: Session, action: Ami) -> bool:
    if action.get("AuthType", "").upper() == "MD5":
        text = (session.challenge + account.secret).encode()
        return bool(session.challenge) and action.get("Key") == hashlib.md5(text, usedforsecurity=False).hexdigest()
    return action.get("Secret") == account.secret


def _may(account: Account, action: str) -> bool:
    return not ACTIONS[action] or bool(ACTIONS[action] & account.write)


def _may_see(session: Session, event: Ami) -> bool:
    classes = set(event.get("Privilege", "call,all").split(",")) - {"all"}
    assert session.account is not None
    return classes <= session.account.read and ("all" in session.mask or classes <= session.mask)


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
    """What a recording holds of one connection: when it began, the list of channels that it was given, its events."""

    begin_s: float
    listed: list[Ami]
    events: list[Ami]


def connections_of(recording: bytes) -> list[Connection]:
    """Split a recording of the interface where a greeting stands. Every message gets a `Timestamp`."""
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
    return found or [Connection(1_795_900_000.0, [], [])]  # nothing happened while it was recorded


GREETING: Final = re.compile(rb"Asterisk Call Manager/[\d.]+\r?\n")
