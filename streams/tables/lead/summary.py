"""The summary of a lead: its owner, the state of its deals, its latest progress. It is derived and never stored.

`contributions` computes the lead's contributions to the figures of managers from a summary.
"""

from __future__ import annotations

from typing import final

from mypy_extensions import mypyc_attr

from streams.contract.facts import deal_id
from streams.settings.results import LOST, NONE, WON
from streams.tables.lead.merge import noted_legs
from streams.tables.lead.policy import LeadPolicy
from streams.tables.lead.records import (
    DELETED,
    FLAG_ANSWERED,
    FLAG_CONVERSATION,
    FLAG_OUTBOUND,
    KIND_MASK,
    UNKNOWN_KIND,
    DealChange,
    LeadLeg,
    Note,
)
from streams.tables.lead.state import LeadState


@final
@mypyc_attr(acyclic=True)
class DealState:
    """The state of a deal after all its changes.

    `key` is the deal's in the lead's state, `id` the one that the CRM gave it.
    `changes` are in the order in which they apply. `reached` has, per rank of the funnel, the time at which the deal
    reached it; ranks that were taken back are absent. `since` is the time of the first change of the present run of
    `stage`, `changed` the sort key of the newest change. Each attribute has the newest value that a change gave, "none"
    or None if no change gave one.
    """

    __slots__ = (
        "amount",
        "changed",
        "changes",
        "channel",
        "client_type",
        "currency",
        "id",
        "is_deleted",
        "key",
        "manager",
        "product",
        "reached",
        "since",
        "stage",
    )

    def __init__(  # noqa: C901 - one branch per attribute
        self, deal: str, changes: list[DealChange], ranks: dict[str, int]
    ) -> None:
        self.key = deal
        self.id = deal_id(deal)
        self.changes = changes
        self.reached: list[int] = []
        self.manager = ""
        self.amount: int | None = None
        self.currency: str | None = None
        self.product = self.client_type = self.channel = NONE
        self.stage = ""
        self.since = 0
        reached = self.reached
        for change in changes:
            if change.stage == DELETED:
                continue  # a later change brings the deal back as it was
            if change.stage != self.stage:
                self.stage = change.stage
                self.since = change.at
            rank = ranks.get(change.stage)
            if rank is not None:
                # Index is rank: a deal that enters a stage has reached all lower ones by then.
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
        self.is_deleted = newest.stage == DELETED

    @property
    def is_closed(self) -> bool:
        """True if the deal was won or lost."""
        return self.stage in (WON, LOST)


