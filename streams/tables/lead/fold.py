"""The fold of a lead's row: begin with `LeadFold.contact`, which applies one fact of topic `contacts`.

Each branch has the same steps: make room (`retention`), compute the contributions that the change can affect
(`affected`), change the state (`merge`), compute them again, and return the difference as deltas. The most frequent
fact, a further leg, has a faster path (`fast_append`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from streams.calendars import LocalTime
from streams.contract.events import (
    CallAnnotated,
    CrmEvents,
    DealDeleted,
    DealStageChanged,
    LeadConsulted,
    LeadLinked,
    Rejection,
)
from streams.contract.facts import (
    MAX_HOPS,
    RESERVED,
    Attention,
    Contact,
    ContactsFact,
    Deal,
    Forgotten,
    Forwarded,
    Linked,
    Moved,
    deal_key,
)
from streams.settings.settings import Economics, Results, Thresholds
from streams.tables.changelog import LayoutError
from streams.tables.lead import (
    affected,
    changes,
    contributions,
    deals,
    fast_append,
    forgetting,
    mapping,
    merge,
    retention,
)
from streams.tables.lead.changes import make_room, new_summary, summary_of
from streams.tables.lead.codec import pack, unpack
from streams.tables.lead.contributions import Contribution, Totals
from streams.tables.lead.deltas import Difference, ManagerDelta, deltas_of, merged
from streams.tables.lead.effect import APPLIED, DUPLICATE, LeadEffect
from streams.tables.lead.policy import LeadPolicy
from streams.tables.lead.records import (
    KIND_MASK,
    LeadLeg,
    start_order,
)
from streams.tables.lead.row import LeadRow
from streams.tables.lead.state import DEFINITION, LeadState
from streams.tables.lead.summary import LeadSummary

_NOT_A_FACT: Final = LeadEffect(
    "rejected",
    rejection=Rejection("invalid_field", "not a fact of this release; the topic is written by callpulse alone"),
)
_TO_ITSELF: Final = Rejection("invalid_field", "`old_key` is the lead itself")
_RESERVED_NAME: Final = Rejection("invalid_field", "the name of a lead or source has the control character U+001F")
_NOT_A_LEAD: Final = LeadEffect("rejected", rejection=_RESERVED_NAME)


def refusal(event: CrmEvents) -> Rejection | None:
    """Return the reason why the fold refuses an event that the contract allows; None for an event that it accepts."""
    if event.lead.startswith(RESERVED):
        return _RESERVED_NAME
    if isinstance(event, LeadLinked):
        if event.old_key == event.lead:
            return _TO_ITSELF
        return _RESERVED_NAME if event.old_key.startswith(RESERVED) else None
    return _RESERVED_NAME if isinstance(event, (DealStageChanged, DealDeleted)) and RESERVED in event.source else None


class LeadFold:
    """Folds facts into lead rows, by the settings. `local` returns the local time of a manager by id."""

    def __init__(
        self, results: Results, thresholds: Thresholds, economics: Economics, local: Callable[[str], LocalTime]
    ) -> None:
        self._policy = LeadPolicy(results, thresholds, economics, local)

    # -- reading a row

    def contributions(self, state: LeadState) -> Iterator[Contribution]:
        """Yield all contributions of a lead, with their evidence."""
        return contributions.contributions(LeadSummary(state, self._policy), self._policy)

    def totals(self, state: LeadState) -> Totals:
        """Return the sums of the contributions: (manager, measure, day) → n."""
        return contributions.totals(LeadSummary(state, self._policy), self._policy)

    def attention(self, state: LeadState) -> tuple[str, Attention] | None:
        """Return the manager in whose list of leads that need help the lead is, and its entry; None if in none."""
        summary = LeadSummary(state, self._policy)
        listed = contributions.attention(summary, self._policy)
        return None if listed is None else (summary.owner, listed)

    # -- folding a fact

    def contact(self, row: LeadRow, fact: ContactsFact, src: str, seq: int) -> LeadEffect:
        """Apply a fact that topic `contacts` holds at position (`src`, `seq`). `row` is the row of `fact.lead`.

        A fact whose own `seq` is not above the highest one applied from its own `src` is a duplicate.
        """
        state = row.state
        applied = state.applied
        if fact.seq <= applied.get(fact.src, -1):
            return DUPLICATE
        if state.definition != DEFINITION:
            return self._redefined(row, fact, src, seq)
        if isinstance(fact, Contact):
            effect = self._leg(row, fact.lead, fact, src, seq, 0)
        elif isinstance(fact, Forwarded):
            effect = self._forwarded(row, fact, src, seq)
        elif isinstance(fact, Moved):
            effect = self._moved(row, fact, src, seq)
        elif isinstance(fact, Deal):
            effect = deals.of_lead(row, fact, self._policy, src, seq)
        elif isinstance(fact, Forgotten):
            effect = forgetting.forget(row, fact.lead, self._policy, src, seq)
        else:
            effect = self._linked(row, fact, src, seq)
        if effect.outcome == "applied":
            applied[fact.src] = fact.seq
            state.revision += 1
        return effect

    def _redefined(self, row: LeadRow, fact: ContactsFact, src: str, seq: int) -> LeadEffect:
        """Apply a fact to a row whose contributions were emitted by an older definition, and correct them with it."""
        state = row.state
        definition = state.definition
        difference = Difference(fact.lead, new_summary(row, self._policy), self._policy)
        difference.before(contributions.ALL)
        state.definition = DEFINITION
        difference.after(contributions.ALL, new_summary(row, self._policy))
        effect = self.contact(row, fact, src, seq)
        if effect.outcome != "applied":  # nothing is emitted then, so the row stays as it was
            state.definition = definition
            row.summary = None
            return effect
        deltas = merged(difference.deltas(), effect.deltas)
        return LeadEffect("applied", deltas, effect.facts, None, effect.folded, link_ignored=effect.link_ignored)

    # -- facts

    def _forwarded(self, row: LeadRow, fact: Forwarded, src: str, seq: int) -> LeadEffect:
        if fact.event is None:
            if fact.contact is None:
                return _NOT_A_FACT
            return self._leg(row, fact.lead, fact.contact, src, seq, fact.hops)
        if fact.lead.startswith(RESERVED):
            event = fact.event
            if isinstance(event, (DealStageChanged, DealDeleted)) and fact.lead == deal_key(event.source, event.deal):
                return deals.of_deal(row, fact.lead, event, self._policy, src, seq)
            return _NOT_A_FACT
        return self._event(row, fact.lead, fact.event, src, seq, fact.hops)

    def _event(self, row: LeadRow, lead: str, event: CrmEvents, src: str, seq: int, hops: int) -> LeadEffect:  # noqa: PLR0911 - one return per type of event
        if isinstance(event, LeadLinked):
            refused = refusal(event)
            if refused is not None:
                return LeadEffect("rejected", rejection=refused)
            # A lead that was linked itself does not pass this on: the old key follows the chain link by link.
            link = Linked(src=src, seq=seq, lead=event.old_key, to=lead, at=event.at, id=event.id)
            return LeadEffect("applied", facts=(link,))
        state = row.state
        if state.linked_to and hops < MAX_HOPS:
            return self._forward(state, event.at, src, seq, hops, event=event)
        state.heard_at = max(state.heard_at, event.at)
        if isinstance(event, CallAnnotated):
            return changes.note(row, lead, event, self._policy)
        if isinstance(event, (DealStageChanged, DealDeleted)):
            return deals.of_older_group(row, lead, event, self._policy)
        if isinstance(event, LeadConsulted):
            return changes.consultation(row, lead, event, self._policy)
        return changes.activity(row, lead, event, self._policy)

    def _forward(
        self,
        state: LeadState,
        at_ms: int,
        src: str,
        seq: int,
        hops: int,
        *,
        contact: Contact | None = None,
        event: CrmEvents | None = None,
    ) -> LeadEffect:
        state.heard_at = max(state.heard_at, at_ms)
        to = state.linked_to
        return LeadEffect(
            "applied", facts=(Forwarded(src=src, seq=seq, lead=to, contact=contact, event=event, hops=hops + 1),)
        )

    def _linked(self, row: LeadRow, fact: Linked, src: str, seq: int) -> LeadEffect:
        state = row.state
        if fact.to == fact.lead:
            return LeadEffect("rejected", rejection=_TO_ITSELF)
        if state.linked_to:
            return LeadEffect("applied", link_ignored=fact.to != state.linked_to)
        state.heard_at = max(state.heard_at, fact.at)
        state.linked_to = fact.to
        if state.is_empty:
            return APPLIED
        moved = Moved(src=src, seq=seq, lead=fact.to, state=_records_of(state), hops=1)
        difference = Difference(fact.lead, summary_of(row, self._policy), self._policy)
        difference.before(contributions.ALL)
        merge.clear_records(state)
        difference.after(contributions.ALL, new_summary(row, self._policy))
        return LeadEffect("applied", difference.deltas(), (moved,))

    def _moved(self, row: LeadRow, fact: Moved, src: str, seq: int) -> LeadEffect:
        state = row.state
        try:
            other = unpack(fact.state)
        except (LayoutError, msgspec.MsgspecError, UnicodeDecodeError):
            return _NOT_A_FACT
        if state.linked_to and fact.hops < MAX_HOPS:
            state.heard_at = max(state.heard_at, other.heard_at)
            onward = Moved(src=src, seq=seq, lead=state.linked_to, state=fact.state, hops=fact.hops + 1)
            return LeadEffect("applied", facts=(onward,))
        union = unpack(pack(state))
        merge.merge(union, other)
        dropped: tuple[ManagerDelta, ...] = ()
        if retention.must_forget(union, 0):
            retention.make_room(union, 0)
            difference = Difference(fact.lead, summary_of(row, self._policy), self._policy)
            difference.before(contributions.CURRENT)
            retention.keep_only(state, union)
            difference.after(contributions.CURRENT, new_summary(row, self._policy))
            dropped = difference.deltas()
        difference = Difference(fact.lead, summary_of(row, self._policy), self._policy)
        difference.before(contributions.ALL)
        merge.replace_records(state, union)
        difference.after(contributions.ALL, new_summary(row, self._policy))
        return LeadEffect("applied", merged(dropped, difference.deltas()))

    def _leg(self, row: LeadRow, lead: str, contact: Contact, src: str, seq: int, hops: int) -> LeadEffect:
        state = row.state
        if not state.legs and lead.startswith(RESERVED):
            return _NOT_A_LEAD
        if state.linked_to and hops < MAX_HOPS:
            return self._forward(state, contact.at, src, seq, hops, contact=contact)
        state.heard_at = max(state.heard_at, contact.at)
        leg = mapping.leg_of(contact)
        if contact.withdrawn or state.tombstones or leg.call in state.notes or _has(state, leg):
            return self._other_leg(row, lead, leg, withdrawn=contact.withdrawn)
        if not state.legs and not (state.notes or state.deals or state.activities or state.forgotten):
            return self._first_leg(row, lead, leg)
        dropped = make_room(row, lead, self._policy)
        summary = summary_of(row, self._policy)
        deltas: tuple[ManagerDelta, ...] | None = None
        if fast_append.is_append(summary, leg):
            deltas = fast_append.append(lead, summary, self._policy, leg)
        elif state.legs and start_order(leg) > start_order(state.legs[-1]):
            deltas = self._hand_over(row, lead, leg)
        if deltas is not None:
            return LeadEffect("applied", merged(dropped, deltas))
        effect = self._other_leg(row, lead, leg, withdrawn=False)
        return LeadEffect("applied", merged(dropped, effect.deltas)) if dropped else effect

    def _first_leg(self, row: LeadRow, lead: str, leg: LeadLeg) -> LeadEffect:
        """Add the first leg of a lead without other records: it had no contributions before."""
        summary = summary_of(row, self._policy)
        row.state.legs.append(leg)
        summary.update_legs()
        owner = leg.manager
        added = [
            (measure, day, n)
            for component in affected.BY_FIRST_LEG
            for _, measure, day, n, _, _ in component(summary, self._policy)
        ]
        listed = contributions.attention(summary, self._policy)
        return LeadEffect("applied", deltas_of({owner: added}, lead, (owner, None), (owner, listed)))

    def _hand_over(self, row: LeadRow, lead: str, leg: LeadLeg) -> tuple[ManagerDelta, ...]:
        """Add a new leg without a note that started last: its manager becomes the owner."""
        summary = summary_of(row, self._policy)
        components = affected.by_hand_over(summary)
        difference = Difference(lead, summary, self._policy)
        difference.before(components)
        row.state.legs.append(leg)
        summary.update_legs()
        difference.after(components, summary)
        difference.add(contributions.one_leg(leg, leg.flags & KIND_MASK, self._policy))
        return difference.deltas()

    def _other_leg(self, row: LeadRow, lead: str, leg: LeadLeg, *, withdrawn: bool) -> LeadEffect:
        """Add or withdraw a leg that may affect every component."""
        dropped = make_room(row, lead, self._policy)
        difference = Difference(lead, summary_of(row, self._policy), self._policy)
        difference.before(contributions.ALL)
        if withdrawn:
            merge.withdraw_leg(row.state, leg)
        else:
            merge.add_leg(row.state, leg)
        difference.after(contributions.ALL, new_summary(row, self._policy))
        return LeadEffect("applied", merged(dropped, difference.deltas()))


def _has(state: LeadState, leg: LeadLeg) -> bool:
    call = leg.call
    for other in state.legs:  # noqa: SIM110 - twice as fast as `any` for the few legs that a lead has
        if other.call == call and other.manager == leg.manager:
            return True
    return False


def _records_of(state: LeadState) -> bytes:
    """Return the records of a lead as bytes, without its source positions and its link."""
    records = LeadState()
    records.definition = 1  # a worker of the previous release can read it; for records the definition has no effect
    merge.replace_records(records, state)
    return pack(records)
