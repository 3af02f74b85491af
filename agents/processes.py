"""Programs that run under a guard process: they end with this process, whichever way it ends."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
from typing import TYPE_CHECKING

from agents import process_guard

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TERMINATE = b"T"
KILL = b"K"
ORPHAN_GRACE_S = 3.0
"""Time that a program whose owner vanished may take to close its files before it is killed."""
GUARD_DEADLINE_S = 20.0
"""The guard answers within 0.1 s; the deadline is for an overloaded machine."""


class ProcessError(RuntimeError):
    """A program could not be started."""


class GuardedProcess:
    """A program that runs under `process_guard.py` and so ends with this process at the latest.

    `log` receives its output. `doomed` is deleted if this process vanishes. The descriptor `held` stays open in the
    guard: a lock on it lasts exactly as long as the program may run. `environment` replaces that of this process.
    Raises ProcessError if it cannot be started.
    """

    def __init__(
        self,
        command: list[str],
        *,
        log: Path,
        doomed: Path | None,
        held: int,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        arguments = [str(os.getpid()), str(ORPHAN_GRACE_S), str(log), str(doomed or "")]
        self._guard = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-I", "-S", process_guard.__file__, *arguments, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[held],
            start_new_session=True,
            bufsize=0,
            env=environment,
        )
        stdout = self._guard.stdout
        assert stdout is not None  # noqa: S101 - for mypy: a pipe was asked for
        answered = select.select([stdout], [], [], GUARD_DEADLINE_S)[0]
        line = stdout.readline().decode().strip() if answered else "no answer"
        stdout.close()
        if not line.isdigit():
            self.end(KILL, deadline_s=1)
            raise ProcessError(f"{command[0]} could not be started: {line or 'the guard process ended at once'}.")
        self.pid = int(line)

    @property
    def status(self) -> int | None:
        """Exit status once the program has ended (128 plus the signal's number if one ended it), None while it runs."""
        return self._guard.poll()

    def end(self, order: bytes, *, deadline_s: float) -> None:
        """End the program, by SIGTERM or SIGKILL as ordered, by SIGKILL after the deadline; returns when it is gone."""
        for command in (order, KILL):
            if self.status is None:
                self._tell(command)
                try:
                    self._guard.wait(deadline_s)
                except subprocess.TimeoutExpired:
                    continue
        if self.status is None:
            self._guard.kill()  # the program follows: Linux kills it with its guard
            self._guard.wait()
        if self._guard.stdin is not None:
            self._guard.stdin.close()

    def _tell(self, command: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):  # it has just ended by itself
            self._guard.stdin.write(command)  # type: ignore[union-attr]  # a pipe was asked for
