"""Programs that the demo starts, each under a guard: they end with the demo, whichever way it ends."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import orjson

from agents.cli.common import INFRASTRUCTURE, UserError
from agents.processes import KILL, TERMINATE, GuardedProcess

READY_DEADLINE_S: Final = 90.0
STOP_DEADLINE_S: Final = 30.0
_TAIL_LINES: Final = 15
T = TypeVar("T")


class Child:
    """A program with a log file, ended by SIGTERM and, after a deadline, by SIGKILL."""

    def __init__(self, name: str, command: list[str], log: Path, more: Mapping[str, str] | None = None) -> None:
        """Start it with the environment of this process, without the settings in it, and with `more`."""
        self.name = name
        self.log = log
        unset = [f"--unset={variable}" for variable in os.environ if variable.startswith("CALLPULSE_")]
        settings = [f"{variable}={value}" for variable, value in (more or {}).items()]
        held = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._process = GuardedProcess(["env", *unset, *settings, *command], log=log, doomed=None, held=held)
        finally:
            os.close(held)

    @property
    def running(self) -> bool:
        """True until it has ended."""
        return self._process.status is None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def await_ready(self, ready: Callable[[], T | None]) -> T:
        """Return the first result of `ready` that is not None. Raises UserError if the program ends or hangs."""
        deadline = time.monotonic() + READY_DEADLINE_S
        while (found := ready()) is None:
            if not self.running:
                raise UserError(f"the {self.name} ended while it started. It said last:\n{self.tail()}", INFRASTRUCTURE)
            if time.monotonic() > deadline:
                raise UserError(
                    f"the {self.name} is not ready after {READY_DEADLINE_S:g} s. It said last:\n{self.tail()}",
                    INFRASTRUCTURE,
                )
            time.sleep(0.05)
        return found

    def tail(self) -> str:
        """Return the last lines of its log."""
        try:
            lines = self.log.read_text(errors="replace").splitlines()
        except OSError:
            return "  (nothing)"
        return "\n".join(f"  {line}" for line in lines[-_TAIL_LINES:]) or "  (nothing)"

    def stop(self) -> None:
        """End it; returns when it is gone."""
        self._process.end(TERMINATE, deadline_s=STOP_DEADLINE_S)

    def kill(self) -> None:
        """End it at once."""
        self._process.end(KILL, deadline_s=STOP_DEADLINE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def start_worker(config: Path | None, log: Path, more: Mapping[str, str] | None = None) -> tuple[Child, str]:
    """Start a worker and return it with the base URL of its port, once that answers.

    `more` are variables for settings that are not in the file.
    """
    child = start("worker", ["worker"], config, log, more)
    try:
        return child, str(child.await_ready(lambda: said(log))["url"])
    except BaseException:  # Ctrl-C, too
        child.kill()
        raise


def start(
    name: str, command: list[str], config: Path | None, log: Path, more: Mapping[str, str] | None = None
) -> Child:
    """Start a command of callpulse that prints its addresses in JSON; `said` reads them from its log."""
    options = [] if config is None else ["--config", str(config)]
    return Child(name, [sys.executable, "-m", "agents.cli", *command, "--json", *options], log, more)


def said(log: Path) -> dict[str, Any] | None:
    """Return the JSON that a command has printed, None until then."""
    for line in log.read_bytes().splitlines() if log.exists() else ():
        if line.startswith(b'{"url"'):
            addresses: dict[str, Any] = orjson.loads(line)
            return addresses
    return None


def listens(port: int) -> bool | None:
    """Return True if a server listens on the port, else None, as `await_ready` requires."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return True if probe.connect_ex(("127.0.0.1", port)) == 0 else None
