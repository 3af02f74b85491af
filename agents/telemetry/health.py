"""Health: whether folding makes progress while there is lag, and whether the tables are restored in time.

"The process answers" says little of a consumer that has died slowly; here every partition that has something to fold
must move.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from faust.types import TP

from agents.gc_tuning import collect_in_short_steps
from agents.suspension import watch_loop

if TYPE_CHECKING:
    from agents.core import Core
    from agents.state.recovery import Restore
    from agents.telemetry.lag import Lag

_OBSERVE_S: Final = 1.0


class NotReadyError(RuntimeError):
    """The worker did not get its partitions, or their tables were not restored, within the deadline."""


class Stalled(NamedTuple):
    """A partition that has records to fold and does not move."""

    topic: str
    partition: int
    next_offset: int
    lag_records: int
    stalled_seconds: float


class Health:
    """Watches progress and readiness. `clock` is monotonic, in seconds."""

    def __init__(self, core: Core, lag: Lag, restore: Restore, clock: Callable[[], float] = time.monotonic) -> None:
        self._core = core
        self._lag = lag
        self._restore = restore
        self._clock = clock
        self._stall_s = core.settings.worker.stall_deadline_ms / 1000
        self._restore_s = core.settings.worker.restore_deadline_ms / 1000
        self._round = restore.round
        self._unready_since: float | None = clock()
        # For every partition that lags: the next offset to fold, and since when it has been that one.
        self._waiting: dict[TP, tuple[int, float]] = {}
        self._failed = False

    def why_not_ready(self) -> list[str]:
        """Return what the worker waits for before its figures can be trusted, in words; empty when it is ready."""
        return self._restore.why_not_ready()

    def stalled(self) -> list[Stalled]:
        """Return the partitions that have had something to fold for longer than the deadline and did not move.

        While partitions are assigned and restored there are none: that has a deadline of its own.
        """
        now, lags = self.observe(), self._lag.now()
        return [
            Stalled(tp.topic, tp.partition, following, lags.get(tp, 0), round(now - since, 1))
            for tp, (following, since) in self._waiting.items()
            if now - since > self._stall_s
        ]

    def observe(self) -> float:
        """Take note of what moved since the last time; return the time. Ends the worker that is not ready in time."""
        now = self._clock()
        why = self.why_not_ready()
        if why:
            self._waiting.clear()
            if self._unready_since is None or self._round != self._restore.round:
                self._unready_since, self._round = now, self._restore.round
            if now - self._unready_since > self._restore_s and not self._failed and not self._core.stopping:
                self._failed = True
                self._core.fail(NotReadyError(f"not ready within {self._restore_s:g} s: {'; '.join(why)}"))
            return now
        self._unready_since = None
        lags, ledger = self._lag.now(), self._core.app.delivery.ledger
        waiting = {}
        for tp, lag in lags.items():
            following = ledger.next_offset(tp)
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
        owned = {name: sorted(table.owned) for name, table in self._core.tables.items()}
        return {"ready": not why, "waiting_for": why, "partitions": owned}


def background(core: Core) -> list[Coroutine[Any, Any, None]]:
    """Return what must run beside a worker's application whether or not anybody asks how it is."""
    return [watch_loop(core.operations.histogram("loop_stall_seconds")), collect_in_short_steps()]
