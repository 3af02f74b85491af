"""Recovery: the partitions that the group assigned to this worker, and the progress of restoring their tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from faust.exceptions import ConsumerNotStarted
from faust.types import TP

from agents.delivery.session import Session
from agents.state.tables import RowTable
from streams.settings.settings import Kafka


class Recovery:
    """Progress of the restores of one worker.

    `restoring` holds the next offset of each changelog that is being restored. Set `stopping` when the worker stops:
    then it is not ready any more.
    """

    def __init__(
        self, app: Any, tables: Mapping[str, RowTable[Any]], restoring: Mapping[TP, int], kafka: Kafka, session: Session
    ) -> None:
        self._app = app
        self._tables = tables
        self._restoring = restoring
        self._kafka = kafka
        self._session = session
        self._begun: dict[TP, int] = {}
        self._round = 0
        self.stopping = False

    @property
    def round(self) -> int:
        """Number of rebalances this worker took part in; 0 before the first."""
        return int(self._app.rebalancing_count)

    @property
    def generation(self) -> int:
        """Generation of the consumer group that this worker last joined; 0 before the first."""
        return int(self._app.consumer_generation_id)

    def why_not_ready(self) -> list[str]:
        """Return in words the reasons why the worker is not ready; an empty list once all its partitions are restored.

        A worker to which the group assigned nothing, because it has enough others, is ready too.
        """
        if self.stopping:
            return ["the worker is stopping"]
        assigned = self._assigned()
        if assigned is None:
            kafka = self._kafka
            return [f"group {kafka.group} at {kafka.bootstrap} has not assigned partitions to this worker yet"]
        why = []
        if self._session.is_silent:
            why.append(f"Kafka has not answered a heartbeat of this worker for {self._session.silent_s:.0f} s")
        for table in self._tables.values():
            ours = _partitions(table, assigned)
            if table.owned != ours:
                of = "partition" if len(ours) == 1 else "partitions"
                why.append(f"table {table.name}: {self.progress(table):.0%} of {len(ours)} {of} restored")
        if self._app.rebalancing and not why:
            why.append("the source partitions are being sought")
        return why

    def progress(self, table: RowTable[Any]) -> float:
        """Return the share of the changelog records that are restored: 0 to 1, and 1 only for a complete table."""
        assigned = self._assigned()
        if assigned is None:
            return 0.0
        ours = _partitions(table, assigned)
        if table.owned == ours:
            return 1.0
        if self._round != self.round:
            self._round = self.round
            self._begun.clear()
        ends = self._app.tables.recovery.active_highwaters
        done = total = 0
        for partition in ours:
            tp = TP(table.changelog, partition)
            following = self._restoring.get(tp)
            if following is not None:
                # A changelog is compacted: its first record is seldom the one at offset 0.
                begun = self._begun[tp] = min(following, self._begun.get(tp, following))
                done += following - begun
                total += max(0, ends[tp] + 1 - begun)
        return min(done / total, 0.999) if total else 0.0

    def _assigned(self) -> set[TP] | None:
        if not self.round:
            return None  # before the first rebalance, an access to Faust's consumer would make one
        try:
            assigned: set[TP] = self._app.consumer.assignment()
        except ConsumerNotStarted:
            return None
        if assigned or not self._app.rebalancing:
            return assigned
        return None


def _partitions(table: RowTable[Any], assigned: set[TP]) -> frozenset[int]:
    return frozenset(tp.partition for tp in assigned if tp.topic == table.changelog)
