"""Intake: the checks, dead letters and counts that all agents have in common, before and after their own fold."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from faust.types import TP
from prometheus_client import Counter

from agents.delivery.outbox import RecordQueue
from agents.delivery.worker_metrics import WorkerMetrics
from agents.kafka.dead_letter import DeadLetter, dead_letter, without_content
from streams.contract.events import Rejection
from streams.contract.facts import GROUP
from streams.contract.origin import Origin, origin_of
from streams.contract.origin import header as origin_header
from streams.tables.manager.synthetic import SOURCE

_DELAYS_A_BATCH: Final = 16
FUTURE: Final = Rejection("future", "at is after the record's arrival by more than the setting thresholds.future")
_NOT_A_FACT: Final = Rejection("invalid_field", "not a fact of this release; the topic is written by callpulse alone")
_MISROUTED_AGAIN: Final = Rejection(
    "wrong_key",
    "the record was sent on to this partition, and the key is of another one; "
    "all workers must have the same kafka.partitions",
)
_WRONG_KEY: Final = Rejection("wrong_key", "the record's key is not what the fact is about")


def heard(sources: dict[str, int], source: str, at: int) -> None:
    """Note in `sources`, the newest event time of each source, that `source` sent an event of the time `at` (ms)."""
    if at > sources.get(source, 0):
        sources[source] = at


class Intake:
    """The common side of the agents of one source topic.

    `key_rule` is the sentence on the key of an event in refusals; None for a topic of facts, which only callpulse
    writes. `maker` is the name of the group if its facts carry it (`agents/kafka/settings_log.py`).
    `position_base` is added to the offset of a record to make its position, which grows also when the topic is deleted
    and created again.
    """

    def __init__(
        self,
        topic: str,
        *,
        outbox: RecordQueue,
        metrics: WorkerMetrics,
        partition_for: Callable[[bytes], int],
        rejected: str,
        key_rule: str | None,
        position_base: int = 0,
        maker: bytes | None = None,
    ) -> None:
        self.topic = topic
        self.position_base = position_base
        self._outbox = outbox
        self._metrics = metrics
        self._partition_for = partition_for
        self._rejected = rejected
        self._maker = maker
        self.fact_headers: list[tuple[str, bytes]] = [] if maker is None else [(GROUP, maker)]
        self._no_key = self._wrong_key = _WRONG_KEY
        if key_rule is not None:
            self._no_key, self._wrong_key = Rejection("no_key", key_rule), Rejection("wrong_key", key_rule)
        metrics.announce(topic, contract=key_rule is not None)
        self._records = metrics.counter("records_total", topic)
        self._batches = metrics.counter("batches_total", topic)
        self._applied = metrics.counter("events_applied_total", topic)
        self._duplicates = metrics.counter("duplicates_total", topic)
        self._rerouted = metrics.counter("rerouted_total", topic)
        self._delay = metrics.histogram("event_delay_seconds", topic)
        self._newest = metrics.gauge("newest_event_timestamp_seconds", topic)
        self._newest_ms = 0
        self._heartbeats: dict[str, int] = {}

    def count_of(self, name: str, *labels: str) -> Counter:
        """Return the counter `name` of the catalogue for this topic; `labels` are those behind the topic's."""
        return self._metrics.counter(name, self.topic, *labels)

    def key_refusal(self, key: bytes | None, subject: str) -> Rejection | None:
        """Return why a record with `key` cannot be about the manager or lead `subject`; None where it can."""
        if key is None:
            return self._no_key
        return None if key and key == subject.encode() else self._wrong_key

    def fact(self, tp: TP, record: Any, decode: Callable[[bytes], Any]) -> Any:
        """Return the fact of `record`; None where it holds none, and is a dead letter now."""
        if record.value:
            try:
                return decode(record.value)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                pass
        self.reject(tp, record, _NOT_A_FACT)
        return None

    def is_foreign(self, record: Any) -> bool:
        """Return whether another group made the fact, by its own settings. Call it where the headers are not ours.

        A group whose facts do not carry its name takes all facts without a name for its own.
        """
        for name, value in record.headers:
            if name == GROUP:
                return bool(value != self._maker)
        return self._maker is not None

    def is_misrouted(self, tp: TP, record: Any) -> bool:
        """Return whether the record's key hashes to another partition.

        A producer that hashes keys otherwise would split the row of a manager or lead in two.
        """
        return self._partition_for(record.key) != tp.partition

    def reroute(self, tp: TP, record: Any) -> None:
        """Send a misrouted record to the partition of its key, with its origin.

        A copy is not sent on again: workers with different numbers of partitions would send it round in a circle.
        """
        headers = list(record.headers)
        if origin_of(headers, self.topic) is not None:
            self.reject(tp, record, _MISROUTED_AGAIN)
            return
        headers.append(origin_header(self.topic, Origin(tp.partition, self.position_base + record.offset)))
        self._outbox.add(self.topic, self._partition_for(record.key), record.key, record.value, headers)
        self._rerouted.inc()

    def reject(self, tp: TP, record: Any, rejection: Rejection) -> None:
        """Put a refused record on the topic of dead letters, with the reason and its bytes."""
        letter = self.letter(tp, record, rejection)
        self._outbox.add(self._rejected, self._partition_for(letter.key), letter.key, letter.value, letter.headers)
        self._metrics.counter("rejected_total", self.topic, rejection.reason).inc()

    def letter(self, tp: TP, record: Any, rejection: Rejection) -> DeadLetter:
        """Return the dead letter of a refused record."""
        return dead_letter(tp, record, rejection)

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
        # A histogram costs more than a fold: of a large batch only every nth event is observed.
        for at in times_ms[:: max(1, len(times_ms) // _DELAYS_A_BATCH)]:
            self._delay.observe((now_ms - at) / 1000)
        # Events that callpulse concludes itself do not show that the feed is alive.
        newest = (
            max((at for source, at in sources.items() if source != SOURCE), default=0) if sources else max(times_ms)
        )
        if newest > self._newest_ms:
            self._newest_ms = newest
            self._newest.set(newest / 1000)
        for source, at in sources.items():
            if source != SOURCE and at > self._heartbeats.get(source, 0):
                self._heartbeats[source] = at
                self._metrics.gauge("source_heartbeat_timestamp_seconds", source).set(at / 1000)


class PrivateIntake(Intake):
    """The intake of a topic that has what people said: its dead letters keep the place and the reason, and no bytes."""

    def letter(self, tp: TP, record: Any, rejection: Rejection) -> DeadLetter:
        """Return the dead letter of a refused record, without its key and its value."""
        return without_content(tp, record, rejection)
