"""The CRM agent: forwards events of topic `crm` to topic `contacts`, the only topic that leads are folded from.

The output of a lead depends on its state, so facts that are sent again after a crash must come from records in the same
order. Records of one partition keep their order. Records of two topics do not.

An event of a deal goes to the row of the deal, which finds out whose deal it is (`streams/tables/lead/deals.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from faust.types import TP

from agents.delivery.intake import FUTURE, Intake, heard
from agents.delivery.outbox import RecordQueue
from streams.contract import facts
from streams.contract.decoding import Decoder
from streams.contract.events import CrmEvents, DealDeleted, DealStageChanged, Rejection
from streams.contract.origin import origin_of
from streams.settings.settings import Settings
from streams.tables.lead.fold import refusal


class CrmAgent:
    """Checks events of topic `crm` and forwards them to their leads and deals.

    With `deal_rows` false, events of deals go to the leads that they name, as in groups of the release before.
    """

    def __init__(
        self,
        settings: Settings,
        intake: Intake,
        outbox: RecordQueue,
        partition_for: Callable[[bytes], int],
        contacts: str,
        *,
        deal_rows: bool = True,
    ) -> None:
        self._intake = intake
        self._outbox = outbox
        self._partition_for = partition_for
        self._deal_rows = deal_rows
        self._contacts = contacts
        self._decoder: Decoder[CrmEvents] = Decoder("crm")
        self._future_ms = settings.thresholds.future_ms

    def fold(self, tp: TP, records: list[Any]) -> None:
        """Forward `records` of `tp` in one step of the event loop."""
        src = f"{tp.topic}/{tp.partition}"
        base = self._intake.position_base
        times_ms: list[int] = []
        sources: dict[str, int] = {}
        for record in records:
            event = self._decoder.decode(record.value)
            rejection = event if isinstance(event, Rejection) else self._refusal(record, event)
            if rejection is not None:
                self._intake.reject(tp, record, rejection)
                continue
            assert not isinstance(event, Rejection)  # noqa: S101 - tells mypy
            if self._intake.is_misrouted(tp, record):
                self._intake.reroute(tp, record)
                continue
            # A second copy of a misrouted record has the place of the same original: its lead ignores the repeat.
            origin = origin_of(record.headers, tp.topic) if record.headers else None
            place = src if origin is None else f"{tp.topic}/{origin.partition}"
            seq = (base + (record.offset if origin is None else origin.offset)) * facts.SLOTS
            if self._deal_rows and isinstance(event, (DealStageChanged, DealDeleted)):
                if origin is not None:
                    # A deal also has events of the partition of origin itself: each of the two ways has its own order.
                    place = f"{place}>{tp.partition}"
                deal = facts.deal_key(event.source, event.deal)
                self._send(facts.Forwarded(src=place, seq=seq, lead=deal, event=event))
            else:
                fact = facts.Forwarded(src=place, seq=seq, lead=event.lead, event=event)
                headers = self._intake.fact_headers
                self._outbox.add(self._contacts, tp.partition, record.key, facts.encode(fact), headers)
            times_ms.append(event.at)
            heard(sources, event.source, event.at)
        self._intake.counted(len(records), applied=len(times_ms), duplicates=0, times_ms=times_ms, sources=sources)

    def _send(self, fact: facts.Forwarded) -> None:
        key = fact.lead.encode()
        self._outbox.add(self._contacts, self._partition_for(key), key, facts.encode(fact), self._intake.fact_headers)

    def _refusal(self, record: Any, event: CrmEvents) -> Rejection | None:
        wrong_key = self._intake.key_refusal(record.key, event.lead)
        if wrong_key is not None:
            return wrong_key
        if event.at > record.timestamp + self._future_ms:
            return FUTURE
        return refusal(event)
