"""Lag: how many records of each owned partition are in Kafka and not folded yet.

The end of a partition is what the last fetch said, or Kafka's answer to a question of our own: a consumer that has
ceased to fetch would otherwise believe for ever that there is nothing to do.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, NamedTuple

from aiokafka.structs import TopicPartition
from faust.exceptions import ConsumerNotStarted
from faust.types import TP

if TYPE_CHECKING:
    from agents.core import Core

log = logging.getLogger("callpulse")

ASK_EVERY_S: Final = 5.0


class _Fetched(NamedTuple):
    """Where the client's own fetching of a partition stands, None where it is not known."""

    position: int | None = None
    end: int | None = None


class Lag:
    """The lag of the partitions that the ledger has open. Lag is at least 0, and 0 means that all is folded."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._asked: dict[TP, int] = {}

    def now(self) -> dict[TP, int]:
        """Return the lag of every open partition whose end is known."""
        lags = {}
        for tp, following in self._core.app.delivery.ledger.snapshot().items():
            fetched = self._fetched(tp)
            end = max(fetched.end or 0, self._asked.get(tp, 0))
            if fetched.end is None and tp not in self._asked:
                continue
            done = following
            if fetched.position is not None and self._core.consumer.fetch_from.get(tp, following) <= following:
                # All that was fetched is folded. Behind the last record there may be offsets without one: the marks
                # of a transaction, or records that a compaction took away.
                done = max(done, fetched.position)
            lags[tp] = max(0, end - done)
        return lags

    async def ask(self) -> None:
        """Ask Kafka for the ends of the open partitions, one question at a time, for as long as the worker lives."""
        while True:
            tps = list(self._core.app.delivery.ledger.snapshot())
            if tps:
                try:
                    ends = await self._core.consumer.highwaters(*tps)
                except Exception as error:  # noqa: BLE001 - a broker that is away is no reason to end; what is known stays
                    log.debug("the ends of the partitions are not to be had: %r", error)
                else:
                    self._asked = {TP(tp[0], tp[1]): end for tp, end in ends.items() if end is not None}
            await asyncio.sleep(ASK_EVERY_S)

    def _fetched(self, tp: TP) -> _Fetched:
        """Look into the client: it has no public way to see this that does not wait."""
        try:
            consumer = self._core.consumer._thread._ensure_consumer()  # noqa: SLF001 - see above
            subscription = consumer._subscription.subscription  # noqa: SLF001 - see above
        except (AttributeError, ConsumerNotStarted):
            return _Fetched()
        assignment = subscription.assignment if subscription is not None else None
        topic_partition = TopicPartition(*tp)
        if assignment is None or topic_partition not in assignment.tps:
            return _Fetched()
        state = assignment.state_value(topic_partition)
        return _Fetched(state._position, state.highwater)  # noqa: SLF001 - the property raises where it is not known
