"""A manager interface (AMI) on 127.0.0.1, which behaves like that of a real Asterisk 22: for the demo and the tests.

It has a greeting, plain login and challenge, refusals, permissions by account, lists whose events carry the ActionID,
and a clock of its own. It has no calls: its owner passes the events to send to the clients.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import secrets
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

Ami = dict[str, str]
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

    username: str
    secret: str
    read: frozenset[str] = frozenset(("call", "agent", "dialplan"))
    write: frozenset[str] = frozenset(("reporting",))


def rendered(message: Ami) -> bytes:
    """Return the bytes of a message. A header that comes twice is one value with newlines."""
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
class ManagerInterface:
    """One PBX. `channels` and `queues` are the entries of its lists: events without their ActionID.

    `clock` is its time in seconds.
    """

    accounts: Sequence[Account]
    interface: str = "11.0.0"
    greeting: bytes | None = None
    asterisk: str = "22.10.1"
    clock: Callable[[], float] = time.time
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
    port: int = 0

    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self, bound: socket.socket | None = None) -> Self:
        """Listen, on the same port after a restart; on a socket that is bound already, where there is one."""
        if bound is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self.tls)
        else:
            self._server = await asyncio.start_server(self._serve, sock=bound, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def kill(self) -> None:
        """End as by kill -9: clients see the end of the stream, and the port is closed."""
        if self._server is not None:
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

    async def send(self, events: Iterable[Ami]) -> int:
        """Send events to every client that may see them. Return how many were sent to one."""
        sent = 0
        for event in events:
            for session in self.up:
                if _may_see(session, event):
                    await self.write(session, rendered(event))
                    sent += 1
        return sent

    def drop(self, session: Session) -> None:
        """Close the connection of a client at once, also in the middle of a message."""
        session.writer.transport.abort()

    @property
    def up(self) -> list[Session]:
        """The clients that have logged in."""
        return [session for session in self.sessions if session.account is not None]

    async def hear(self, session: Session, action: Ami) -> None:
        """Note an action, before it is answered."""
        session.heard.append(action)

    async def write(self, session: Session, data: bytes) -> None:
        """Send bytes to a client, and wait while it is far behind."""
        session.writer.write(data)
        with contextlib.suppress(ConnectionError):
            await session.writer.drain()

    # -- the interface

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        session = Session(writer)
        self.sessions.append(session)
        greeting = self.greeting or f"Asterisk Call Manager/{self.interface}\r\n".encode()
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self.write(session, greeting)
            going_on = True
            while going_on:
                action = _read(await reader.readuntil(b"\r\n\r\n"))
                await self.hear(session, action)
                going_on = await self._act(session, action)
        if session in self.sessions:
            self.sessions.remove(session)
        writer.close()

    async def _act(self, session: Session, action: Ami) -> bool:
        """Answer an action. Return whether the connection goes on."""
        name = action.get("Action", "")
        if session.account is None:
            if name == "Challenge" and self.has_challenge and action.get("AuthType", "").upper() == "MD5":
                session.challenge = str(secrets.randbelow(10**9))
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
            await self._allowed(session, session.account, action, name)
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
        wanted = action.get("Events", "on")
        session.mask = frozenset(() if wanted == "off" else ("all",) if wanted == "on" else wanted.split(","))
        self.logins += 1
        await self._answer(session, action, Response="Success", Message="Authentication accepted")
        if not self.booting and "system" in account.read:
            await self.write(session, rendered({"Event": "FullyBooted", "Privilege": "system,all"}))
        return True

    async def _allowed(self, session: Session, account: Account, action: Ami, name: str) -> None:
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
            may = {one: text for one, text in may.items() if _may(account, one)}
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
            await self.write(session, rendered({"Event": entry["Event"], **own, **entry}))
        complete = {"CoreShowChannels": "CoreShowChannelsComplete", "QueueStatus": "QueueStatusComplete"}[name]
        end = {"Event": complete, **own, "EventList": "Complete", "ListItems": str(len(listed))}
        await self.write(session, rendered(end))
        session.asked.add(name)

    async def _answer(self, session: Session, action: Ami, **fields: str) -> None:
        response = fields.pop("Response")
        own = {"ActionID": action["ActionID"]} if "ActionID" in action else {}
        await self.write(session, rendered({"Response": response, **own, **fields}))


def _read(data: bytes) -> Ami:
    lines = data.decode().split("\r\n")
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines if line)}


def _is_right(account: Account, session: Session, action: Ami) -> bool:
    if action.get("AuthType", "").upper() == "MD5":
        text = (session.challenge + account.secret).encode()
        key = hashlib.md5(text, usedforsecurity=False).hexdigest()  # the only digest of the interface
        return bool(session.challenge) and hmac.compare_digest(action.get("Key", "").encode(), key.encode())
    return hmac.compare_digest(action.get("Secret", "").encode(), account.secret.encode())


def _may(account: Account, action: str) -> bool:
    return not ACTIONS[action] or bool(ACTIONS[action] & account.write)


def _may_see(session: Session, event: Ami) -> bool:
    classes = set(event.get("Privilege", "call,all").split(",")) - {"all"}
    return (
        session.account is not None
        and classes <= session.account.read
        and ("all" in session.mask or classes <= session.mask)
    )
