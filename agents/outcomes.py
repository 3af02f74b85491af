"""Facts between the agents, and the last of these: outcomes into what a manager's leads come to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from faust.types import TP

from agents.delivery.intake import Intake
from agents.state.tables import RowTable
from streams.contract import facts
from streams.contract.events import Rejection
from streams.tables.outcome import fold as outcomes
from streams.tables.outcome.fold import OutcomeRow

_NOT_A_FACT: Final = Rejection("invalid_field", "not a fact of this release; the topic is written by callpulse alone")
WRONG_KEY: Final = Rejection("wrong_key", "the record's key is not what the fact is about")


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
            fact = decoded(self._intake, tp, record, decode)
            if fact is None:
                continue
            key = record.key
            if key != fact.manager.encode():
                self._intake.reject(tp, record, WRONG_KEY)
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
            if row.folded:
                for field in row.folded:
                    self._intake.count_of("folded_total", field).inc()
                row.folded.clear()
        self._intake.counted(len(records), applied=applied, duplicates=duplicates, times_ms=[], sources={})


def decoded(intake: Intake, tp: TP, record: Any, decode: Callable[[bytes], Any]) -> Any:
    """Return the fact of `record`; None where it holds none and is a dead letter now."""
    if record.value:
        try:
            return decode(record.value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass
    intake.reject(tp, record, _NOT_A_FACT)
    return None
