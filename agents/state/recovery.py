"""Restore: which partitions a worker should own by the group's assignment, and how far their tables are restored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from faust.exceptions import ConsumerNotStarted
from faust.types import TP

if TYPE_CHECKING:
    from agents.core import Core
    from agents.state.tables import RowTable


class Restore:
    """What is assigned and what of it is whole."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._begun: dict[TP, int] = {}
        self._round = 0

    @property
    def round(self) -> int:
        """Number of rebalances this worker took part in; 0 before the first."""
        return int(self._core.app.rebalancing_count)

    def why_not_ready(self) -> list[str]:
        """Return what the worker waits for, in words; nothing once it has what the group assigned to it.

        A worker to which a group with enough others assigned nothing is ready too: it stands by.
        """
        core = self._core
        if core.stopping:
            return ["the worker is stopping"]
        assigned = self._assigned()
        if assigned is None:
            kafka = core.settings.kafka
            return [f"group {kafka.group} at {kafka.bootstrap} has not assigned partitions to this worker yet"]
        why = []
        for table in core.tables.values():
            ours = _partitions(table, assigned)
            if table.owned != ours:
                of = "partition" if len(ours) == 1 else "partitions"
                why.append(f"table {table.name}: {self.progress(table):.0%} of {len(ours)} {of} restored")
        if core.app.rebalancing and not why:
            why.append("the source partitions are being sought")
        return why

    def progress(self, table: RowTable[Any]) -> float:
        """Return the changelog records restored divided by those there are: 0 to 1, and 1 only for a whole table."""
        assigned = self._assigned()
        if assigned is None:
            return 0.0
        ours = _partitions(table, assigned)
        if table.owned == ours:
            return 1.0
        if self._round != self.round:
            self._round = self.round
            self._begun.clear()
        recovery: Any = self._core.app.tables.recovery
        ends = recovery.active_highwaters
        restoring = self._core.app.delivery.restoring
        done = total = 0
        for partition in ours:
            tp = TP(table.changelog, partition)
            following = restoring.get(tp)
            if following is not None:
                # A changelog is compacted: its first record is seldom the one at offset 0.
                begun = self._begun[tp] = min(following, self._begun.get(tp, following))
                done += following - begun
                total += max(0, ends[tp] + 1 - begun)
        return min(done / total, 0.999) if total else 0.0

    def _assigned(self) -> set[TP] | None:
        if not self.round:
            return None  # before that, asking Faust for its consumer would make one
        try:
            assigned: set[TP] = self._core.app.consumer.assignment()
        except ConsumerNotStarted:
            return None
        if assigned or not self._core.app.rebalancing:
            return assigned
        return None


def _partitions(table: RowTable[Any], assigned: set[TP]) -> frozenset[int]:
    return frozenset(tp.partition for tp in assigned if tp.topic == table.changelog)
