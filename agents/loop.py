"""The fold loop: batches of records go through the agents, in order and in short steps.

It also watches that no delivered batch is lost, sends the ends of legs whose own end never came, and removes leads that
expired.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from faust.types import TP

from agents.delivery.offsets import Batch, OffsetTracker
from agents.delivery.outbox import Outbox
from agents.delivery.transport import BatchConsumer
from agents.exit import Fail
from agents.state.worker_state import WorkerState

log = logging.getLogger("callpulse")

_FIRST_STEP: Final = 256
_LARGEST_STEP: Final = 4096
# A task that waits for the loop often needs it several times (send, acknowledge, commit) before it is done.
_YIELDS_PER_STEP: Final = 3
MAX_DIRTY: Final = 50_000
REFETCH_S: Final = 2.0
SWEEP_S: Final = 5.0


class Fold(Protocol):
    """The interface of an agent to the loop."""

    def fold(self, tp: TP, records: list[Any]) -> None:
        """Fold records of `tp` without a pause, so that no reader sees the tables in an intermediate state."""


class FoldLoop:
    """Folds batches. `crash_error` returns the error of a part of Faust that died; `fail` ends the worker."""

    def __init__(
        self,
        *,
        tracker: OffsetTracker,
        outbox: Outbox,
        state: WorkerState,
        consumer: Callable[[], BatchConsumer],
        crash_error: Callable[[], BaseException | None],
        step_ms: int,
        fail: Fail,
    ) -> None:
        self._tracker = tracker
        self._outbox = outbox
        self._state = state
        self._consumer = consumer
        self._crash_error = crash_error
        # A fold holds the event loop. A short one leaves time for heartbeats, scrapes and commits.
        self._step_s = step_ms / 1000
        self._fail = fail
        self._turn = asyncio.Lock()
        self._idle_since: dict[str, float] = {}  # of agents that wait for a batch, by topic

    async def consume(self, stream: Any, agent: Fold, topic: str) -> None:
        """Fold the batches of `stream`, in order, and yield to the event loop after each step."""
        tracker = self._tracker
        step = _FIRST_STEP
        self._idle_since[topic] = time.monotonic()
        async for event in stream.events():
            del self._idle_since[topic]
            batch: Batch = event.value
            records = tracker.take(batch)
            if records is None:
                await self.fetch_again(batch.tp)
                records = []
            following = tracker.next_offset(batch.tp)
            done = 0
            while done < len(records):
                async with self._turn:
                    if tracker.next_offset(batch.tp) != following:
                        break  # revoked meanwhile: the new owner folds the rest
                    part = records[done : done + step]
                    done += len(part)
                    begun = time.thread_time()  # CPU time: other processes would lengthen the wall time of a fold
                    try:
                        agent.fold(batch.tp, part)
                    except Exception as error:
                        # Faust would acknowledge the batch and go on: its records would be lost.
                        self._fail(error)
                        raise
                    took_s = time.thread_time() - begun
                    following = batch.end if done >= len(records) else part[-1].offset + 1
                    tracker.done(batch.tp, following)
                    step = _next_step(len(part), took_s, step, self._step_s)
                    for _ in range(_YIELDS_PER_STEP):
                        await asyncio.sleep(0)
                await self._outbox.wait_for_capacity()
                if self._state.dirty_on_disk() > MAX_DIRTY:
                    await self._state.run_checkpoint()  # until then all of them are in memory
            self._idle_since[topic] = time.monotonic()

    async def fetch_again(self, tp: TP) -> None:
        """Seek `tp` back to the next offset to fold, because fetched records were lost on their way."""
        offset = self._tracker.next_offset(tp)
        if offset is not None and tp in self._consumer().assignment():
            log.warning("%s/%s: records are missing in delivery; fetching from offset %s again", *tp, offset)
            await self._consumer().seek(tp, offset)

    async def watch_delivery(self) -> None:
        """Fetch again where delivered batches vanished: Faust clears its queues after a restore.

        The queue of an agent that waits for a batch of its topic is empty. An agent that folds empties its queue, too.
        """
        while True:
            await asyncio.sleep(REFETCH_S / 4)
            error = self._crash_error()
            if error is not None:
                self._fail(error)
                return
            now = time.monotonic()
            for tp, following in self._tracker.snapshot().items():
                idle_s = now - self._idle_since.get(tp.topic, now)
                ahead = self._consumer().fetch_from.get(tp, following) > following
                if ahead and idle_s > REFETCH_S:
                    self._idle_since[tp.topic] = now  # wait as long again for the records that are fetched
                    await self.fetch_again(tp)


class Sweeps(Protocol):
    """An agent that sends the ends of legs or transcripts whose own end never came."""

    def sweep(self, now_ms: int, partitions: set[int]) -> None:
        """Send the ends that are due in `partitions`."""


async def sweep(agent: Sweeps, caught_up: Callable[[], set[int]]) -> None:
    """Send the ends that never came, for as long as the worker lives.

    `caught_up` returns the partitions of the agent's topic without lag. A partition with lag may hold the real ends.
    """
    while True:
        await asyncio.sleep(SWEEP_S)
        agent.sweep(int(time.time() * 1000), caught_up())


def _next_step(records: int, seconds: float, step: int, goal_s: float) -> int:
    """Return how many records the next step may take to last about `goal_s`."""
    if records < step and seconds < goal_s:
        return step  # too small a sample to raise the step by
    return max(16, min(_LARGEST_STEP, int(step * 1.5) + 1, int(records * goal_s / max(seconds, 1e-6))))
