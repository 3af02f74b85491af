"""An event socket for tests: it sends the messages of the story, and has the faults of a real one.

It cuts its output at any byte, closes in the middle of a message, stops answering, refuses, and restarts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

import msgspec

PASSWORD: Final = "ClueCon-of-the-tests"  # noqa: S105 - of the tests
_END: Final = b"\n\n"
_SMALL: Final = 1_000


@dataclass
class EslServer:
    """One PBX. `rows` is its list of channels; `sizes` are those of the pieces in which it sends, in a cycle.

    - `stalled`: it takes everything and answers nothing.
    - `rude`: it refuses the address.
    - `ahead_ms`: its clock minus ours.
    """

    password: str = PASSWORD
    rows: list[dict[str, object]] = field(default_factory=list)
    sizes: Sequence[int] = (65_536,)
    stalled: bool = False
    rude: bool = False
    lists: bool = True
    ahead_ms: int = 0
    port: int = 0
    heard: list[str] = field(default_factory=list)
    logins: int = 0
    up: list[asyncio.StreamWriter] = field(default_factory=list)
    _server: asyncio.Server | None = None
    _place: int = 0
    _sending: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.hang_up()
        await self._server.wait_closed()

    def hang_up(self) -> None:
        """Close all connections after the sent bytes."""
        for writer in self.up:
            writer.close()
        self.up.clear()

    async def send(self, data: bytes) -> None:
        """Send bytes to all clients that are logged in."""
        for writer in list(self.up):
            await self._write(writer, data)

    async def until(self, condition: Callable[[], object], within_s: float = 10.0) -> None:
        """Wait until a condition is true."""
        deadline = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < deadline, "not in time"
            await asyncio.sleep(0.005)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self.rude:
                await self._write(writer, frame("text/rude-rejection", b"Access Denied, go away.\n"))
                return
            await self._write(writer, frame("auth/request"))
            while True:
                command = (await reader.readuntil(_END)).decode().strip()
                self.heard.append(command)
                if not self.stalled and not await self._answer(writer, command):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            if writer in self.up:
                self.up.remove(writer)
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, command: str) -> bool:
        name, _, rest = command.partition(" ")
        if name in ("auth", "userauth"):
            if rest.rpartition(":")[2] != self.password:
                await self._write(writer, reply("-ERR invalid"))
                return False
            self.logins += 1
            await self._write(writer, reply("+OK accepted"))
        elif name == "event":
            await self._write(writer, reply("+OK event listener enabled plain"))
            self.up.append(writer)
        elif rest == "strmicroepoch":
            await self._write(writer, frame("api/response", b"%d" % (time.time_ns() // 1000 + self.ahead_ms * 1000)))
        elif rest == "show channels as json":
            listed = msgspec.json.encode({"row_count": len(self.rows), "rows": self.rows})
            await self._write(writer, frame("api/response", listed if self.lists else b"-ERR permission denied\n"))
        else:
            await self._write(writer, reply("-ERR command not found"))
        return True

    async def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        at = 0
        async with self._sending:  # no message begins within another one
            while at < len(data):
                size = self.sizes[self._place % len(self.sizes)]
                self._place += 1
                writer.write(data[at : at + size])
                at += size
                if size < _SMALL:
                    await asyncio.sleep(0)
            await writer.drain()


def frame(kind: str, body: bytes = b"") -> bytes:
    """Return one message of the socket."""
    length = f"Content-Length: {len(body)}\n" if body else ""
    return f"Content-Type: {kind}\n{length}\n".encode() + body


def reply(text: str) -> bytes:
    """Return the answer to a command."""
    return f"Content-Type: command/reply\nReply-Text: {text}\n\n".encode()
