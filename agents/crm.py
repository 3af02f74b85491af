"""The CRM agent: events of topic `crm` go into topic `contacts`, the one way by which anything reaches a lead.

What a lead tells its managers depends on what it knew before, so whatever is told again after a crash must come of
records in the same order. Records of one partition keep their order; those of two topics do not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from faust.types import TP

from agents.delivery.intake import Intake, heard
from agents.delivery.outbox import Outbox
from streams.contract import facts
from streams.contract.decoding import Decoder
from streams.contract.events import CrmEvents, Rejection
from streams.settings.settings import Settings
from streams.tables.lead.fold import refusal

_NO_KEY = Rejection("no_key", "the key of a record of `crm` is its lead")
_WRONG_KEY = Rejection("wrong_key", "the key of a record of `crm` is its lead")
_FUTURE = Rejection("future", "at is more than 5 min after the record's arrival")


class CrmAgent:
    """Checks events of topic `crm` and passes them on to their leads."""

    def __init__(
        self, settings: Settings, intake: Intake, outbox: Outbox, place: Callable[[bytes], int], contacts: str
    ) -> None:
        self._intake = intake
        self._outbox = outbox
        self._place = place
        self._contacts = contacts
        self._decoder: Decoder[CrmEvents] = Decoder("crm")
        self._future_ms = settings.thresholds.future_ms

    def fold(self, tp: TP, records: list[Any]) -> None:
        """Pass `records` of `tp` on in one step of the event loop."""
        src = f"{tp.topic}/{tp.partition}"
        times_ms: list[int] = []
        sources: dict[str, int] = {}
        for record in records:
            event = self._decoder.decode(record.value)
            rejection = event if isinstance(event, Rejection) else self._refusal(record, event)
            if rejection is not None:
                self._intake.reject(tp, record, rejection)
                continue
            assert not isinstance(event, Rejection)  # noqa: S101 - tells mypy
            if self._intake.stray(tp, record):
                continue
            seq = record.offset * facts.SLOTS
            fact = facts.Forwarded(src=src, seq=seq, lead=event.lead, event=event)
            self._outbox.add(self._contacts, tp.partition, record.key, facts.encode(fact))
            times_ms.append(event.at)
            heard(sources, event.source, event.at)
        self._intake.counted(len(records), applied=len(times_ms), duplicates=0, times_ms=times_ms, sources=sources)

    def _refusal(self, record: Any, event: CrmEvents) -> Rejection | None:
        if record.key is None:
            return _NO_KEY
        if record.key != event.lead.encode():
            return _WRONG_KEY
        if event.at > record.timestamp + self._future_ms:
            return _FUTURE
        return refusal(event)
