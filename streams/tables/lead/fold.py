"""The fold of a lead's row: enter at `LeadFold.contact`, which applies one fact of topic `contacts`.

Each branch reads the same way: make room (`retention`), compute the contributions that the change can affect
(`affected`), change the state (`merge`), compute them again, and return the difference as deltas. The most frequent
fact, a further leg, has a shorter way (`fast_append`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from streams.calendars import LocalTime
from streams.contract.events import (
    ActivityLogged,
    CallAnnotated,
    CrmEvents,
    DealDeleted,
    DealStageChanged,
    LeadConsulted,
    LeadLinked,
    Rejection,
)
from streams.contract.facts import MAX_HOPS, Attention, Contact, ContactsFact, Forwarded, Linked, Moved
from streams.settings.settings import Economics, Results, Thresholds
from streams.tables.changelog import LayoutError
from streams.tables.lead import affected, contributions, fast_append, mapping, merge, retention
from streams.tables.lead.codec import pack, unpack
from streams.tables.lead.contributions import Contribution, Totals
from streams.tables.lead.deltas import Difference, ManagerDelta, deltas_of, merged
from streams.tables.lead.effect import LeadEffect
from streams.tables.lead.policy import LeadPolicy
from streams.tables.lead.records import DELETED, KIND_MASK, Activity, DealChange, LeadLeg, note_version, start_order
from streams.tables.lead.row import LeadRow
from streams.tables.lead.state import DEFINITION, LeadState
from streams.tables.lead.summary import LeadSummary

_APPLIED: Final = LeadEffect("applied")
_DUPLICATE: Final = LeadEffect("duplicate")
_NOT_A_FACT: Final = LeadEffect(
    "rejected",
    rejection=Rejection("invalid_field", "not a fact of this release; the topic is written by callpulse alone"),
)
_TO_ITSELF: Final = Rejection("invalid_field", "`old_key` is the lead itself")


def refusal(event: CrmEvents) -> Rejection | None:
    """Return why the fold refuses an event that the contract allows; None for an event that it accepts."""
    return _TO_ITSELF if isinstance(event, LeadLinked) and event.old_key == event.lead else None


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
            return _DUPLICATE
        if state.definition != DEFINITION:
            return self._redefined(row, fact, src, seq)
        if isinstance(fact, Contact):
            effect = self._leg(row, fact.lead, fact, src, seq, 0)
        elif isinstance(fact, Forwarded):
            effect = self._forwarded(row, fact, src, seq)
        elif isinstance(fact, Moved):
            effect = self._moved(row, fact, src, seq)
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
        difference = Difference(fact.lead, self._new_summary(row), self._policy)
        difference.before(contributions.ALL)
        state.definition = DEFINITION
        difference.after(contributions.ALL, self._new_summary(row))
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
            return self._note(row, lead, event)
        if isinstance(event, DealStageChanged):
            change, folded = mapping.change_of(event, self._policy)
            return self._deal(row, lead, event.deal, change, folded)
        if isinstance(event, DealDeleted):
            return self._deal(row, lead, event.deal, DealChange(event.at, event.id, DELETED), ())
        if isinstance(event, LeadConsulted):
            return self._consult(row, lead, event)
        return self._activity(row, lead, event)

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
            return _APPLIED
        moved = Moved(src=src, seq=seq, lead=fact.to, state=_records_of(state), hops=1)
        difference = Difference(fact.lead, self._summary(row), self._policy)
        difference.before(contributions.ALL)
        merge.clear_records(state)
        difference.after(contributions.ALL, self._new_summary(row))
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
            difference = Difference(fact.lead, self._summary(row), self._policy)
            difference.before(contributions.CURRENT)
            retention.keep_only(state, union)
            difference.after(contributions.CURRENT, self._new_summary(row))
            dropped = difference.deltas()
        difference = Difference(fact.lead, self._summary(row), self._policy)
        difference.before(contributions.ALL)
        merge.replace_records(state, union)
        difference.after(contributions.ALL, self._new_summary(row))
        return LeadEffect("applied", merged(dropped, difference.deltas()))

    def _leg(self, row: LeadRow, lead: str, contact: Contact, src: str, seq: int, hops: int) -> LeadEffect:
        state = row.state
        if state.linked_to and hops < MAX_HOPS:
            return self._forward(state, contact.at, src, seq, hops, contact=contact)
        state.heard_at = max(state.heard_at, contact.at)
        leg = mapping.leg_of(contact)
        if contact.withdrawn or state.tombstones or leg.call in state.notes or _has(state, leg):
            return self._other_leg(row, lead, leg, withdrawn=contact.withdrawn)
        if not state.legs and not (state.notes or state.deals or state.activities or state.forgotten):
            return self._first_leg(row, lead, leg)
        dropped = self._make_room(row, lead)
        summary = self._summary(row)
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
        summary = self._summary(row)
        row.state.legs.append(leg)
        summary.update_legs()
        owner = leg.manager
        changes = [
            (measure, day, n)
            for component in affected.BY_FIRST_LEG
            for _, measure, day, n, _, _ in component(summary, self._policy)
        ]
        listed = contributions.attention(summary, self._policy)
        return LeadEffect("applied", deltas_of({owner: changes}, lead, (owner, None), (owner, listed)))

    def _hand_over(self, row: LeadRow, lead: str, leg: LeadLeg) -> tuple[ManagerDelta, ...]:
        """Add a new leg without a note that started last: its manager becomes the owner."""
        summary = self._summary(row)
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
        dropped = self._make_room(row, lead)
        difference = Difference(lead, self._summary(row), self._policy)
        difference.before(contributions.ALL)
        if withdrawn:
            merge.withdraw_leg(row.state, leg)
        else:
            merge.add_leg(row.state, leg)
        difference.after(contributions.ALL, self._new_summary(row))
        return LeadEffect("applied", merged(dropped, difference.deltas()))

    def _note(self, row: LeadRow, lead: str, event: CallAnnotated) -> LeadEffect:
        note, folded = mapping.note_of(event, self._policy)
        state = row.state
        old = state.notes.get(event.call)
        if old is not None and note_version(old) >= note_version(note):
            return _DUPLICATE if note_version(old) == note_version(note) else _APPLIED
        dropped = self._make_room(row, lead)
        summary = self._summary(row)
        components = affected.by_note(summary, event.call, note, old)
        difference = Difference(lead, summary, self._policy)
        difference.before(components)
        merge.add_note(state, event.call, note)
        summary.update_notes()
        difference.after(components, summary)
        return LeadEffect("applied", merged(dropped, difference.deltas()), folded=folded)

    def _deal(self, row: LeadRow, lead: str, deal: str, change: DealChange, folded: tuple[str, ...]) -> LeadEffect:
        state = row.state
        if any(other.id == change.id for other in state.deals.get(deal, ())):
            return _DUPLICATE
        dropped = self._make_room(row, lead)
        summary = self._summary(row)
        components = affected.by_deal(summary)
        difference = Difference(lead, summary, self._policy)
        difference.before(components)
        merge.add_change(state, deal, change)
        summary.update_deal(deal, self._policy)
        difference.after(components, summary)
        return LeadEffect("applied", merged(dropped, difference.deltas()), folded=folded)

    def _consult(self, row: LeadRow, lead: str, event: LeadConsulted) -> LeadEffect:
        state = row.state
        if event.at <= state.consulted_at:
            return _DUPLICATE if event.at == state.consulted_at else _APPLIED
        summary = self._summary(row)
        difference = Difference(lead, summary, self._policy)
        difference.before(affected.BY_CONSULTATION)
        state.consulted_at = event.at
        difference.after(affected.BY_CONSULTATION, summary)
        return LeadEffect("applied", difference.deltas())

    def _activity(self, row: LeadRow, lead: str, event: ActivityLogged) -> LeadEffect:
        state = row.state
        if any(activity.id == event.id for activity in state.activities):
            return _DUPLICATE
        dropped = self._make_room(row, lead)
        summary = self._summary(row)
        difference = Difference(lead, summary, self._policy)
        difference.before(affected.BY_ACTIVITY)
        merge.add_activity(state, Activity(event.at, event.id, event.channel, event.manager or ""))
        difference.after(affected.BY_ACTIVITY, summary)
        return LeadEffect("applied", merged(dropped, difference.deltas()))

    # -- the summary of a row

    def _summary(self, row: LeadRow) -> LeadSummary:
        """Return the summary of the present state: the one that the last fold left, if there is one."""
        summary = row.summary
        if summary is None:
            summary = row.summary = LeadSummary(row.state, self._policy)
        return summary

    def _new_summary(self, row: LeadRow) -> LeadSummary:
        """Return a summary computed anew, after a change that no `update_...` of the summary covers."""
        row.summary = None
        return self._summary(row)

    def _make_room(self, row: LeadRow, lead: str) -> tuple[ManagerDelta, ...]:
        """Drop records if one more would exceed a bound; return the deltas of that."""
        state = row.state
        if not retention.must_forget(state, 1):
            return ()
        difference = Difference(lead, self._summary(row), self._policy)
        difference.before(contributions.CURRENT)
        retention.make_room(state, 1)
        difference.after(contributions.CURRENT, self._new_summary(row))
        return difference.deltas()


def _has(state: LeadState, leg: LeadLeg) -> bool:
    call = leg.call
    for other in state.legs:  # noqa: SIM110 - twice as fast as `any` for the few legs that a lead has
        if other.call == call and other.manager == leg.manager:
            return True
    return False


def _records_of(state: LeadState) -> bytes:
    """Return the records of a lead as bytes, without its source positions and its link."""
    records = LeadState()
    records.definition = 1  # a worker of the release before can read it; it does not matter for records
    merge.replace_records(records, state)
    return pack(records)
