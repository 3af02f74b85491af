"""The expected results of calls: deals won and lost, proposals, leads given, consultations due.

They are counted lead by lead from the events that have arrived, by the definitions of docs/metrics.md. All legs and CRM
events are kept in memory, so this is for tests and not for years of history.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple, TypeAlias

from streams.calendars import local_time
from streams.contract.events import CallAnnotated, CrmEvent, DealDeleted, DealStageChanged, LeadConsulted, LeadLinked
from streams.settings.results import LOST, NONE, PROPOSAL, WON
from streams.settings.settings import Settings
from streams.simulator.telephony.legs import SimulatedLeg
from streams.simulator.truth.accounts import home
from streams.simulator.truth.leg_outcomes import LegOutcome, leg_outcome

Counts: TypeAlias = Counter[tuple[str, str, int]]
"""By manager, measure and local day (days since 1970-01-01)."""
MEASURES: Final = ("won", "won@first_kind=", "lost", "proposed", "given:", "mentor")
"""The counted measures, named as in lead rows; some names end with the kind of the lead's first call."""


class _Part(NamedTuple):
    """A finished leg, with its note."""

    leg: SimulatedLeg
    outcome: LegOutcome
    note: CallAnnotated | None

    @property
    def begun(self) -> tuple[int, str, str]:
        return self.outcome.started_at, self.leg.call, self.leg.manager

    @property
    def ended(self) -> tuple[int, str, str]:
        return self.outcome.at, self.leg.call, self.leg.manager

    @property
    def kind(self) -> str:
        return self.leg.kind or (self.note and self.note.kind) or "unknown"

    @property
    def agreed(self) -> bool:
        return self.note is not None and self.note.next_step is not None and self.note.next_step.agreed


class _Lead:
    """The part of one lead that has arrived, under all of its keys."""

    def __init__(self) -> None:
        self.legs: list[SimulatedLeg] = []
        self.notes: dict[str, CallAnnotated] = {}
        self.deals: list[list[DealStageChanged]] = []
        self.consulted_at = 0

    def add_event(self, event: CrmEvent) -> None:
        if isinstance(event, CallAnnotated):
            known = self.notes.get(event.call)
            if known is None or _rank(known) < _rank(event):
                self.notes[event.call] = event
        elif isinstance(event, LeadConsulted):
            self.consulted_at = max(self.consulted_at, event.at)


