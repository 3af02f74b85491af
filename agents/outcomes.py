"""The outcomes agent: folds changes into one row of sums per manager.

Changes of leads come over `outcomes`. A second one folds the features of calls, which come over `features`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from faust.types import TP

from agents.delivery.intake import Intake
from agents.state.tables import RowTable
from streams.contract import facts
from streams.contract.facts import Outcome
from streams.tables.outcome import fold as outcomes
from streams.tables.outcome.fold import OutcomeRow


class OutcomesAgent:
    """Folds batches of a topic of facts into a table of sums. `read` decodes the value of a record into changes.

    It raises the errors of a msgspec decoder.
    """

    def __init__(
        self,
        table: RowTable[OutcomeRow],
        intake: Intake,
        read: Callable[[bytes], Outcome] = facts.outcome_decoder.decode,
    ) -> None:
        self._table = table
        self._intake = intake
        self._read = read

    def fold(self, tp: TP, records: list[Any]) -> None:
        """Fold `records` of `tp` in one step of the event loop."""
        part = self._table.part(tp.partition)
        rows, dirty = part.rows, part.dirty
        read, fold = self._read, outcomes.fold
        ours = self._intake.fact_headers
        applied = duplicates = 0
        for record in records:
            if record.headers != ours and self._intake.is_foreign(record):
                continue
            fact = self._intake.fact(tp, record, read)
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
