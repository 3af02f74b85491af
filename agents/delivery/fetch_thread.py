"""The thread in which aiokafka fetches: it makes batches, and notes the gaps between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from agents.delivery.batches import take_all_by_batch
from agents.delivery.offsets import Batch
from agents.kafka.unreadable import locating_errors

FETCH_WAIT_MS: Final = 50


class Gap(NamedTuple):
    """Offsets `[start, end)` of a partition for which no record came; an `end` of None: none has come since `start`."""

    tp: TP
    start: int
    end: int | None


class BatchConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread in which aiokafka fetches. It makes the batches: no seek comes between a fetch and its start."""

    consumer: Any

    def __post_init__(self) -> None:
        super().__post_init__()
        self.fetch_from: dict[TP, int] = {}
        self._gaps: list[Gap] = []

    async def on_start(self) -> None:
        """Start the consumer, and watch its session."""
        await super().on_start()
        self.consumer.delivery.session.watch(self._ensure_consumer()._coordinator)  # noqa: SLF001 - see agents/kafka/internals.py

    def _create_worker_consumer(self, transport: Any) -> Any:
        """Return Faust's consumer, with a shorter wait for records and without those of aborted transactions.

        The client has one request in flight per broker. A partition whose records were just taken out is part of the
        next request only, so it waits as long as the present one waits for the other partitions. With Faust's 1.5 s, a
        topic without new records delayed all the others.
        """
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS  # noqa: SLF001 - Faust gives no choice
        consumer._isolation_level = "read_committed"  # noqa: SLF001 - Faust ties it to transactions of its own
        commit, tags = consumer.commit, self.consumer.delivery.commit_tags

        async def commit_with_tags(offsets: Mapping[Any, Any]) -> None:
            await commit({tp: (found.offset, tags.get(tp.topic, "")) for tp, found in offsets.items()})

        consumer.commit = commit_with_tags
        return consumer

    async def _fetch_records(self, *args: Any, **kwargs: Any) -> Any:
        consumer = args[0] if args else kwargs["consumer"]
        take_all_by_batch(consumer)
        with locating_errors(consumer):
            fetched = await super()._fetch_records(*args, **kwargs)
        batched = self.consumer.delivery.batched
        delivered: dict[TP, list[Any]] = {}
        for topic_partition, records in fetched.items():
            tp = TP(*topic_partition)
            if tp.topic not in batched:
                delivered[tp] = records
            elif records:
                batch = Batch(tp, self.fetch_from.get(tp, records[0].offset), records)
                if records[0].offset > batch.start and tp.topic in self.consumer.delivery.sources:
                    self._gaps.append(Gap(tp, batch.start, records[0].offset))
                self.fetch_from[tp] = batch.end
                delivered[tp] = [batch]
        return delivered

    async def _seek_wait(self, consumer: Any, partitions: Mapping[TP, int]) -> None:
        self.fetch_from.update({TP(*tp): offset for tp, offset in partitions.items()})
        await super()._seek_wait(consumer, partitions)

    async def take_gaps(self) -> list[Gap]:
        """Return the gaps before the records fetched since the last call, and an open one for each idle partition.

        A partition is idle where nothing of it is fetched and not delivered. Runs in this thread, so that no fetch
        comes between.
        """
        gaps, self._gaps = self._gaps, []
        buffered = {TP(*tp) for tp in self._ensure_consumer()._fetcher._records}  # noqa: SLF001 - see agents/kafka/internals.py
        sources = self.consumer.delivery.sources
        for tp, offset in self.fetch_from.items():
            if tp.topic in sources and tp not in buffered:
                gaps.append(Gap(tp, offset, None))
        return gaps
