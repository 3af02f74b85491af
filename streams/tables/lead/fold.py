"""The fold of a lead's row: what comes over topic `contacts` changes what is known, and what is told is the difference.

What a fact changes is told as the claims after it less the claims before it. Most facts can change few of them, so only
those components are looked at that the fact may touch; which they are is the one thing here that must be right, and
tests hold it against the plain definition.
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
    DealStageChanged,
    LeadConsulted,
    LeadLinked,
    Rejection,
)
from streams.contract.facts import MAX_HOPS, Attention, Contact, ContactsFact, Forwarded, Linked, Moved
from streams.settings.settings import Economics, Results, Thresholds
from streams.tables.changelog import LayoutError
from streams.tables.lead import contributions as of
from streams.tables.lead import deltas as tell
from streams.tables.lead import fast_append as on_top
from streams.tables.lead import mapping as terms
from streams.tables.lead import merge as known
from streams.tables.lead import retention as bounds
from streams.tables.lead.codec import LeadRow, pack, unpack
from streams.tables.lead.contributions import Claim, Component, Contribution
from streams.tables.lead.deltas import Told
from streams.tables.lead.effect import LeadEffect
from streams.tables.lead.records import Activity, Leg, begun, rank_of
from streams.tables.lead.state import LeadState
from streams.tables.lead.summary import Rules, Story

_APPLIED: Final = LeadEffect("applied")
_DUPLICATE: Final = LeadEffect("duplicate")
_NOT_A_FACT: Final = LeadEffect(
    "rejected",
    rejection=Rejection("invalid_field", "not a fact of this release; the topic is written by callpulse alone"),
)
_TO_ITSELF: Final = Rejection("invalid_field", "`old_key` is the lead itself")


def refusal(event: CrmEvents) -> Rejection | None:
    """Return why an event that the contract allows says nothing of a lead; None for one that does."""
    return _TO_ITSELF if isinstance(event, LeadLinked) and event.old_key == event.lead else None


class LeadFold:
    """Folds facts into lead rows, by the settings. `local` gives the local time of a manager by id."""

    def __init__(
        self, results: Results, thresholds: Thresholds, economics: Economics, local: Callable[[str], LocalTime]
    ) -> None:
        self._rules = Rules(results, thresholds, economics, local)

    # -- what a row says

    def claims(self, state: LeadState) -> Iterator[Claim]:
        """Yield all that a lead means for managers, with the evidence."""
        return of.claims(Story(state, self._rules), self._rules)

    def contribution(self, state: LeadState) -> Contribution:
        """Return the sums of the claims: (manager, measure, day) → n."""
        return of.contribution(Story(state, self._rules), self._rules)

    def attention(self, state: LeadState) -> tuple[str, Attention] | None:
        """Return to whom the lead is listed among those that need help, and how; None where it needs none."""
        story = Story(state, self._rules)
        listed = of.attention(story, self._rules)
        return None if listed is None else (story.owner, listed)

    # -- what changes it

    def contact(self, row: LeadRow, fact: ContactsFact, src: str, seq: int) -> LeadEffect:
        """Apply what topic `contacts` holds at (`src`, `seq`); `row` is that of `fact.lead`.

        A fact at or below the `seq` that its own `src` has come to changes nothing.
        """
        state = row.state
        applied = state.applied
        if fact.seq <= applied.get(fact.src, -1):
            return _DUPLICATE
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

    def crm(self, row: LeadRow, event: CrmEvents, src: str, seq: int) -> LeadEffect:
        """Apply an event of topic `crm` that came from (`src`, `seq`); `row` is that of `event.lead`."""
        return self.contact(row, Forwarded(src=src, seq=seq, lead=event.lead, event=event), f"{src}/leads", seq)

    # -- facts

    def _forwarded(self, row: LeadRow, fact: Forwarded, src: str, seq: int) -> LeadEffect:
        if fact.event is None:
            if fact.contact is None:
                return _NOT_A_FACT
            return self._leg(row, fact.lead, fact.contact, src, seq, fact.hops)
        return self._event(row, fact.lead, fact.event, src, seq, fact.hops)

    def _event(self, row: LeadRow, lead: str, event: CrmEvents, src: str, seq: int, hops: int) -> LeadEffect:  # noqa: PLR0911 - a return for each type
        if isinstance(event, LeadLinked):
            refused = refusal(event)
            if refused is not None:
                return LeadEffect("rejected", rejection=refused)
            # Not passed on by a lead that was linked itself: the old key is told the next link of the chain.
            link = Linked(src=src, seq=seq, lead=event.old_key, to=lead, at=event.at, id=event.id)
            return LeadEffect("applied", sent=(link,))
        state = row.state
        if state.linked_to and hops < MAX_HOPS:
            return self._pass_on(state, event.at, src, seq, hops, event=event)
        state.heard_at = max(state.heard_at, event.at)
        if isinstance(event, CallAnnotated):
            return self._note(row, lead, event)
        if isinstance(event, DealStageChanged):
            return self._deal(row, lead, event)
        if isinstance(event, LeadConsulted):
            return self._consult(row, lead, event)
        return self._activity(row, lead, event)

    def _pass_on(
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
            "applied", sent=(Forwarded(src=src, seq=seq, lead=to, contact=contact, event=event, hops=hops + 1),)
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
        moved = Moved(src=src, seq=seq, lead=fact.to, state=_contents(state), hops=1)
        told = self._change(row, fact.lead, of.EVERYTHING, lambda: known.empty(state))
        return LeadEffect("applied", told, (moved,))

    def _moved(self, row: LeadRow, fact: Moved, src: str, seq: int) -> LeadEffect:
        state = row.state
        try:
            other = unpack(fact.state)
        except (LayoutError, msgspec.MsgspecError, UnicodeDecodeError):
            return _NOT_A_FACT
        if state.linked_to and fact.hops < MAX_HOPS:
            state.heard_at = max(state.heard_at, other.heard_at)
            onward = Moved(src=src, seq=seq, lead=state.linked_to, state=fact.state, hops=fact.hops + 1)
            return LeadEffect("applied", sent=(onward,))
        union = unpack(pack(state))
        known.merge(union, other)
        forgot: tuple[Told, ...] = ()
        if bounds.must_forget(union, 0):
            bounds.make_room(union, 0)
            forgot = self._forget(row, fact.lead, lambda: bounds.keep_only(state, union))
        told = self._change(row, fact.lead, of.EVERYTHING, lambda: known.become(state, union))
        return LeadEffect("applied", tell.merged(forgot, told))

    def _leg(self, row: LeadRow, lead: str, contact: Contact, src: str, seq: int, hops: int) -> LeadEffect:
        state = row.state
        if state.linked_to and hops < MAX_HOPS:
            return self._pass_on(state, contact.at, src, seq, hops, contact=contact)
        state.heard_at = max(state.heard_at, contact.at)
        leg = terms.leg_of(contact)
        legs = state.legs
        if contact.withdrawn or state.gone or leg.call in state.notes or _has(state, leg):
            return self._other_leg(row, lead, leg, withdrawn=contact.withdrawn)
        if not legs and not (state.notes or state.deals or state.activities or state.forgotten):
            return LeadEffect("applied", tell.add_first(lead, self._story(row), self._rules, leg))
        forgot = self._make_room(row, lead)
        story = self._story(row)
        if on_top.is_on_top(story, leg):
            told = on_top.add_on_top(lead, story, self._rules, leg)
            if told is not None:
                story.tell_legs()
                return LeadEffect("applied", tell.merged(forgot, told))
        elif legs and begun(leg) > begun(legs[-1]):
            return LeadEffect("applied", tell.merged(forgot, tell.add_hand_over(lead, story, self._rules, leg)))
        effect = self._other_leg(row, lead, leg, withdrawn=False)
        return LeadEffect("applied", tell.merged(forgot, effect.told)) if forgot else effect

    def _other_leg(self, row: LeadRow, lead: str, leg: Leg, *, withdrawn: bool) -> LeadEffect:
        """Add or withdraw a leg that may touch anything."""
        forgot = self._make_room(row, lead)
        state = row.state
        change = known.withdraw_leg if withdrawn else known.add_leg
        told = self._change(row, lead, of.EVERYTHING, lambda: change(state, leg))
        return LeadEffect("applied", tell.merged(forgot, told))

    def _note(self, row: LeadRow, lead: str, event: CallAnnotated) -> LeadEffect:
        note, folded = terms.note_of(event, self._rules)
        state = row.state
        old = state.notes.get(event.call)
        if old is not None and rank_of(old) >= rank_of(note):
            return _DUPLICATE if rank_of(old) == rank_of(note) else _APPLIED
        forgot = self._make_room(row, lead)
        told = tell.add_note(
            lead,
            self._story(row),
            self._rules,
            event.call,
            note,
            old,
            lambda: known.add_note(state, event.call, note),
        )
        return LeadEffect("applied", tell.merged(forgot, told), folded=folded)

    def _deal(self, row: LeadRow, lead: str, event: DealStageChanged) -> LeadEffect:
        state, rules = row.state, self._rules
        if any(change.id == event.id for change in state.deals.get(event.deal, ())):
            return _DUPLICATE
        forgot = self._make_room(row, lead)
        change, folded = terms.change_of(event, rules)
        story = self._story(row)
        components = (of.streaks, of.stages, of.reach, of.deals, *((of.said,) if story.noted else ()))

        def apply() -> Story:
            known.add_change(state, event.deal, change)
            story.tell_deal(event.deal, rules)
            return story

        told = tell.changed(lead, story, rules, components, apply)
        return LeadEffect("applied", tell.merged(forgot, told), folded=folded)

    def _consult(self, row: LeadRow, lead: str, event: LeadConsulted) -> LeadEffect:
        state = row.state
        if event.at <= state.consulted_at:
            return _DUPLICATE if event.at == state.consulted_at else _APPLIED
        story = self._story(row)

        def apply() -> Story:
            state.consulted_at = event.at
            return story

        return LeadEffect("applied", tell.changed(lead, story, self._rules, (of.streaks,), apply))

    def _activity(self, row: LeadRow, lead: str, event: ActivityLogged) -> LeadEffect:
        state = row.state
        if any(activity.id == event.id for activity in state.activities):
            return _DUPLICATE
        forgot = self._make_room(row, lead)
        story = self._story(row)
        activity = Activity(event.at, event.id, event.channel, event.manager or "")

        def apply() -> Story:
            known.add_activity(state, activity)
            return story

        told = tell.changed(lead, story, self._rules, (of.promises, of.touches), apply)
        return LeadEffect("applied", tell.merged(forgot, told))

    # -- how

    def _story(self, row: LeadRow) -> Story:
        """Return the story of the row as it is: the one that the last fold ended with, if there is one."""
        story = row.known
        if story is None:
            story = row.known = Story(row.state, self._rules)
        known_story: Story = story
        return known_story

    def _make_room(self, row: LeadRow, lead: str) -> tuple[Told, ...]:
        """Forget what is over the bounds once something more comes; return what is told of that."""
        state = row.state
        if not bounds.must_forget(state, 1):
            return ()
        return self._forget(row, lead, lambda: bounds.make_room(state, 1))

    def _forget(self, row: LeadRow, lead: str, forget: Callable[[], None]) -> tuple[Told, ...]:
        return self._change(row, lead, of.NOW, forget)

    def _change(
        self, row: LeadRow, lead: str, components: tuple[Component, ...], apply: Callable[[], object]
    ) -> tuple[Told, ...]:
        """Change the row's state by `apply`, and tell its story anew."""

        def change() -> Story:
            row.known = None
            apply()
            return self._story(row)

        return tell.changed(lead, self._story(row), self._rules, components, change)


def _has(state: LeadState, leg: Leg) -> bool:
    call = leg.call
    for other in state.legs:  # noqa: SIM110 - twice as fast as `any` for the few legs that a lead has
        if other.call == call and other.manager == leg.manager:
            return True
    return False


def _contents(state: LeadState) -> bytes:
    """Return what is known of the lead, but not where facts came from and what the key was linked to."""
    contents = LeadState()
    known.become(contents, state)
    return pack(contents)
