"""Acceptance of events: the worker must accept them, and names must not be telephone numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec

from streams.contract.decoding import Decoder
from streams.contract.events import (
    TOPIC_EVENTS,
    CallAnnotated,
    CrmEvents,
    DealStageChanged,
    Event,
    Rejection,
)
from streams.phone_numbers import is_outside_number
from streams.sources.frame import Refused, Translation
from streams.tables.lead.fold import refusal

OTHER: Final = "other"
"""The replacement of a label that could be a number. The worker counts such a label as `other`, too."""
UNREADABLE: Final = "?"
"""The replacement of an unreadable amount or currency, whose text may be anything. The worker counts it as folded."""
FUTURE: Final = Rejection("future", "at is after the event's arrival by more than the setting thresholds.future")

_NAMES: Final = ("source", "manager", "to_manager", "mentor")
_KEYS: Final = ("lead", "old_key")
_IDS: Final = ("id", "call", "deal")
_LABELS: Final = ("stage", "product", "channel", "client_type", "reason")
_OPTIONAL: Final = ("team", "queue")
# Digits among letters are none: identifiers of users and containers are called b6093874285e.
_INSIDE: Final = re.compile(r"(?<![0-9A-Za-z])(?:\+\d{7}|\d{10,15}(?![0-9A-Za-z]))")
_PLUS: Final = re.compile(r"\+\d{7}|(?:tel|sips?|callto|phone):\+?\d{7,15}(?![0-9A-Za-z])", re.IGNORECASE)
_SPELLING: Final = re.compile(r"[\s()\-]")
_FEWEST_BARE: Final = 10


class Acceptance:
    """Decodes events, and refuses those that the worker would refuse, by the same reasons.

    Keeps no state between calls.
    """

    def __init__(self, future_ms: int) -> None:
        self._decode = Decoder[Event](*TOPIC_EVENTS).decode
        self._future_ms = future_ms

    def event(self, value: bytes, received_at_ms: int) -> Event | Rejection:
        """Return the event that may be stored, or the reason why there is none. Never raises."""
        event = self._decode(value)
        if isinstance(event, Rejection):
            return event
        rejection = _with_number(event) or self._refused_by_worker(event, received_at_ms)
        return rejection or _publishable(event)

    def of(self, event: Event, received_at_ms: int) -> Event | Rejection:
        """Return an event of an adapter in the form that may be stored, or a refusal."""
        return self.event(msgspec.json.encode(event), received_at_ms)

    def all(self, translation: Translation, received_at_ms: int) -> tuple[list[Event], list[Refused]]:
        """Return the events of a source that may be stored, and the refusals of the source and of the contract."""
        events: list[Event] = []
        refused = list(translation.refused)
        for number, made in enumerate(translation.events, 1):
            event = self.of(made, received_at_ms)
            if isinstance(event, Rejection):
                refused.append(Refused(reason=event.reason, detail=event.detail, where=f"event {number}"))
            else:
                events.append(event)
        return events, refused

    def _refused_by_worker(self, event: Event, received_at_ms: int) -> Rejection | None:
        if event.at > received_at_ms + self._future_ms:
            return FUTURE
        if isinstance(event, CrmEvents):
            return refusal(event)
        manager = getattr(event, "manager", "")
        return None if manager.isprintable() else Rejection("invalid_field", "`manager` has control characters")


class _Fields(NamedTuple):
    """The checked fields of a kind of event: names, keys and ids with the test for a number."""

    tested: tuple[tuple[str, Callable[[str], bool]], ...]
    labels: tuple[str, ...]
    optional: tuple[str, ...]


@lru_cache(maxsize=64)
def _fields(kind: type[Event]) -> _Fields:
    held = kind.__struct_fields__
    tests = ((_NAMES, _is_inside), (_KEYS, _is_bare), (_IDS, _has_plus))
    return _Fields(
        tested=tuple((field, test) for fields, test in tests for field in fields if field in held),
        labels=tuple(field for field in _LABELS if field in held),
        optional=tuple(field for field in _OPTIONAL if field in held),
    )


def _with_number(event: Event) -> Rejection | None:
    """Return a refusal of an event that could publish a customer's number."""
    for field, could_be_number in _fields(type(event)).tested:
        text = getattr(event, field)
        if text is not None and could_be_number(text):
            return Rejection("invalid_field", _ADVICE.get(field, _ADVICE[""]).format(field=field))
    return None


_ADVICE: Final = {
    "": "`{field}` could be a telephone number, and these must not be published",
    "lead": "`{field}` could be a telephone number: send a lead key, or the CRM's id with a word before it",
    "old_key": "`{field}` could be a telephone number: send a lead key",
}


def _publishable(event: Event) -> Event:
    """Return the event in its publishable form.

    Labels that could be numbers become `other`, such optional fields None. Unreadable amounts and currencies get a
    placeholder.
    """
    fields = _fields(type(event))
    changes: dict[str, Any] = {}
    for field in fields.labels:
        if (text := getattr(event, field)) and (_is_inside(text) or is_outside_number(text)):
            changes[field] = OTHER
    for field in fields.optional:
        if (text := getattr(event, field)) and _is_inside(text):
            changes[field] = None
    if isinstance(event, CallAnnotated) and any(map(_is_inside, event.stages)):
        changes["stages"] = tuple(OTHER if _is_inside(stage) else stage for stage in event.stages)
    if isinstance(event, DealStageChanged):
        if event.amount is not None and not isinstance(event.amount, Decimal):
            changes["amount"] = UNREADABLE
        if event.currency is not None and not _is_currency(event.currency):
            changes["currency"] = UNREADABLE
    return msgspec.structs.replace(event, **changes) if changes else event


def _is_currency(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch("[A-Z]{3}", value) is not None


def _is_inside(text: str) -> bool:
    return _INSIDE.search(text) is not None


def _is_bare(text: str) -> bool:
    """Return whether a key is a number. The CRM's ids are long numbers, too, but with a word before them."""
    digits = _SPELLING.sub("", text)
    return _has_plus(digits) or (len(digits) >= _FEWEST_BARE and digits.isdigit() and is_outside_number(digits))


def _has_plus(text: str) -> bool:
    return ("+" in text or ":" in text) and _PLUS.search(text) is not None  # most ids have neither: no search
