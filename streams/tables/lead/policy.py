"""The policy of the lead table: the part of the settings that its fold applies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from streams.calendars import MAX_SLOTS, SLOT_MS, LocalTime
from streams.settings.results import LOST, PRESENTATION, PROPOSAL, WON
from streams.settings.settings import Economics, Results, Thresholds
from streams.tables.lead.records import DELETED, DealChange
from streams.units import DAY_MS, MINUTE_MS

FARTHEST_DUE_MS: Final = 400 * DAY_MS
"""A next step that is due later than this after its leg is taken for a typing error and is not counted."""
MAX_THOUSANDTHS: Final = 10**15
"""A larger amount (above 10^12) is taken for an error and is not counted."""
_MAX_CACHED: Final = 1 << 16


class LeadPolicy:
    """The settings in the form that the fold uses. `local` returns the local time of a manager by id."""

    def __init__(
        self, results: Results, thresholds: Thresholds, economics: Economics, local: Callable[[str], LocalTime]
    ) -> None:
        self.ranks: dict[str, int] = {stage: rank for rank, stage in enumerate(results.stages) if stage != LOST}
        self.stages = frozenset(results.stages)
        # Of two changes at the same time, the later stage wins: lost after won, every stage after an unknown one. A
        # deletion comes last.
        self.stage_order: dict[str, int] = {stage: index for index, stage in enumerate((*results.stages, DELETED))}
        self._stage_by_name = {stage.casefold(): stage for stage in results.stages}
        self._reason_by_name = {reason.casefold(): reason for reason in results.reasons}
        self.presentation = self.ranks[PRESENTATION]
        self.proposal = self.ranks[PROPOSAL]
        self.won = self.ranks[WON]
        self.reasons = frozenset(results.reasons)
        self.currencies = frozenset(economics.currencies)
        self.mentor_after = results.mentor_after
        self.stuck_after = results.stuck_after
        self.least_listed = min(results.mentor_after, results.stuck_after)
        self.calls_per_day = thresholds.calls_per_lead_day
        self._permitted = results.permitted_from_minute, results.permitted_to_minute
        self._local = local
        self._locals: dict[str, LocalTime] = {}
        self._minutes: dict[str, dict[int, int]] = {}  # minute of the day, by zone and slot

    def stage(self, name: str) -> str | None:
        """Return the stage of the settings that `name` names, in any case; None if it names none."""
        return name if name in self.stages else self._stage_by_name.get(name.strip().casefold())

    def reason(self, name: str) -> str | None:
        """Return the reason of the settings that `name` names, in any case; None if it names none."""
        return name if name in self.reasons else self._reason_by_name.get(name.strip().casefold())

    def in_order(self, changes: list[DealChange]) -> list[DealChange]:
        """Return the changes of a deal, which are ordered by time, with those of the same time ordered by stage."""
        for index in range(1, len(changes)):
            if changes[index].at == changes[index - 1].at:
                return sorted(changes, key=self.change_order)
        return changes

    def change_order(self, change: DealChange) -> tuple[int, int, str]:
        """Return the key by which changes of a deal are ordered: by time, then by stage, then by the event id."""
        return change.at, self.stage_order.get(change.stage, -1), change.id

    def local(self, manager: str) -> LocalTime:
        """Return the local time of a manager."""
        local = self._locals.get(manager)
        if local is None:
            if len(self._locals) >= _MAX_CACHED:
                self._locals.clear()
            local = self._locals[manager] = self._local(manager)
        return local

    def day(self, manager: str, at_ms: int) -> int:
        """Return the manager's local day at a time in ms."""
        return self.local(manager).day_hour(at_ms)[0]

    def is_off_hours(self, manager: str, at_ms: int) -> bool:
        """Return whether a time is outside the permitted hours in the manager's zone."""
        local = self.local(manager)
        minutes = self._minutes.get(local.zone)
        if minutes is None:
            minutes = self._minutes[local.zone] = {}
        slot = at_ms // SLOT_MS
        minute = minutes.get(slot)
        if minute is None:
            if len(minutes) >= MAX_SLOTS:
                minutes.clear()
            minute = minutes[slot] = local.minute(slot * SLOT_MS)
        first, end = self._permitted
        return not first <= minute + at_ms % SLOT_MS // MINUTE_MS < end