class Results:
    """Takes legs and CRM events from `Truth(settings, results=True)`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stages = settings.results.stages[:-1]
        self._legs: dict[str, list[SimulatedLeg]] = {}
        self._events: dict[str, list[CrmEvent]] = {}
        self._deals: dict[tuple[str, str], dict[str, DealStageChanged]] = {}
        self._deleted: dict[tuple[str, str], int] = {}
        self._links: dict[str, str] = {}

    def leg(self, leg: SimulatedLeg) -> None:
        """Note a leg of which the first piece has arrived."""
        if leg.lead is not None:
            self._legs.setdefault(leg.lead, []).append(leg)

    def crm(self, event: CrmEvent) -> None:
        """Note an event."""
        if isinstance(event, LeadLinked):
            self._links[event.old_key] = event.lead
        elif isinstance(event, DealStageChanged):
            self._deals.setdefault((event.source, event.deal), {})[event.id] = event
        elif isinstance(event, DealDeleted):
            deal = event.source, event.deal
            self._deleted[deal] = max(self._deleted.get(deal, 0), event.at)
        else:
            self._events.setdefault(event.lead, []).append(event)

    def counts(self, now_ms: int) -> Counts:
        """Return the expected counts at `now_ms`, by manager, measure and local day."""
        leads: dict[str, _Lead] = {}
        for key in self._legs.keys() | self._events.keys():
            lead = leads.setdefault(home(self._links, key), _Lead())
            lead.legs += self._legs.get(key, ())
            for event in self._events.get(key, ()):
                lead.add_event(event)
        for deal, by_id in self._deals.items():
            changes = sorted(by_id.values(), key=self._change_order)
            newest = changes[-1]
            if newest.at > self._deleted.get(deal, 0):
                leads.setdefault(home(self._links, newest.lead), _Lead()).deals.append(changes)
        found: Counts = Counter()
        for lead in leads.values():
            found.update(self._of(lead, now_ms))
        return found

    def _of(self, lead: _Lead, now_ms: int) -> Iterator[tuple[str, str, int]]:
        parts = self._parts(lead, now_ms)
        owner = parts[-1].leg.manager if parts else None
        first_kind = parts[0].kind if parts else NONE
        closed = bool(lead.deals)
        for ordered in lead.deals:
            stage, since = ordered[-1].stage, ordered[-1].at
            for change in reversed(ordered):
                if change.stage != stage:
                    break
                since = change.at
            closed = closed and stage in (WON, LOST)
            manager = next((change.manager for change in reversed(ordered) if change.manager is not None), owner)
            if manager is not None and stage in (WON, LOST):
                day = self._day(manager, since)
                yield manager, stage, day
                if stage == WON:
                    yield manager, f"won@first_kind={first_kind}", day
        if owner is None:
            return
        days = [self._day(part.leg.manager, part.outcome.at) for part in parts]
        for part, day in zip(parts, days, strict=True):
            if part.outcome.disposition == "answered" and part.note is not None and PROPOSAL in part.note.stages:
                yield part.leg.manager, "proposed", day
        yield owner, f"given:{first_kind}", days[0]
        if not closed and self._due(lead, parts):
            yield owner, "mentor", max(days)

    def _parts(self, lead: _Lead, now_ms: int) -> list[_Part]:
        """Return the finished legs in the order in which they began."""
        max_call_ms = self._settings.thresholds.max_call_ms
        outcome = {(leg.call, leg.manager): (leg, leg_outcome(leg, now_ms, max_call_ms)) for leg in lead.legs}
        newest: dict[str, tuple[int, str]] = {}
        for leg, end in outcome.values():
            if end is not None:
                newest[leg.call] = max(newest.get(leg.call, (0, "")), (end.started_at, leg.manager))
        parts = []
        for leg, end in outcome.values():
            if end is not None:
                note = lead.notes.get(leg.call)
                if note is not None and leg.manager != (note.manager or newest[leg.call][1]):
                    note = None
                parts.append(_Part(leg, end, note))
        return sorted(parts, key=lambda part: part.begun)

    def _due(self, lead: _Lead, parts: list[_Part]) -> bool:
        """Return whether the number of conversations since the last progress, or consultation, reaches the limit."""
        since = max([lead.consulted_at, *self._progress(lead, parts)])
        least_ms = self._settings.thresholds.conversation_ms
        talks = [
            part
            for part in parts
            if part.outcome.disposition == "answered"
            and (part.outcome.talk_ms or 0) >= least_ms
            and part.outcome.at > since
        ]
        return len(talks) >= self._settings.results.mentor_after

    def _progress(self, lead: _Lead, parts: list[_Part]) -> Iterator[int]:
        """Yield the moments of progress: a next step agreed, a stage that is new to the lead, a deal moved forward."""
        named: set[str] = set()
        for part in sorted(parts, key=lambda part: part.ended):
            stages = set() if part.note is None else set(part.note.stages).intersection(self._stages)
            if part.agreed or stages - named:
                yield part.outcome.at
            named |= stages
        for changes in lead.deals:
            reached: dict[int, int] = {}
            for change in changes:
                if change.stage in self._stages:
                    rank = self._stages.index(change.stage)
                    reached = {place: reached.get(place, change.at) for place in range(rank + 1)}
            yield from reached.values()

    def _change_order(self, change: DealStageChanged) -> tuple[int, int, str]:
        stages = self._settings.results.stages
        return change.at, stages.index(change.stage) if change.stage in stages else -1, change.id

    def _day(self, manager: str, at: int) -> int:
        return local_time(self._settings.manager(manager).timezone).day(at)


def _rank(note: CallAnnotated) -> tuple[int, int, str]:
    return note.revision, note.at, note.id
