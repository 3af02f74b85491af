"""One comparison of records with counted legs, the ends that are missing, and the results in Kafka."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial

from msgspec import Struct

from streams.calendars import manager_time
from streams.contract import topics
from streams.contract.events import CallEnded, encode
from streams.settings.settings import Settings
from streams.sources.reconciled import FoundDay, find
from streams.sources.reconciliation import Records
from streams.units import DAY_MS, HOUR_MS

_ANY_ZONE_MS = 14 * HOUR_MS


class Compared(Struct):
    """The findings, the ends that were sent, and the findings after that."""

    found: list[FoundDay]
    sent: list[CallEnded]
    after: list[FoundDay]


def since(settings: Settings, days: Collection[int]) -> int:
    """Return the first moment at which an event of the days may have arrived: a leg may begin before its day."""
    return min(days) * DAY_MS - _ANY_ZONE_MS - settings.thresholds.max_call_ms - settings.thresholds.future_ms


async def compare(
    settings: Settings,
    days: Sequence[int],
    records: Records,
    now_ms: int,
    *,
    to_send: Callable[[CallEnded], bool] = lambda _: False,
    advance: Callable[..., None] = lambda _count, _expected=0: None,
) -> Compared:
    """Compare records of days with the counted legs, and send the missing ends that `to_send` selects.

    Raises KafkaUnusableError.
    """
    from agents.kafka.counted import counted_legs  # noqa: PLC0415 - slow to import

    async def look() -> list[FoundDay]:
        counted = await counted_legs(settings, since(settings, days), advance)
        return find(days, counted, records, settings.managers, partial(manager_time, settings), now_ms)

    found = await look()
    sent = [end for one in found for end in one.repairs if to_send(end)]
    if not sent:
        return Compared(found, [], found)
    await _send(settings, sent)
    return Compared(found, sent, await look())


async def _send(settings: Settings, repairs: Sequence[CallEnded]) -> None:
    from agents.kafka.clients import full_name  # noqa: PLC0415 - slow to import
    from agents.kafka.producer import BatchProducer  # noqa: PLC0415 - as above

    async with BatchProducer(settings.kafka) as producer:
        for end in repairs:
            await producer.add(full_name(settings.kafka, topics.CALLS), end.manager.encode(), encode(end))
