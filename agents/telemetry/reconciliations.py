"""The lines of a scrape about reconciled days, of the managers whose partitions the worker owns.

The worker exports them because one worker owns a manager at a time, and it runs whether or not other processes take
events in or compare records. They change seldom, so they are kept from scrape to scrape.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple

from agents.telemetry.labels import escape
from agents.telemetry.managers import Managers
from streams.metrics.reconciliation import (
    FINAL_UNTIL,
    PROVISIONAL_DAYS,
    RECONCILED_LEGS,
    RECONCILED_TALK_DIFFERENCE,
    RECONCILED_UNTIL,
    RECONCILIATION_METRICS,
)
from streams.sources.reconciled import RESULTS, Ledger, Standing
from streams.units import MINUTE_MS, SECOND_MS


class _Kept(NamedTuple):
    """The lines of a manager by metric, and the results that they were made of."""

    version: int
    today: int
    lines: tuple[str, ...]


class ReconciliationLines:
    """Writes the results of the ledger. `partition_for` returns the partition of a manager's key."""

    def __init__(self, ledger: Ledger, partition_for: Callable[[bytes], int]) -> None:
        self.ledger = ledger
        self._partition_for = partition_for
        self._partitions: dict[str, int] = {}
        self._kept: dict[str, _Kept] = {}
        self._kept_of: tuple[object, ...] = ()
        self._texts: list[bytes] = []
        self._texts_of: tuple[object, ...] = ()

    async def prepare(self, managers: Managers, now_ms: int, slice_s: float) -> None:
        """Bring the lines up to date, and yield to the event loop after each slice.

        They change with a result, and when a day begins somewhere.
        """
        kept_of = (self.ledger.version, now_ms // MINUTE_MS)
        if kept_of == self._kept_of:
            return
        deadline = time.perf_counter() + slice_s
        for manager in list(self.ledger.managers()):
            if time.perf_counter() > deadline:
                await asyncio.sleep(0)
                deadline = time.perf_counter() + slice_s
            entry = managers.entry(manager.encode())
            version, today = self.ledger.version_of(manager), entry.blank.local.day(now_ms)
            kept = self._kept.get(manager)
            if kept is None or (kept.version, kept.today) != (version, today):
                labels = f'manager="{escape(manager)}",team="{escape(entry.team)}"'
                standing = self.ledger.standing(manager, today)
                self._kept[manager] = _Kept(version, today, () if standing is None else _lines(labels, standing))
        self._kept_of = kept_of

    def texts(self, managers: Managers) -> list[bytes]:
        """Return the lines of each metric of `RECONCILIATION_METRICS`, in their order, of partitions owned now."""
        owned = managers.partitions()
        texts_of = (self._kept_of, *owned)
        if texts_of != self._texts_of:
            own = [
                kept.lines for manager, kept in self._kept.items() if kept.lines and self._partition(manager) in owned
            ]
            columns = zip(*own, strict=True)
            self._texts = ["".join(column).encode() for column in columns] or [b""] * len(RECONCILIATION_METRICS)
            self._texts_of = texts_of
        return self._texts

    def _partition(self, manager: str) -> int:
        partition = self._partitions.get(manager)
        if partition is None:
            partition = self._partitions[manager] = self._partition_for(manager.encode())
        return partition


def _lines(labels: str, standing: Standing) -> tuple[str, ...]:
    """Return the text of each metric."""
    lines: dict[str, list[str]] = {metric.name: [] for metric in RECONCILIATION_METRICS}
    _add(lines, labels, standing)
    return tuple("".join(lines[metric.name]) for metric in RECONCILIATION_METRICS)


def _add(lines: dict[str, list[str]], labels: str, standing: Standing) -> None:
    lines[PROVISIONAL_DAYS.name].append(f"{PROVISIONAL_DAYS.full_name}{{{labels}}} {standing.provisional}\n")
    if standing.final is not None:
        until_s = standing.final.until / SECOND_MS
        lines[FINAL_UNTIL.name].append(f"{FINAL_UNTIL.full_name}{{{labels}}} {until_s}\n")
    for result in standing.newest:
        of = f'{labels},source="{escape(result.source)}"'
        lines[RECONCILED_LEGS.name] += [
            f'{RECONCILED_LEGS.full_name}{{{of},result="{kind}"}} {getattr(result, kind)}\n' for kind in RESULTS
        ]
        for metric, ms in (
            (RECONCILED_TALK_DIFFERENCE, result.talk_difference_ms),
            (RECONCILED_UNTIL, result.until),
        ):
            lines[metric.name].append(f"{metric.full_name}{{{of}}} {ms / SECOND_MS}\n")
