"""Events and contacts in the terms of a lead's state: what a leg, a note or a change of a deal is kept as.

Values that the settings do not name are folded here, and named: an unknown stage or reason becomes "other", and a
currency, an amount or a moment that nothing can be counted by is kept and counts nothing.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Final, TypeAlias

from streams.contract.events import CallAnnotated, DealStageChanged
from streams.contract.facts import Contact
from streams.settings.results import OTHER
from streams.tables.lead.records import ANSWERED, CONVERSATION, KINDS, OUTBOUND, UNKNOWN, Change, Leg, Note
from streams.tables.lead.summary import FARTHEST_DUE_MS, MAX_THOUSANDTHS, Rules

Folded: TypeAlias = tuple[str, ...]
"""The fields that were folded."""

_KINDS: Final = {kind: place for place, kind in enumerate(KINDS)}


def leg_of(contact: Contact) -> Leg:
    """Return the leg that a contact tells of."""
    flags = _KINDS.get(contact.kind, UNKNOWN)
    if contact.direction == "outbound":
        flags |= OUTBOUND
    if contact.answered:
        flags |= ANSWERED
    if contact.conversation:
        flags |= CONVERSATION
    talk_ms = contact.talk_ms
    return Leg(
        contact.call,
        contact.manager,
        contact.day,
        contact.at,
        contact.started_at,
        flags,
        -1 if talk_ms is None else talk_ms,
        contact.seq,
    )


def note_of(event: CallAnnotated, rules: Rules) -> tuple[Note, Folded]:
    """Return the note that an event makes, and which of its fields were folded."""
    folded = []
    stages: tuple[str, ...] = ()
    if event.stages:
        ranks = rules.ranks
        stages = tuple(sorted({stage for stage in event.stages if stage in ranks}, key=ranks.__getitem__))
        if not rules.stages.issuperset(event.stages):
            folded.append("stage")
    reason = event.reason or ""
    if reason and reason not in rules.reasons:
        reason = OTHER
        folded.append("reason")
    step = event.next_step
    agreed = step is not None and step.agreed
    due_at = 0
    if step is not None and agreed and step.due_at is not None:
        due_at = step.due_at
        if due_at > event.at + FARTHEST_DUE_MS:
            folded.append("due_at")
    kind = UNKNOWN if event.kind is None else _KINDS[event.kind]
    note = Note(event.revision, event.at, event.id, event.manager or "", kind, stages, reason, agreed, due_at)
    return note, tuple(folded)


def change_of(event: DealStageChanged, rules: Rules) -> tuple[Change, Folded]:
    """Return the change of a deal that an event tells of, and which of its fields were folded."""
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


def _thousandths(amount: Decimal) -> int:
    return int((amount * 1000).to_integral_value(ROUND_HALF_UP))
