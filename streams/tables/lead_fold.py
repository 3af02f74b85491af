"""The fold of a lead's row: what comes over topic `contacts` changes what is known, and what is told is the difference.

What a fact changes is told as the claims after it less the claims before it. Most facts can change few of them, so only
those components are looked at that the fact may touch; which they are is the one thing here that must be right, and
tests hold it against the plain definition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from decimal import ROUND_HALF_UP, Decimal
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import Struct

from streams.calendars import LocalTime
from streams.events import (
    ActivityLogged,
    CallAnnotated,
    CrmEvents,
    DealStageChanged,
    LeadConsulted,
    LeadLinked,
    Rejection,
)
from streams.facts import MAX_HOPS, Attention, Contact, ContactsFact, Forwarded, Linked, Moved
from streams.settings import Economics, Results, Thresholds
from streams.settings_results import OTHER
from streams.tables import lead_claims as of
from streams.tables import lead_state as known
from streams.tables.lead_claims import Claim, Component, Contribution
from streams.tables.lead_codec import LeadRow, pack, unpack
from streams.tables.lead_state import Activity, Change, LeadState, Leg, Note
from streams.tables.lead_story import FARTHEST_DUE_MS, MAX_THOUSANDTHS, Rules, Story
from streams.tables.records import LayoutError

Changes: TypeAlias = tuple[tuple[str, int, int], ...]
"""(measure, day, difference), for `windows.Steps`."""
Listing: TypeAlias = dict[str, Attention | None]
Told: TypeAlias = tuple[str, Changes, Listing]
"""A manager, and what goes into `Outcome.changes` and `Outcome.attention` for that manager."""

MAX_ROW_BYTES: Final = 256 * 1024
"""A row beyond it forgets more than the bounds ask for: what moves it to another lead must fit into a record."""
_MANY_THINGS: Final = 64
_KINDS: Final = {kind: place for place, kind in enumerate(known.KINDS)}


class LeadEffect(Struct, frozen=True, gc=False):
    """What folding a fact did.

    `told` is for managers, one entry each; `sent` are facts for the rows of other leads. A fact that is rejected, or a
    duplicate, changed nothing. `folded` names the fields whose values were taken as "other" or left out; `link_ignored`
    is set where a lead that was linked before was linked to yet another.
    """

    outcome: Literal["applied", "duplicate", "rejected"]
    told: tuple[Told, ...] = ()
    sent: tuple[Linked | Moved | Forwarded, ...] = ()
    rejection: Rejection | None = None
    folded: tuple[str, ...] = ()
    link_ignored: bool = False


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
        if effect.outcome != "rejected":
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
            if event.at <= state.consulted_at:
                return _DUPLICATE if event.at == state.consulted_at else _APPLIED

            def consult() -> None:
                state.consulted_at = event.at

            return LeadEffect("applied", self._change(row, lead, (of.standing,), consult))
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
        if _forget(union, 0):
            known.keep_only(state, union)
            row.known = None
        return LeadEffect("applied", self._change(row, fact.lead, of.EVERYTHING, lambda: known.become(state, union)))

    def _leg(self, row: LeadRow, lead: str, contact: Contact, src: str, seq: int, hops: int) -> LeadEffect:
        state = row.state
        if state.linked_to and hops < MAX_HOPS:
            return self._pass_on(state, contact.at, src, seq, hops, contact=contact)
        state.heard_at = max(state.heard_at, contact.at)
        leg = _leg_of(contact)
        if (
            contact.withdrawn
            or len(state.legs) >= known.MAX_LEGS
            or leg.call in state.notes
            or state.gone
            or state.forgotten
            or any(other.call == leg.call and other.manager == leg.manager for other in state.legs)
        ):
            self._make_room(row)

            def apply() -> None:
                (known.withdraw_leg if contact.withdrawn else known.add_leg)(state, leg)

            return LeadEffect("applied", self._change(row, lead, of.EVERYTHING, apply))
        return LeadEffect("applied", self._new_leg(row, lead, leg))

    def _new_leg(self, row: LeadRow, lead: str, leg: Leg) -> tuple[Told, ...]:
        """Add a leg that nothing is known of yet. What it cannot change is not looked at."""
        state, rules = row.state, self._rules
        story = self._story(row)
        legs = state.legs
        place = len(legs)
        begun = known.begun(leg)
        while place and known.begun(legs[place - 1]) > begun:
            place -= 1
        first = place == 0
        hands = place == len(legs) and leg.manager != story.owner
        if first and (state.notes or state.deals):
            components = of.EVERYTHING  # what was won and proposed is told by the kind of the first leg
        else:
            parts: list[Component] = [of.days, of.standing]
            if first or hands or leg.flags & known.CONVERSATION:
                parts.append(of.steps)
            if story.noted:
                parts.append(of.promises)
            if story.deals:
                parts.append(of.deals)
            if hands and state.activities:
                parts.append(of.touches)
            components = tuple(parts)
        counts: dict[tuple[str, str, int], int] = {}
        _add(counts, components, story, rules, -1)
        listed = of.attention(story, rules) if legs else None
        owner = story.owner
        legs.insert(place, leg)
        story.tell_legs()
        _add(counts, components, story, rules, 1)
        if components is not of.EVERYTHING:
            for manager, measure, day, n, _, _ in of.plain_leg(leg, rules):
                key = (manager, measure, day)
                counts[key] = counts.get(key, 0) + n
        return _told(lead, counts, owner, listed, story.owner, of.attention(story, rules))

    def _note(self, row: LeadRow, lead: str, event: CallAnnotated) -> LeadEffect:
        note, folded = self._note_of(event)
        state = row.state
        old = state.notes.get(event.call)
        if old is not None and known.rank_of(old) >= known.rank_of(note):
            return _DUPLICATE if known.rank_of(old) == known.rank_of(note) else _APPLIED
        self._make_room(row)
        # The kind of the first leg may be the one that is noted; deals are told by it.
        components = (of.standing, of.steps, of.legs, of.promises, *((of.deals,) if state.deals else ()))

        def apply() -> None:
            known.add_note(state, event.call, note)

        return LeadEffect("applied", self._change(row, lead, components, apply), folded=folded)

    def _deal(self, row: LeadRow, lead: str, event: DealStageChanged) -> LeadEffect:
        state = row.state
        if any(change.id == event.id for change in state.deals.get(event.deal, ())):
            return _DUPLICATE
        self._make_room(row)
        change, folded = self._change_of(event)
        told = self._change(
            row,
            lead,
            (of.standing, of.steps, of.noted_legs, of.deals),
            lambda: known.add_change(state, event.deal, change),
        )
        return LeadEffect("applied", told, folded=folded)

    def _activity(self, row: LeadRow, lead: str, event: ActivityLogged) -> LeadEffect:
        state = row.state
        if any(activity.id == event.id for activity in state.activities):
            return _DUPLICATE
        self._make_room(row)
        activity = Activity(event.at, event.id, event.channel, event.manager or "")
        told = self._change(row, lead, (of.promises, of.touches), lambda: known.add_activity(state, activity))
        return LeadEffect("applied", told)

    # -- how

    def _story(self, row: LeadRow) -> Story:
        """Return the story of the row as it is: the one that the last fold ended with, if there is one."""
        story = row.known
        if not isinstance(story, Story):
            story = row.known = Story(row.state, self._rules)
        return story

    def _make_room(self, row: LeadRow) -> None:
        """Forget what is over the bounds once something more comes."""
        if _forget(row.state, 1):
            row.known = None

    def _change(
        self, row: LeadRow, lead: str, components: tuple[Component, ...], apply: Callable[[], object]
    ) -> tuple[Told, ...]:
        """Change the row's state by `apply`, which can touch claims of `components` alone; return what is told."""
        rules = self._rules
        story = self._story(row)
        counts: dict[tuple[str, str, int], int] = {}
        _add(counts, components, story, rules, -1)
        listed = of.attention(story, rules)
        owner = story.owner
        row.known = None
        apply()
        story = self._story(row)
        _add(counts, components, story, rules, 1)
        return _told(lead, counts, owner, listed, story.owner, of.attention(story, rules))

    def _note_of(self, event: CallAnnotated) -> tuple[Note, tuple[str, ...]]:
        rules = self._rules
        folded = []
        stages = tuple(sorted({stage for stage in event.stages if stage in rules.ranks}, key=rules.ranks.__getitem__))
        if not rules.stages.issuperset(event.stages):
            folded.append("stage")
        reason = event.reason or ""
        if reason and reason not in rules.reasons:
            reason = OTHER
            folded.append("reason")
        step = event.next_step
        agreed = step is not None and step.agreed
        due_at = step.due_at or 0 if step is not None and agreed else 0
        if due_at > event.at + FARTHEST_DUE_MS:
            folded.append("due_at")
        kind = _KINDS["unknown" if event.kind is None else event.kind]
        manager = event.manager or ""
        return Note(event.revision, event.at, event.id, manager, kind, stages, reason, agreed, due_at), tuple(folded)

    def _change_of(self, event: DealStageChanged) -> tuple[Change, tuple[str, ...]]:
        rules = self._rules
        folded = []
        stage = event.stage
        if stage not in rules.stages:
            stage = OTHER
            folded.append("stage")
        if event.currency is not None and event.currency not in rules.currencies:
            folded.append("currency")
        amount = None if event.amount is None else _thousandths(event.amount)
        if amount is not None and abs(amount) > MAX_THOUSANDTHS:
            folded.append("amount")
        change = Change(
            event.at,
            event.id,
            stage,
            event.manager,
            amount,
            event.currency,
            event.product,
            event.channel,
            event.client_type,
        )
        return change, tuple(folded)


