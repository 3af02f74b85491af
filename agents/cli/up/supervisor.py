"""Keeps the parts of `callpulse up` running: starts them, checks their readiness, and restarts those that died."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import aiohttp

from agents.cli.common import USAGE, UserError
from agents.cli.up.plan import Part
from agents.embedded.ports import kafka_serves
from agents.processes import TERMINATE, GuardedProcess, ProcessError
from agents.web.client import NOBODY, WebClient

STARTING, READY, NOT_READY, WAITING, FAILED, STOPPED = (
    "starting",
    "ready",
    "not ready",
    "waiting",
    "failed",
    "stopped",
)
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 60.0
STEADY_S: Final = 60.0
"""Seconds after which a running part begins with the first pause again."""
STOP_DEADLINE_S: Final = 45.0
_PROBE_S: Final = 2.0
_LARGEST_LOG: Final = 32 << 20
_TAIL_BYTES: Final = 4096
_TAIL_LINES: Final = 15


class Supervised:
    """A part with its process and its log file. `held` is a lock that lasts as long as the process."""

    def __init__(self, part: Part, log: Path, held: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.part = part
        self.log = log
        self.state = STARTING
        self.restarts = 0
        self._held = held
        self._clock = clock
        self._process: GuardedProcess | None = None
        self._began = 0.0
        self._pause_s = FIRST_PAUSE_S
        self._due = 0.0

    @property
    def pid(self) -> int | None:
        """The process id; None while it does not run."""
        return None if self._process is None or self._process.status is not None else self._process.pid

    @property
    def pause_s(self) -> float:
        """Seconds until the next start."""
        return max(0.0, self._due - self._clock())

    def start(self) -> None:
        """Start the process. One that cannot be started counts as one that died at once."""
        _shorten(self.log)
        self._began = self._clock()
        self.state = STARTING
        try:
            self._process = GuardedProcess(
                list(self.part.command), log=self.log, doomed=None, held=self._held, environment=self.part.environment
            )
        except ProcessError as error:
            with self.log.open("a", encoding="utf-8") as file:
                file.write(f"{error}\n")
            self._process = None
            self._died(None)

    def watch(self) -> None:
        """Note that the process has died, and start it again when its pause is over."""
        if self.state in (FAILED, STOPPED):
            return
        if self.state == WAITING:
            if self._clock() >= self._due:
                self.restarts += 1
                self.start()
        elif self._process is not None and (status := self._process.status) is not None:
            self._process.end(TERMINATE, deadline_s=STOP_DEADLINE_S)
            self._process = None
            self._died(status)

    def note_readiness(self, *, is_ready: bool) -> None:
        """Note whether the part answers as ready."""
        if self.pid is not None and self.state in (STARTING, READY, NOT_READY):
            self.state = READY if is_ready else STARTING if self.state == STARTING else NOT_READY

    def stop(self) -> None:
        """End the process in good order; returns when it is gone."""
        self.state = STOPPED
        if self._process is not None:
            self._process.end(TERMINATE, deadline_s=STOP_DEADLINE_S)

    def tail(self, lines: int = _TAIL_LINES) -> str:
        """Return the last lines of the log."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
                found = file.read().decode(errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join([line for line in found if line.strip()][-lines:])

    def _died(self, status: int | None) -> None:
        if status == USAGE and self.part.command[1:2] == ("-m",):
            self.state = FAILED  # wrong settings stay wrong: no restart
            return
        if self._clock() - self._began >= STEADY_S:
            self._pause_s = FIRST_PAUSE_S
        self.state, self._due = WAITING, self._clock() + self._pause_s
        self._pause_s = min(LONGEST_PAUSE_S, self._pause_s * 2)


class Supervisor:
    """Runs parts until `stop`. `on_change` is called with a part whose state has changed.

    Probes show the certificate of `client`, where it has one.
    """

    def __init__(self, on_change: Callable[[Supervised], None] = lambda _: None, client: WebClient = NOBODY) -> None:
        self._client = client
        self.supervised: list[Supervised] = []
        self._on_change = on_change
        self._seen: dict[str, str] = {}

    def add(self, one: Supervised) -> None:
        """Start one more part."""
        self.supervised.append(one)
        one.start()
        self._notice()

    async def until_ready(self, parts: Iterable[Supervised], stop: asyncio.Event, deadline_s: float | None) -> bool:
        """Wait until parts are ready, or the deadline has passed, or `stop` is set; return whether they are ready.

        Raises UserError if one that is needed has failed or does not start.
        """
        wanted = list(parts)
        until = None if deadline_s is None else time.monotonic() + deadline_s
        while not stop.is_set() and (until is None or time.monotonic() < until):
            await self.look()
            for one in wanted:
                if one.part.is_needed and one.state in (FAILED, WAITING):
                    code = USAGE if one.state == FAILED else 70
                    raise UserError(f"{one.part.name} does not start. It said last:\n{_indented(one.tail())}", code)
            if all(one.state == READY for one in wanted):
                return True
            await asyncio.sleep(0.1)
        return False

    async def look(self) -> None:
        """Look at all parts once: restart those that are due, and note those that died or are ready."""
        for one in self.supervised:
            one.watch()
        running = [one for one in self.supervised if one.pid is not None]
        async with self._client.probe_session(_PROBE_S) as session:
            for one, is_ready in zip(
                running, await asyncio.gather(*(is_up(session, one.part.probe) for one in running)), strict=True
            ):
                one.note_readiness(is_ready=is_ready)
        self._notice()

    async def stop(self) -> None:
        """End all parts in their order: those that take events in first, Kafka last."""
        for turn in sorted({one.part.stop for one in self.supervised}):
            ending = [one for one in self.supervised if one.part.stop == turn]
            await asyncio.gather(*(asyncio.to_thread(one.stop) for one in ending))
            self._notice()

    def _notice(self) -> None:
        for one in self.supervised:
            if self._seen.get(one.part.name) != one.state:
                self._seen[one.part.name] = one.state
                self._on_change(one)


async def is_up(session: aiohttp.ClientSession, probe: str | int) -> bool:
    """Return whether a part answers as ready, or answers only those with a password or a certificate."""
    if isinstance(probe, int):
        return await asyncio.to_thread(kafka_serves, probe)
    try:
        async with session.get(probe, allow_redirects=False) as answer:
            return answer.status in (200, 401, 403)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return probe.startswith("https:") and _is_broken_off(error)


def _is_broken_off(error: Exception) -> bool:
    """Return whether the server ended the connection: asyncio's TLS does where a certificate is missing.

    No alert says why: up to TLS 1.2 the handshake breaks, later the first request.
    """
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    return isinstance(cause, (aiohttp.ServerDisconnectedError, ConnectionResetError))


def _shorten(log: Path) -> None:
    """Begin a new log file once it is large, and keep the previous one."""
    if log.exists() and log.stat().st_size > _LARGEST_LOG:
        shutil.move(log, log.with_suffix(".log.1"))


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines()) or "  (nothing)"
