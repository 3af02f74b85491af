"""`callpulse reconcile --every`: repeated rounds over the days that have ended, so that late records change them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from agents.cli.common import UserError
from agents.cli.reconcile.comparing import compare, since
from agents.cli.reconcile.records import RecordFiles, read
from agents.kafka.clients import KafkaUnusableError
from streams.calendars import manager_time
from streams.settings.settings import Settings
from streams.units import SECOND_MS

if TYPE_CHECKING:
    from agents.gateway.service import Service

log: Final = logging.getLogger("callpulse")

PROCESS: Final = "reconcile"
"""The folder of the process's spool."""
_AGAIN_S: Final = 60.0


class Rounds:
    """Reconciles the days that have ended, at once and then every `every_s` seconds. `days` is the number of days.

    A round that fails is tried again a minute later; `trouble` is the reason in words.
    """

    def __init__(
        self,
        settings: Settings,
        files: RecordFiles,
        *,
        days: int,
        every_s: float,
        tolerance_ms: int,
        repair: bool,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._files = files
        self._days = days
        self._every_s = every_s
        self._tolerance_ms = tolerance_ms
        self._repair = repair
        self._clock = clock
        self._sent: set[str] = set()
        self.trouble = "no day was reconciled yet"
        self.done = 0

    def why_not_ready(self) -> list[str]:
        """Return in words why days are not reconciled; an empty list when they are."""
        return [self.trouble] if self.trouble else []

    async def run(self) -> None:
        """Go on until the task is cancelled."""
        while True:
            wait_s = self._every_s
            try:
                await self.round()
            except (KafkaUnusableError, UserError) as error:
                wait_s = min(_AGAIN_S, self._every_s)
                if str(error) != self.trouble:
                    log.warning("days are not reconciled, trying again: %s", error)
                self.trouble = str(error)
            await asyncio.sleep(wait_s)

    async def round(self) -> None:
        """Reconcile once. Raises KafkaUnusableError, and UserError for files that cannot be read."""
        from agents.kafka.reconciliations import store  # noqa: PLC0415 - slow to import

        now_ms = int(self._clock() * SECOND_MS)
        days = ended_days(self._settings, now_ms, self._days)
        since_ms = since(self._settings, days)
        records = await asyncio.to_thread(
            read, self._files, self._settings, days, since_ms, self._tolerance_ms, lambda _count: None
        )
        done = await compare(
            self._settings,
            days,
            records,
            now_ms,
            to_send=lambda end: self._repair and end.id not in self._sent,
        )
        self._sent.update(end.id for end in done.sent)
        results = [one.result for one in done.after]
        await store(self._settings.kafka, results)
        self.trouble = ""
        self.done += 1
        log.info(
            "%d days of managers reconciled with %s of %s: %d final, %d ends sent",
            len(results),
            records.name,
            records.source,
            sum(result.is_final for result in results),
            len(done.sent),
        )


def ended_days(settings: Settings, now_ms: int, count: int) -> Sequence[int]:
    """Return the last local days that have ended, `count` of each zone, as days since 1970-01-01."""
    zones = {settings.timezone: "", **{manager.timezone: name for name, manager in settings.managers.items()}}
    todays = {manager_time(settings, manager).day(now_ms) for manager in zones.values()}
    return sorted({today - back for today in todays for back in range(1, count + 1)})


async def serve(service: Service, rounds: Rounds) -> None:
    """Reconcile in the background of a process of the way in, until a signal ends it."""
    service.not_ready_while(rounds.why_not_ready)
    service.background(rounds.run())
    await service.run()
