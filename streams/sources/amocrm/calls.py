"""Notes of calls, which integrations of telephone systems write: each becomes one `call.ended`.

A note has the length of the call and the moment at which it was written, soon after the end. So the end is taken as
that moment, and the beginning as the end minus the length.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from streams.contract.events import LONGEST_MS, CallEnded, Direction, Disposition
from streams.sources.amocrm.rows import Note
from streams.sources.amocrm.settings import NAME
from streams.sources.frame import Refused
from streams.sources.numbers import Numbers
from streams.sources.people import Heard, People
from streams.units import SECOND_MS

_DIRECTIONS: Final[Mapping[str, Direction]] = MappingProxyType({"call_in": "inbound", "call_out": "outbound"})
_STATUSES: Final[Mapping[int, Disposition]] = MappingProxyType(
    {1: "voicemail", 2: "answered", 3: "no_answer", 4: "answered", 5: "failed", 6: "no_answer", 7: "busy"}
)
"""`call_status`: a message was left, call back later, absent, a conversation, a wrong number, not reached, busy."""


def ended(note: Note, people: People, numbers: Numbers, secret: bytes) -> CallEnded | Refused | None:
    """Return the end of the call of a note, the reason why there is none, or None for a note of another kind."""
    direction = _DIRECTIONS.get(note.note_type)
    if direction is None:
        return None
    params = note.params if isinstance(note.params, dict) else {}
    talk_ms = _span(params.get("duration"))
    if talk_ms is None:
        return Refused(reason="invalid_field", detail="the duration of a call is none", where="notes")
    status = params.get("call_status")
    disposition = _STATUSES.get(_status(status), "answered" if talk_ms else "no_answer")
    is_answered = disposition in ("answered", "voicemail")
    at_ms = note.created_at * SECOND_MS
    phone = params.get("phone")
    user = note.responsible_user_id or note.created_by
    try:
        return CallEnded(
            v=1,
            id=f"{NAME}:call:{note.id}",
            at=at_ms,
            source=NAME,
            call=f"note-{note.id}",
            manager=people.resolve(NAME, Heard(user=str(user) if user else "")).manager,
            lead=numbers.lead(str(phone), secret) if isinstance(phone, str | int) else None,
            direction=direction,
            started_at=at_ms - talk_ms,
            answered_at=at_ms - talk_ms if is_answered else None,
            talk_ms=talk_ms if is_answered else 0,
            disposition=disposition,
            ended_by="cdr",
        )
    except ValueError:
        return Refused(reason="invalid_time", detail="the moments of a call cannot be", where="notes")


def _span(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= len(str(LONGEST_MS)):
        value = int(value)
    if value is None:
        return 0
    is_span = isinstance(value, int) and not isinstance(value, bool) and 0 <= value * SECOND_MS <= LONGEST_MS
    return value * SECOND_MS if is_span else None


def _status(value: Any) -> int:
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) == 1 else 0