@final
@mypyc_attr(acyclic=True)
class LeadSummary:
    """A lead as figures count it. All attributes follow from the state.

    After a change of the state, the matching `update_...` method brings the summary up to date. Each of them computes
    only what that kind of change can affect.

    The contributions of a row are emitted by the definition of `state.definition`. In definition 1, calls on closed
    leads counted like those on open ones, and changes of a deal at the same time were ordered by the event id.
    """

    __slots__ = (
        "counts_if_closed",
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

    def __init__(self, state: LeadState, policy: LeadPolicy) -> None:
        self.state = state
        self.noted = noted_legs(state) if state.notes else []
        self.counts_if_closed = state.definition == 1
        deals = [self._deal(deal, policy) for deal in state.deals]
        self.deals = {deal.key: deal for deal in deals if not deal.is_deleted}
        self.progress_at = 0
        self.lead_deal: DealState | None = None
        self.is_open = True
        if self.deals:
            self._choose_deal()
        if self.noted or self.deals:
            self.progress_at = self._progress()
        self.update_legs()

    def update_legs(self) -> None:
        """Update after a change of the legs. A leg that is new must not have a note."""
        legs = self.legs = self.state.legs
        if legs:
            self.owner = legs[-1].manager
            first: LeadLeg | None = legs[0]
            self.first = first
            kind = legs[0].flags & KIND_MASK
            if kind == UNKNOWN_KIND and self.noted:
                kind = next((note.kind for leg, note in self.noted if leg is first), UNKNOWN_KIND)
            self.first_kind = kind
        else:
            self.owner = ""
            self.first = None
            self.first_kind = UNKNOWN_KIND

    def update_notes(self) -> None:
        """Update after a change of the notes."""
        self.noted = noted_legs(self.state)
        self.progress_at = self._progress()
        self.update_legs()

    def update_deal(self, deal: str, policy: LeadPolicy) -> None:
        """Update after a change of one deal, or after its removal."""
        deal_state = self._deal(deal, policy) if deal in self.state.deals else None
        if deal_state is None or deal_state.is_deleted:
            self.deals.pop(deal, None)
        else:
            self.deals[deal] = deal_state
        self._choose_deal()
        self.progress_at = self._progress()

    def _deal(self, deal: str, policy: LeadPolicy) -> DealState:
        changes = self.state.deals[deal]
        return DealState(deal, changes if self.state.definition == 1 else policy.in_order(changes), policy.ranks)

    @property
    def counts_as_open(self) -> bool:
        """True if the calls on the lead count among those on open leads."""
        return self.is_open or self.counts_if_closed

    def _choose_deal(self) -> None:
        deals = self.deals.values()
        if not deals:
            self.is_open = True
            self.lead_deal = None
            return
        open_deals = [deal for deal in deals if not deal.is_closed]
        self.is_open = bool(open_deals)
        self.lead_deal = max(open_deals or deals, key=_change_order)

    @property
    def stage(self) -> str:
        """The stage of the lead's deal, "none" if it has no deal."""
        return NONE if self.lead_deal is None else self.lead_deal.stage

    @property
    def stage_since(self) -> int:
        """The moment at which the lead entered its stage, ms. Without a deal it is the end of the first leg."""
        if self.lead_deal is not None:
            return self.lead_deal.since
        return 0 if self.first is None else self.first.at

    def _progress(self) -> int:
        """Return the time of the latest progress, by a note or by a deal; 0 if there was none."""
        last = 0
        named: set[str] = set()
        for leg, note in self.noted:
            if note.agreed or not named.issuperset(note.stages):
                last = leg.at  # the pairs are in order
            named.update(note.stages)
        for deal in self.deals.values():
            if deal.reached and deal.reached[-1] > last:
                last = deal.reached[-1]
        return last

    def conversations_since(self, at_ms: int) -> int:
        """Return the number of conversations that ended after a time."""
        count = 0
        for leg in self.legs:
            if leg.flags & FLAG_CONVERSATION and leg.at > at_ms:
                count += 1
        return count

    def stage_at(self, at_ms: int) -> str:
        """Return the stage at a time: that of the deal that had changed last by then, "none" if no deal had."""
        newest: tuple[int, str, str] = (0, "", "")
        stage = NONE
        for deal, deal_state in self.deals.items():
            for change in reversed(deal_state.changes):
                if change.at <= at_ms and change.stage != DELETED:
                    if (change.at, change.id, deal) > newest:
                        newest = change.at, change.id, deal
                        stage = change.stage
                    break
        return stage

    def is_kept(self, leg: LeadLeg, end_ms: int) -> bool:
        """Return whether the lead was contacted or dialled after the end of `leg` and before `end_ms`."""
        after = leg.at
        return any(reaches(other, after, end_ms) for other in self.legs) or any(
            after < activity.at < end_ms for activity in self.state.activities
        )


def reaches(leg: LeadLeg, after_ms: int, end_ms: int) -> bool:
    """Return whether `leg` started between two times and was dialled or answered."""
    return after_ms < leg.started_at < end_ms and bool(leg.flags & (FLAG_OUTBOUND | FLAG_ANSWERED))


def kind_of(leg: LeadLeg, note: Note | None) -> int:
    """Return the index of the leg's kind: that of the call's events, otherwise that of the note."""
    kind = leg.flags & KIND_MASK
    return note.kind if kind == UNKNOWN_KIND and note is not None else kind


def _change_order(deal: DealState) -> tuple[int, str, str]:
    return deal.changed
