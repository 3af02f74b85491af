"""What the facts of a lead come to: whose it is, how its deals stand, what was progress, and whether help is due.

A `Story` is derived from a state by the rules of the settings and never kept; `contributions` says of it what counts
for whom.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from mypy_extensions import mypyc_attr

from streams.calendars import MAX_SLOTS, SLOT_MS, LocalTime
from streams.settings.results import LOST, NONE, PRESENTATION, PROPOSAL, WON
from streams.settings.settings import Economics, Results, Thresholds
from streams.tables.lead.merge import noted_legs
from streams.tables.lead.records import ANSWERED, CONVERSATION, KIND, OUTBOUND, UNKNOWN, Change, Leg, Note
from streams.tables.lead.state import LeadState
from streams.units import DAY_MS, MINUTE_MS

FARTHEST_DUE_MS: Final = 400 * DAY_MS
"""A next step that is due later than this after its leg is a slip of the pen; nobody is held to it."""
MAX_THOUSANDTHS: Final = 10**15
"""An amount beyond 10^12 is no deal of a sales department that works by phone."""
_REMEMBERED: Final = 1 << 16


class Rules:
    """The settings, as the fold of leads asks for them. `local` gives the local time of a manager."""

    def __init__(
        self, results: Results, thresholds: Thresholds, economics: Economics, local: Callable[[str], LocalTime]
    ) -> None:
        self.ranks: dict[str, int] = {stage: rank for rank, stage in enumerate(results.stages) if stage != LOST}
        self.stages = frozenset(results.stages)
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
        self._minutes: dict[str, dict[int, int]] = {}  # by zone and slot

    def local(self, manager: str) -> LocalTime:
        """Return the local time of a manager."""
        local = self._locals.get(manager)
        if local is None:
            if len(self._locals) >= _REMEMBERED:
                self._locals.clear()
            local = self._locals[manager] = self._local(manager)
        return local

    def day(self, manager: str, at_ms: int) -> int:
        """Return the manager's local day of a moment."""
        return self.local(manager).day_hour(at_ms)[0]

    def is_off_hours(self, manager: str, at_ms: int) -> bool:
        """Tell whether the manager's clock shows a time outside the permitted hours."""
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


@final
@mypyc_attr(acyclic=True)
class Standing:
    """How a deal stands after all its changes.

    `reached` holds, rank by rank, when the deal came to it and has not been taken back since; `since` is the moment of
    the first change of the current run of the same stage; `changed` orders deals by their newest change. Attributes are
    the newest that were given, "none" and None where there is none.
    """

    __slots__ = (
        "amount",
        "changed",
        "channel",
        "client_type",
        "currency",
        "id",
        "manager",
        "product",
        "reached",
        "since",
        "stage",
    )

    def __init__(  # noqa: C901 - a branch each attribute
        self, deal: str, changes: list[Change], ranks: dict[str, int]
    ) -> None:
        self.id = deal
        self.reached: list[int] = []
        self.manager = ""
        self.amount: int | None = None
        self.currency: str | None = None
        self.product = self.client_type = self.channel = NONE
        self.stage = ""
        self.since = 0
        reached = self.reached
        for change in changes:
            if change.stage != self.stage:
                self.stage = change.stage
                self.since = change.at
            rank = ranks.get(change.stage)
            if rank is not None:
                # What is reached always begins at the lowest rank, so its length says how far the deal has come.
                if rank < len(reached):
                    del reached[rank + 1 :]
                else:
                    reached.extend([change.at] * (rank + 1 - len(reached)))
            if change.manager is not None:
                self.manager = change.manager
            if change.amount is not None:
                self.amount = change.amount
            if change.currency is not None:
                self.currency = change.currency
            if change.product is not None:
                self.product = change.product
            if change.client_type is not None:
                self.client_type = change.client_type
            if change.channel is not None:
                self.channel = change.channel
        newest = changes[-1]
        self.changed = newest.at, newest.id, deal

    @property
    def is_closed(self) -> bool:
        """Whether the deal was won or lost."""
        return self.stage in (WON, LOST)


