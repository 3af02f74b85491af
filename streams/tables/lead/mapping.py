"""The mapping at both ends of the fold: events and contacts to records of a lead, and deltas to outcomes.

Values that the settings do not name are folded here, and the field is reported: an unknown stage or reason becomes
"other"; a currency, an amount or a due time that cannot be read or counted contributes nothing.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Final, TypeAlias

from streams.contract.events import KINDS_AND_UNKNOWN, CallAnnotated, DealDeleted, DealStageChanged
from streams.contract.facts import Contact, Outcome
from streams.contract.money import read_amount, read_currency
from streams.settings.results import OTHER
from streams.tables.lead.deltas import ManagerDelta
from streams.tables.lead.policy import FARTHEST_DUE_MS, MAX_THOUSANDTHS, LeadPolicy
from streams.tables.lead.records import (
    DELETED,
    FLAG_ANSWERED,
    FLAG_CONVERSATION,
    FLAG_OUTBOUND,
    UNKNOWN_KIND,
    DealChange,
    LeadLeg,
    Note,
)

Folded: TypeAlias = tuple[str, ...]
"""The names of the fields that were folded."""

_KIND_INDEX: Final = {kind: index for index, kind in enumerate(KINDS_AND_UNKNOWN)}


def leg_of(contact: Contact) -> LeadLeg:
    """Return the leg that a contact describes."""
    flags = _KIND_INDEX.get(contact.kind, UNKNOWN_KIND)
    if contact.direction == "outbound":
        flags |= FLAG_OUTBOUND
    if contact.answered:
        flags |= FLAG_ANSWERED
    if contact.conversation:
        flags |= FLAG_CONVERSATION
    talk_ms = contact.talk_ms
    return LeadLeg(
        contact.call,
        contact.manager,
        contact.day,
        contact.at,
        contact.started_at,
        flags,
        -1 if talk_ms is None else talk_ms,
        contact.seq,
    )


def note_of(event: CallAnnotated, policy: LeadPolicy) -> tuple[Note, Folded]:
    """Return the note of an annotation, and the fields that were folded."""
    folded = []
    stages: tuple[str, ...] = ()
    if event.stages:
        ranks = policy.ranks
        named = [policy.stage(name) for name in event.stages]
        stages = tuple(
            sorted({stage for stage in named if stage is not None and stage in ranks}, key=ranks.__getitem__)
        )
        if None in named:
            folded.append("stage")
    reason = ""
    if event.reason:
        known_reason = policy.reason(event.reason)
        if known_reason is None:
            folded.append("reason")
        reason = OTHER if known_reason is None else known_reason
    step = event.next_step
    agreed = step is not None and step.agreed
    due_at = 0
    if step is not None and agreed and step.due_at is not None:
        due_at = step.due_at
        if due_at > event.at + FARTHEST_DUE_MS:
            folded.append("due_at")
    kind = UNKNOWN_KIND if event.kind is None else _KIND_INDEX[event.kind]
    note = Note(event.revision, event.at, event.id, event.manager or "", kind, stages, reason, agreed, due_at)
    return note, tuple(folded)


def change_of(event: DealStageChanged | DealDeleted, policy: LeadPolicy) -> tuple[DealChange, Folded]:
    """Return the deal change of an event, and the fields that were folded."""
    if isinstance(event, DealDeleted):
        return DealChange(event.at, event.id, DELETED), ()
    folded = []
    stage = policy.stage(event.stage)
    if stage is None:
        stage = OTHER
        folded.append("stage")
    currency: str | None = None
    if event.currency is not None:
        # Without this, an amount without a readable currency would take the currency of an earlier change.
        currency = read_currency(event.currency) or OTHER
        if currency not in policy.currencies:
            folded.append("currency")
    amount: int | None = None
    if event.amount is not None:
        decimal = read_amount(event.amount)
        if decimal is not None:
            amount = _thousandths(decimal)
        if amount is None or abs(amount) > MAX_THOUSANDTHS:
            folded.append("amount")
    change = DealChange(
        event.at,
        event.id,
        stage,
        event.manager,
        amount,
        currency,
        event.product,
        event.channel,
        event.client_type,
    )
    return change, tuple(folded)


def _thousandths(amount: Decimal) -> int:
    return int((amount * 1000).to_integral_value(ROUND_HALF_UP))


def outcomes_of(deltas: tuple[ManagerDelta, ...], src: str, seq: int) -> list[Outcome]:
    """Return the outcomes that carry `deltas` to the managers, one per manager.

    `src` and `seq` are the topic partition and the position of the record whose fold made the deltas.
    """
    return [
        Outcome(src=src, seq=seq, manager=manager, changes=changes, attention=attention)
        for manager, changes, attention in deltas
    ]