def _leg_of(contact: Contact) -> Leg:
    flags = _KINDS.get(contact.kind, known.UNKNOWN)
    if contact.direction == "outbound":
        flags |= known.OUTBOUND
    if contact.answered:
        flags |= known.ANSWERED
    if contact.conversation:
        flags |= known.CONVERSATION
    talk_ms = -1 if contact.talk_ms is None else contact.talk_ms
    return Leg(contact.call, contact.manager, contact.day, contact.at, contact.started_at, flags, talk_ms, contact.seq)


def _thousandths(amount: Decimal) -> int:
    return int((amount * 1000).to_integral_value(ROUND_HALF_UP))


def _contents(state: LeadState) -> bytes:
    """Return what is known of the lead, but not where facts came from and what the key was linked to."""
    return pack(msgspec.structs.replace(state, revision=0, applied={}, linked_to=""))


def _forget(state: LeadState, more: int) -> bool:
    """Forget what is over the bounds once `more` come; tell whether anything was."""
    forgot = False
    if known.is_over(state, more):
        known.forget(state, more)
        forgot = True
    if len(state.legs) + len(state.notes) + len(state.activities) + len(state.deals) > _MANY_THINGS:
        share = 1.0
        while len(pack(state)) > MAX_ROW_BYTES and share > 0.01:  # noqa: PLR2004 - nothing is left below
            share /= 2
            known.forget(state, more, share)
            forgot = True
    return forgot


