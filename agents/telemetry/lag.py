"""Lag: the number of records of each owned partition that are in Kafka and not folded yet.

The end of a partition comes from the last fetch, or from a request of its own: otherwise a consumer that stopped
fetching would report no lag for ever.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from faust.types import TP

from agents.delivery.offsets import OffsetTracker
from agents.delivery.transport import BatchConsumer

log = logging.getLogger("callpulse")

ASK_EVERY_S: Final = 5.0


class Lag:
    """The lag of the partitions that are open in the offset tracker. It is at least 0; 0 means that all is folded."""

    def __init__(self, tracker: OffsetTracker, consumer: Callable[[], BatchConsumer]) -> None:
        self._tracker = tracker
        self._consumer = consumer
        self._asked: dict[TP, int] = {}

    def now(self) -> dict[TP, int]:
        """Return the lag of every open partition whose end is known."""
        lags = {}
        for tp, following in self._tracker.snapshot().items():
            fetched = self._consumer().fetched(tp)
            end = max(fetched.end or 0, self._asked.get(tp, 0))
            if fetched.end is None and tp not in self._asked:
                continue
            done = following
            if fetched.position is not None and self._consumer().fetch_from.get(tp, following) <= following:
                # All fetched records are folded. Offsets without a record may follow the last one: markers of
                # transactions, or records that compaction removed.
                done = max(done, fetched.position)
            lags[tp] = max(0, end - done)
        return lags

    def caught_up(self, topic: str) -> set[int]:
        """Return the partitions of `topic` without lag."""
        return {tp.partition for tp, lag in self.now().items() if not lag and tp.topic == topic}

    async def ask(self) -> None:
        """Request the ends of the open partitions from Kafka repeatedly, for as long as the worker lives."""
        while True:
            tps = list(self._tracker.snapshot())
            if tps:
                try:
                    ends = await self._consumer().highwaters(*tps)
                except Exception as error:  # noqa: BLE001 - without a broker the known ends stay
                    log.debug("Kafka does not answer with the ends of the partitions: %r", error)
                else:
                    self._asked = {TP(tp[0], tp[1]): end for tp, end in ends.items() if end is not None}
            await asyncio.sleep(ASK_EVERY_S)