@final
@mypyc_attr(acyclic=True)
class Story:
    """A lead as its managers see it. All of it follows from the state.

    After a change of the state the story is brought up to it by `tell_legs`, `tell_notes` or `tell_deal`, whichever
    kind of thing has changed; each leaves what it cannot touch.
    """

    __slots__ = (
        "deals",
        "first",
        "first_kind",
        "is_open",
        "lead_deal",
        "legs",
        "noted",
        "owner",
        "progress_at",
        "state",
    )

    def __init__(self, state: LeadState, rules: Rules) -> None:
        self.state = state
        self.noted = noted_legs(state) if state.notes else []
        ranks = rules.ranks
        self.deals = {deal: Standing(deal, changes, ranks) for deal, changes in state.deals.items()}
        self.progress_at = 0
        self.lead_deal: Standing | None = None
        self.is_open = True
        if self.deals:
            self._choose_deal()
        if self.noted or self.deals:
            self.progress_at = self._progress()
        self.tell_legs()

    def tell_legs(self) -> None:
        """Take in which legs there are; none of those that are new has a note."""
        legs = self.legs = self.state.legs
        if legs:
            self.owner = legs[-1].manager
            first: Leg | None = legs[0]
            self.first = first
            kind = legs[0].flags & KIND
            if kind == UNKNOWN and self.noted:
                kind = next((note.kind for leg, note in self.noted if leg is first), UNKNOWN)
            self.first_kind = kind
        else:
            self.owner = ""
            self.first = None
            self.first_kind = UNKNOWN

    def tell_notes(self) -> None:
        """Take in what was noted."""
        self.noted = noted_legs(self.state)
        self.progress_at = self._progress()
        self.tell_legs()

    def tell_deal(self, deal: str, rules: Rules) -> None:
        """Take in the changes of a deal."""
        self.deals[deal] = Standing(deal, self.state.deals[deal], rules.ranks)
        self._choose_deal()
        self.progress_at = self._progress()

    def _choose_deal(self) -> None:
        deals = self.deals.values()
        still_open = [deal for deal in deals if not deal.is_closed]
        self.is_open = bool(still_open)
        self.lead_deal = max(still_open or deals, key=_changed)

    @property
    def stage(self) -> str:
        """The stage of the lead's deal, "none" without one."""
        return NONE if self.lead_deal is None else self.lead_deal.stage

    @property
    def stage_since(self) -> int:
        """When the lead came to its stage: for one without a deal, the end of the first leg."""
        if self.lead_deal is not None:
            return self.lead_deal.since
        return 0 if self.first is None else self.first.at

    def _progress(self) -> int:
        """Return the last moment at which anything came of a call or a deal moved, 0 without any."""
        last = 0
        named: set[str] = set()
        for leg, note in self.noted:
            if note.agreed or not named.issuperset(note.stages):
                last = leg.at  # they are in order
            named.update(note.stages)
        for deal in self.deals.values():
            if deal.reached and deal.reached[-1] > last:
                last = deal.reached[-1]
        return last

    def conversations_since(self, at_ms: int) -> int:
        """Return the conversations that ended after a moment."""
        count = 0
        for leg in self.legs:
            if leg.flags & CONVERSATION and leg.at > at_ms:
                count += 1
        return count

    def stage_at(self, at_ms: int) -> str:
        """Return the stage of the deal that changed last up to a moment, as it was then; "none" without one."""
        newest: tuple[int, str, str] = (0, "", "")
        stage = NONE
        for deal, changes in self.state.deals.items():
            for change in reversed(changes):
                if change.at <= at_ms:
                    if (change.at, change.id, deal) > newest:
                        newest = change.at, change.id, deal
                        stage = change.stage
                    break
        return stage

    def is_kept(self, leg: Leg, end_ms: int) -> bool:
        """Tell whether the lead was reached, or dialled, after `leg` and before a moment."""
        after = leg.at
        return any(reaches(other, after, end_ms) for other in self.legs) or any(
            after < activity.at < end_ms for activity in self.state.activities
        )


def reaches(leg: Leg, after_ms: int, end_ms: int) -> bool:
    """Tell whether the lead was reached, or dialled, by a leg that began between two moments."""
    return after_ms < leg.started_at < end_ms and bool(leg.flags & (OUTBOUND | ANSWERED))


def kind_of(leg: Leg, note: Note | None) -> int:
    """Return the place of the leg's kind in KINDS: what was said beforehand, else what was noted."""
    kind = leg.flags & KIND
    return note.kind if kind == UNKNOWN and note is not None else kind


def _changed(deal: Standing) -> tuple[int, str, str]:
    return deal.changed
