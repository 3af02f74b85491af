"""Detects that the process stood still, and measures how late the event loop is.

A worker that was suspended (SIGSTOP, a laptop's lid, a paused container) for longer than its session must neither write
nor answer any more: another worker may own its partitions and export its managers.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Final

from prometheus_client import Histogram

_BEAT_S: Final = 0.1
_LOOP_S: Final = 0.05

Clock = Callable[[], float]


class SuspendedError(RuntimeError):
    """The process stood still for longer than its session in the group."""


def wakeful_clock() -> Clock:
    """Return a clock in seconds that never goes back and counts the time that the machine sleeps.

    `time.monotonic` leaves that time out on Linux.
    """
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    if boottime is None:
        return time.monotonic
    return lambda: time.clock_gettime(boottime)


class SuspensionDetector:
    """Calls `fail`, in the first thread that detects it, when two beats are more than `limit_s` apart.

    `start` begins a thread that beats. When a process wakes up, the event loop first continues its work and comes to
    its timers last.
    """

    def __init__(self, limit_s: float, fail: Callable[[BaseException], None], clock: Clock | None = None) -> None:
        self._limit_s = limit_s
        self._fail = fail
        self._clock = clock or wakeful_clock()
        self._last = self._clock()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self.suspended = False

    def beat(self) -> bool:
        """Note that the process is awake; return whether it may go on."""
        with self._lock:
            now = self._clock()
            gap_s, self._last = now - self._last, now
            if self.suspended or gap_s <= self._limit_s:
                return not self.suspended
            self.suspended = True
        self._fail(SuspendedError(f"the process stood still for {gap_s:.1f} s; its partitions may be another worker's"))
        return False

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="callpulse-suspension", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread."""
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.wait(_BEAT_S):
            self.beat()


async def watch_loop(stalls: Histogram) -> None:
    """Observe 20 times a second how many seconds late the event loop comes to a timer."""
    while True:
        due = time.monotonic() + _LOOP_S
        await asyncio.sleep(_LOOP_S)
        stalls.observe(max(0.0, time.monotonic() - due))
