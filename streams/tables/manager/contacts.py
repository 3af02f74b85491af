"""The fact that a finished leg sends to its lead."""

from __future__ import annotations

from streams.contract.facts import Contact
from streams.tables.manager.effect import LegChange
from streams.tables.manager.row import ManagerRow


def contact_of(row: ManagerRow, change: LegChange, src: str, seq: int, conversation_ms: int) -> Contact:
    """Return the contact that `change` of a leg of `row` means for the leg's lead.

    `src` and `seq` name the record that caused it and its place among what that record emits. An answered leg with a
    talk of `conversation_ms` or more is a conversation.
    """
    leg = change.finished
    lead = leg.lead
    assert lead is not None  # noqa: S101 - a fold emits changes of legs with a lead only
    answered = leg.disposition == "answered"
    return Contact(
        src=src,
        seq=seq,
        lead=lead,
        manager=row.id,
        call=change.call,
        day=row.local.day(leg.at),
        at=leg.at,
        started_at=leg.started_at,
        direction=leg.direction,
        kind=leg.kind or "unknown",
        disposition=leg.disposition,
        answered=answered,
        conversation=answered and leg.talk_ms >= conversation_ms,
        talk_ms=None if leg.talk_ms < 0 else leg.talk_ms,
        withdrawn=change.withdrawn,
    )
