"""Records that retention deleted before they were read: they are counted and logged, because figures lack them.

A gap in the offsets is no loss by itself. Markers of transactions and aborted records have offsets, too. A loss is the
part of a gap that lies before the first record that the partition still has.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from faust.types import TP

from agents.delivery.offsets import OffsetTracker
from agents.delivery.transport import BatchConsumer
from agents.delivery.worker_metrics import WorkerMetrics

log = logging.getLogger("callpulse")

LOOK_EVERY_S: Final = 5.0


class LostRecords:
    """Looks for losses in the partitions that are open in the tracker."""

    def __init__(self, tracker: OffsetTracker, consumer: Callable[[], BatchConsumer], metrics: WorkerMetrics) -> None:
        self._tracker = tracker
        self._consumer = consumer
        self._metrics = metrics
        self._counted_to: dict[TP, int] = {}

    async def watch(self) -> None:
        """Look repeatedly, for as long as the worker lives."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001 - without a broker there is no answer
                log.debug("Kafka does not answer with the starts of the partitions: %r", error)

    async def look(self) -> None:
        """Count the losses since the last look. A partition in which nothing is left goes on at its start."""
        if not self._tracker.snapshot():
            return
        gaps = [gap for gap in await self._consumer().gaps() if gap.tp in self._tracker]
        if not gaps:
            return
        starts = await self._consumer().earliest_offsets(*{gap.tp for gap in gaps})
        lost: dict[TP, int] = {}
        for gap in gaps:
            first = starts.get(gap.tp) or 0
            begin = max(gap.start, self._counted_to.get(gap.tp, 0))
            end = first if gap.end is None else min(first, gap.end)
            if end > begin:
                lost[gap.tp] = lost.get(gap.tp, 0) + end - begin
                self._counted_to[gap.tp] = end
            if gap.end is None and self._tracker.next_offset(gap.tp) == gap.start < first:
                self._tracker.done(gap.tp, first)
        for tp, count in lost.items():
            self._metrics.counter("lost_records_total", tp.topic).inc(count)
            log.warning(
                "%s/%s: retention deleted %s records before they were read; figures lack them. Offset %s is the first "
                "that is left",
                *tp,
                count,
                starts[tp],
            )