def _add(
    counts: dict[tuple[str, str, int], int], components: Iterable[Component], story: Story, rules: Rules, sign: int
) -> None:
    get = counts.get
    for component in components:
        for manager, measure, day, n, _, _ in component(story, rules):
            key = (manager, measure, day)
            counts[key] = get(key, 0) + sign * n


def _told(
    lead: str,
    counts: dict[tuple[str, str, int], int],
    owner: str,
    listed: Attention | None,
    new_owner: str,
    new_listed: Attention | None,
) -> tuple[Told, ...]:
    """Return what each manager is told: the differences, and how the lead is listed from now on if that changed."""
    by_manager: dict[str, list[tuple[str, int, int]]] = {}
    for (manager, measure, day), n in counts.items():
        if n:
            changes = by_manager.get(manager)
            if changes is None:
                by_manager[manager] = [(measure, day, n)]
            else:
                changes.append((measure, day, n))
    listings: dict[str, Listing] = {}
    if listed is not None and owner != new_owner:
        listings[owner] = {lead: None}
        listed = None
    if listed != new_listed:
        listings[new_owner] = {lead: new_listed}
    for manager in listings:
        by_manager.setdefault(manager, [])
    return tuple([(manager, tuple(changes), listings.get(manager, {})) for manager, changes in by_manager.items()])
