"""The offset tracker: per partition, the next offset to fold. It alone decides what may be folded and committed.

Faust keeps its own record of deliveries and acknowledgements, and it can be wrong: after a restore it resumes source
partitions before it seeks them and then clears its queues, so that fetched records vanish; it can commit past an event
that is still in work; an exception acknowledges the event that raised it. So each batch carries the offsets that it
covers, `[start, end)`, and only a batch that begins at or before the next offset is folded. A batch behind a gap is
dropped and fetched again. Records that were folded before are skipped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from faust.types import TP

MAX_AHEAD_RECORDS: Final = 8000
"""Most records of a partition that may be fetched and not yet folded. Beyond that, fetching of it pauses."""


class Batch:
    """Records that were fetched in one go from one partition.

    `start` is the position at which the fetch began and `end` the one after it. Offsets between them may have no record
    (a compacted topic, a transaction's marker); `records` are all there are.
    """

    __slots__ = ("end", "records", "start", "tp")

    def __init__(self, tp: TP, start: int, records: list[Any]) -> None:
        self.tp = tp
        self.start = start
        self.end: int = records[-1].offset + 1
        self.records = records


class OffsetTracker:
    """Next offsets of the partitions that this worker may fold now: the open ones.

    `rebalances` counts the rebalances that began. While one is on (`is_rebalancing`), nothing can be opened: Faust may
    end a restore of the assignment before it, whose rows have been dropped meanwhile.
    """

    def __init__(self) -> None:
        self._next: dict[TP, int] = {}
        self.gaps: int = 0
        self.rebalances: int = 0
        self.is_rebalancing: bool = False

    def begin_rebalance(self) -> None:
        """Open nothing more until the next assignment. Partitions that are open stay open until they are closed."""
        self.rebalances += 1
        self.is_rebalancing = True

    def end_rebalance(self) -> None:
        """Close all partitions, for each is restored again, and let them be opened."""
        self.close()
        self.is_rebalancing = False

    def open(self, offsets: Mapping[TP, int]) -> None:
        """Begin to fold the partitions of `offsets` at their offsets. Partitions that are open stay where they are."""
        if self.is_rebalancing:
            return
        for tp, offset in offsets.items():
            self._next.setdefault(tp, offset)

    def close(self, tps: Iterable[TP] | None = None) -> None:
        """Fold no more of `tps` (None: of any), even if batches of them are still delivered."""
        for tp in list(self._next) if tps is None else tps:
            self._next.pop(tp, None)

    def freeze(self) -> dict[TP, int]:
        """Close all partitions; return the offsets up to which they are folded."""
        offsets = self.snapshot()
        self.close()
        return offsets

    def __contains__(self, tp: object) -> bool:
        return tp in self._next

    def take(self, batch: Batch) -> list[Any] | None:
        """Return the records of `batch` that are to be folded now; None where it must be fetched again.

        An empty list means that there is nothing to do: the batch was folded before, or its partition is not open.
        """
        following = self._next.get(batch.tp)
        if following is None or batch.end <= following:
            return []
        if batch.start > following:
            self.gaps += 1
            return None
        if batch.start == following:
            return batch.records
        return [record for record in batch.records if record.offset >= following]

    def done(self, tp: TP, end: int) -> None:
        """Note that `tp` is folded up to offset `end`. Call it in the same step of the loop as the fold itself."""
        if tp in self._next:
            self._next[tp] = end

    def next_offset(self, tp: TP) -> int | None:
        """Return the next offset to fold, None for a partition that is not open."""
        return self._next.get(tp)

    def snapshot(self) -> dict[TP, int]:
        """Return the next offsets. They may be committed once all that was folded so far is durable."""
        return dict(self._next)
