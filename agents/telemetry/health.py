"""Health: whether folding makes progress while there is lag, and whether the tables are restored in time.

A process may answer although its consumer is dead. So every partition with lag must make progress.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from faust.types import TP

from agents.delivery.offsets import OffsetTracker
from agents.exit import Fail
from agents.state.recovery import Recovery
from agents.state.worker_state import WorkerState
from agents.telemetry.lag import Lag
from streams.settings.settings import Worker

_OBSERVE_S: Final = 1.0


class NotReadyError(RuntimeError):
    """The worker did not get its partitions, or their tables were not restored, within the deadline."""


class Stalled(NamedTuple):
    """A partition that has records to fold and makes no progress."""

    topic: str
    partition: int
    next_offset: int
    lag_records: int
    stalled_seconds: float


class Health:
    """Watches progress and readiness. `clock` is monotonic, in seconds."""

    def __init__(
        self,
        settings: Worker,
        *,
        state: WorkerState,
        tracker: OffsetTracker,
        lag: Lag,
        recovery: Recovery,
        fail: Fail,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._state = state
        self._tracker = tracker
        self._lag = lag
        self._recovery = recovery
        self._fail = fail
        self._clock = clock
        self._stall_s = settings.stall_deadline_ms / 1000
        self._restore_s = settings.restore_deadline_ms / 1000
        self._round = recovery.round
        self._unready_since: float | None = clock()
        # For every partition that lags: the next offset to fold, and since when it has been that one.
        self._waiting: dict[TP, tuple[int, float]] = {}
        self._failed = False

    def why_not_ready(self) -> list[str]:
        """Return in words the reasons why this worker is not ready; an empty list when it is."""
        return self._recovery.why_not_ready()

    def stalled(self) -> list[Stalled]:
        """Return the partitions with lag that have not moved for longer than the deadline.

        There are none while partitions are assigned and restored: the restore has a deadline of its own.
        """
        now, lags = self.observe(), self._lag.now()
        return [
            Stalled(tp.topic, tp.partition, following, lags.get(tp, 0), round(now - since, 1))
            for tp, (following, since) in self._waiting.items()
            if now - since > self._stall_s
        ]

    def observe(self) -> float:
        """Note the progress of each partition; return the time. End the worker if it is not ready in time."""
        now = self._clock()
        why = self.why_not_ready()
        if why:
            self._waiting.clear()
            if self._unready_since is None or self._round != self._recovery.round:
                self._unready_since, self._round = now, self._recovery.round
            if now - self._unready_since > self._restore_s and not self._failed and not self._recovery.stopping:
                self._failed = True
                self._fail(NotReadyError(f"not ready within {self._restore_s:g} s: {'; '.join(why)}"))
            return now
        self._unready_since = None
        waiting = {}
        for tp, lag in self._lag.now().items():
            following = self._tracker.next_offset(tp)
            if lag and following is not None:
                before = self._waiting.get(tp)
                waiting[tp] = before if before is not None and before[0] == following else (following, now)
        self._waiting = waiting
        return now

    async def watch(self) -> None:
        """Observe for as long as the worker lives."""
        while True:
            self.observe()
            await asyncio.sleep(_OBSERVE_S)

    def liveness(self) -> dict[str, Any]:
        """Return the answer of `/-/healthy`."""
        stalled = self.stalled()
        return {"healthy": not stalled, "stalled": [partition._asdict() for partition in stalled]}

    def readiness(self) -> dict[str, Any]:
        """Return the answer of `/-/ready`."""
        why = self.why_not_ready()
        owned = {name: sorted(table.owned) for name, table in self._state.tables.items()}
        return {"ready": not why, "waiting_for": why, "partitions": owned}
