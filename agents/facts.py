"""The agents of the two fact topics: contacts into lead rows, outcomes into what a manager's leads come to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from faust.types import TP

from agents.intake import Intake
from agents.outbox import Outbox
from agents.tables import RowTable
from streams import facts
from streams.events import Rejection
from streams.tables import outcome as outcomes
from streams.tables.lead import LeadFold, LeadRow
from streams.tables.outcome import OutcomeRow

_NOT_A_FACT = Rejection("invalid_field", "not a fact of this release; the topic is written by callpulse alone")
_WRONG_KEY = Rejection("wrong_key", "the record's key is not what the fact is about")


class LeadsAgent:
    """Folds batches of topic `contacts` into the table of leads and tells their managers what changed."""

    def __init__(
        self,
        table: RowTable[LeadRow],
        intake: Intake,
        outbox: Outbox,
        place: Callable[[bytes], int],
        outcome_topic: str,
        calls_per_day: int,
    ) -> None:
        self._table = table
        self._intake = intake
        self._outbox = outbox
        self._place = place
        self._topic = outcome_topic
        self._fold = LeadFold(calls_per_day)

    def fold(self, tp: TP, records: list[Any]) -> None:
        """Fold `records` of `tp` in one step of the event loop."""
        part = self._table.part(tp.partition)
        rows, dirty = part.rows, part.dirty
        decode, fold = facts.contacts_decoder.decode, self._fold.fold
        src = f"{tp.topic}/{tp.partition}"
        applied = duplicates = 0
        times_ms = []
        for record in records:
            contact = _decoded(self._intake, tp, record, decode)
            if contact is None:
                continue
            key = record.key
            if key != contact.lead.encode():
                self._intake.reject(tp, record, _WRONG_KEY)
                continue
            row = rows.get(key)
            if row is None:
                if self._intake.stray(tp, record):
                    continue
                row = rows[key] = LeadRow()
            effect = fold(row, contact)
            if effect.outcome == "duplicate":
                duplicates += 1
                continue
            dirty[key] = row
            applied += 1
            times_ms.append(contact.at)
            for slot, (manager, changes) in enumerate(effect.told):
                seq = record.offset * facts.SLOTS + slot
                told = facts.Outcome(src=src, seq=seq, manager=manager, changes=changes)
                manager_key = manager.encode()
                self._outbox.add(self._topic, self._place(manager_key), manager_key, facts.encode(told))
        self._intake.counted(len(records), applied=applied, duplicates=duplicates, times_ms=times_ms, sources={})


class OutcomesAgent:
    """Folds batches of topic `outcomes` into the table of outcomes."""

    def __init__(self, table: RowTable[OutcomeRow], intake: Intake) -> None:
        self._table = table
        self._intake = intake

    def fold(self, tp: TP, records: list[Any]) -> None:
        """Fold `records` of `tp` in one step of the event loop."""
        part = self._table.part(tp.partition)
        rows, dirty = part.rows, part.dirty
        decode, fold = facts.outcome_decoder.decode, outcomes.fold
        applied = duplicates = 0
        for record in records:
            fact = _decoded(self._intake, tp, record, decode)
            if fact is None:
                continue
            key = record.key
            if key != fact.manager.encode():
                self._intake.reject(tp, record, _WRONG_KEY)
                continue
            row = rows.get(key)
            if row is None:
                if self._intake.stray(tp, record):
                    continue
                row = rows[key] = OutcomeRow()
            if fold(row, fact) == "duplicate":
                duplicates += 1
                continue
            dirty[key] = row
            applied += 1
        self._intake.counted(len(records), applied=applied, duplicates=duplicates, times_ms=[], sources={})


def _decoded(intake: Intake, tp: TP, record: Any, decode: Callable[[bytes], Any]) -> Any:
    """Return the fact of `record`; None where it holds none and is a dead letter now."""
    if record.value:
        try:
            return decode(record.value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass
    intake.reject(tp, record, _NOT_A_FACT)
    return None
