"""The lines of a scrape about reconciled days, of the managers whose partitions the worker owns.

The worker exports them because one worker owns a manager at a time, and it is there whether or not anything takes
events in or compares records. They change seldom, so they are kept from scrape to scrape.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

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

_KEPT_MS: Final = MINUTE_MS


class ReconciliationLines:
    """Writes what the ledger holds. `partition_for` gives the partition of a manager's key."""

    def __init__(self, ledger: Ledger, partition_for: Callable[[bytes], int]) -> None:
        self.ledger = ledger
        self._partition_for = partition_for
        self._made_of: tuple[object, ...] = ()
        self._texts: list[bytes] = []

    def texts(self, managers: Managers, now_ms: int) -> list[bytes]:
        """Return the lines of each metric of `RECONCILIATION_METRICS`, in their order."""
        owned = managers.partitions()
        made_of = (self.ledger.version, tuple(owned), now_ms // _KEPT_MS)
        if made_of != self._made_of:
            self._texts, self._made_of = self._write(managers, frozenset(owned), now_ms), made_of
        return self._texts

    def _write(self, managers: Managers, owned: frozenset[int], now_ms: int) -> list[bytes]:
        lines: dict[str, list[str]] = {metric.name: [] for metric in RECONCILIATION_METRICS}
        for manager in self.ledger.managers():
            key = manager.encode()
            if self._partition_for(key) not in owned:
                continue
            entry = managers.entry(key)
            standing = self.ledger.standing(manager, entry.blank.local.day(now_ms))
            if standing is not None:
                _add(lines, f'manager="{escape(manager)}",team="{escape(entry.team)}"', standing)
        return ["".join(lines[metric.name]).encode() for metric in RECONCILIATION_METRICS]


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
