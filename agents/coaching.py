"""The coaching agent: folds the features of calls into one row of sums per manager."""

from __future__ import annotations

from typing import Any

from faust.types import TP

from agents.delivery.intake import Intake
from agents.state.tables import RowTable
from streams.contract.facts import Outcome
from streams.contract.features import Features, features_decoder
from streams.tables.coaching.contributions import changes
from streams.tables.outcome import fold as sums
from streams.tables.outcome.fold import OutcomeRow


class CoachingAgent:
    """Folds batches of topic `features` into the table of coaching, whose rows are sums like those of outcomes."""

    def __init__(self, table: RowTable[OutcomeRow], intake: Intake) -> None:
        self._table = table
        self._intake = intake

    def fold(self, tp: TP, records: list[Any]) -> None:
        """Fold `records` of `tp` in one step of the event loop."""
        part = self._table.part(tp.partition)
        rows, dirty = part.rows, part.dirty
        applied = duplicates = 0
        for record in records:
            if self._intake.is_foreign(record):
                continue
            fact: Features | None = self._intake.fact(tp, record, features_decoder.decode)
            if fact is None:
                continue
            key = record.key
            refusal = self._intake.key_refusal(key, fact.manager)
            if refusal is not None:
                self._intake.reject(tp, record, refusal)
                continue
            row = rows.get(key)
            if row is None:
                if self._intake.is_misrouted(tp, record):
                    self._intake.reroute(tp, record)
                    continue
                row = rows[key] = OutcomeRow()
            outcome = Outcome(src=fact.src, seq=fact.seq, manager=fact.manager, changes=changes(fact))
            if sums.fold(row, outcome) == "duplicate":
                duplicates += 1
                continue
            dirty[key] = row
            applied += 1
        self._intake.counted(len(records), applied=applied, duplicates=duplicates, times_ms=[], sources={})
