"""Intake: what every agent does with a batch before and after its own fold — placement, dead letters, counting."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from faust.types import TP
from prometheus_client import Counter

from agents.delivery.counters import Operations
from agents.delivery.dead_letter import dead_letter
from agents.delivery.outbox import Outbox
from streams.contract.events import Rejection
from streams.tables.manager.synthetic import SOURCE

_DELAYS_A_BATCH: Final = 16


def heard(sources: dict[str, int], source: str, at: int) -> None:
    """Note in `sources`, the newest event time of each source, that `source` sent an event of the time `at` (ms)."""
    if at > sources.get(source, 0):
        sources[source] = at


class Intake:
    """The common side of the agents of one source topic."""

    def __init__(
        self,
        topic: str,
        *,
        outbox: Outbox,
        operations: Operations,
        place: Callable[[bytes], int],
        rejected: str,
        contract: bool,
    ) -> None:
        self.topic = topic
        self._outbox = outbox
        self._ops = operations
        self._place = place
        self._rejected = rejected
        operations.announce(topic, contract=contract)
        self._records = operations.counter("records_total", topic)
        self._batches = operations.counter("batches_total", topic)
        self._applied = operations.counter("events_applied_total", topic)
        self._duplicates = operations.counter("duplicates_total", topic)
        self._rerouted = operations.counter("rerouted_total", topic)
        self._delay = operations.histogram("event_delay_seconds", topic)
        self._newest = operations.gauge("newest_event_timestamp_seconds", topic)
        self._newest_ms = 0
        self._heartbeats: dict[str, int] = {}

    def count_of(self, name: str, *labels: str) -> Counter:
        """Return the counter `name` of the catalogue for this topic; `labels` are those behind the topic's."""
        return self._ops.counter(name, self.topic, *labels)

    def stray(self, tp: TP, record: Any) -> bool:
        """Send a record that lies in a partition which is not its key's to the right one.

        A producer that hashes keys otherwise would split a manager's (or lead's) state in two.
        """
        home = self._place(record.key)
        if home == tp.partition:
            return False
        self._outbox.add(self.topic, home, record.key, record.value)
        self._rerouted.inc()
        return True

    def reject(self, tp: TP, record: Any, rejection: Rejection) -> None:
        """Put a record that is no event on the topic of dead letters, with the reason and its bytes."""
        letter = dead_letter(tp, record, rejection)
        self._outbox.add(self._rejected, self._place(letter.key), letter.key, letter.value, letter.headers)
        self._ops.counter("rejected_total", self.topic, rejection.reason).inc()

    def counted(
        self, records: int, *, applied: int, duplicates: int, times_ms: list[int], sources: Mapping[str, int]
    ) -> None:
        """Count folded records: `times_ms` are the event times of what was applied, `sources` the newest by source."""
        self._records.inc(records)
        self._batches.inc()
        if applied:
            self._applied.inc(applied)
        if duplicates:
            self._duplicates.inc(duplicates)
        if not times_ms:
            return
        now_ms = time.time() * 1000
        # A histogram costs more than a fold: of a large batch every nth event stands for its neighbours.
        for at in times_ms[:: max(1, len(times_ms) // _DELAYS_A_BATCH)]:
            self._delay.observe((now_ms - at) / 1000)
        # What callpulse concludes itself is no sign of life of the feed.
        newest = (
            max((at for source, at in sources.items() if source != SOURCE), default=0) if sources else max(times_ms)
        )
        if newest > self._newest_ms:
            self._newest_ms = newest
            self._newest.set(newest / 1000)
        for source, at in sources.items():
            if source != SOURCE and at > self._heartbeats.get(source, 0):
                self._heartbeats[source] = at
                self._ops.gauge("source_heartbeat_timestamp_seconds", source).set(at / 1000)
