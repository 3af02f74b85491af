"""The facts that a finished leg sends: to its lead, and to its transcript."""

from __future__ import annotations

from streams.contract.facts import Contact
from streams.contract.features import SpokenLeg
from streams.tables.manager.effect import LegChange
from streams.tables.manager.row import ManagerRow


def contact_of(row: ManagerRow, change: LegChange, src: str, seq: int, conversation_ms: int) -> Contact:
    """Return the contact for the lead of a leg of `row`, made of the leg's `change`.

    `src` and `seq` name the record that caused it and its place among what that record emits. An answered leg with a
    talk of `conversation_ms` or more is a conversation.
    """
    leg = change.finished
    lead = leg.lead
    assert lead is not None  # noqa: S101 - the caller passes legs with a lead only
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


def spoken_leg_of(row: ManagerRow, change: LegChange, src: str, seq: int, conversation_ms: int) -> SpokenLeg:
    """Return the fact for the transcript of an answered leg of `row`, made of `change`; the rest as in `contact_of`."""
    leg = change.finished
    return SpokenLeg(
        src=src,
        seq=seq,
        manager=row.id,
        call=change.call,
        day=row.local.day(leg.at),
        at=leg.at,
        direction=leg.direction,
        kind=leg.kind or "unknown",
        lead=leg.lead,
        conversation=leg.talk_ms >= conversation_ms,
        talk_ms=max(0, leg.talk_ms),
        withdrawn=change.withdrawn,
    )
