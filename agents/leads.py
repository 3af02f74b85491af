"""The leads agent: folds the facts of topic `contacts` into lead rows, and emits the deltas to topic `outcomes`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from faust.types import TP

from agents.delivery.intake import Intake
from agents.delivery.outbox import RecordQueue
from agents.state.tables import RowTable
from streams.contract import facts
from streams.contract.facts import Contact, Forgotten, Forwarded
from streams.tables.lead.effect import LeadEffect
from streams.tables.lead.fold import LeadFold
from streams.tables.lead.mapping import outcomes_of
from streams.tables.lead.row import LeadRow


class LeadsAgent:
    """Folds batches of topic `contacts` into the table of leads.

    It sends deltas to managers over topic `outcomes`, and facts to other leads over `contacts`.
    """

    def __init__(
        self,
        table: RowTable[LeadRow],
        fold: LeadFold,
        intake: Intake,
        outbox: RecordQueue,
        partition_for: Callable[[bytes], int],
        outcomes: str,
    ) -> None:
        self._table = table
        self._fold = fold
        self._intake = intake
        self._outbox = outbox
        self._partition_for = partition_for
        self._outcomes = outcomes

    def fold(self, tp: TP, records: list[Any]) -> None:  # noqa: C901, PLR0912 - the hot loop: a call a record would show
        """Fold `records` of `tp` in one step of the event loop."""
        part = self._table.part(tp.partition)
        part.fetch([record.key for record in records])
        rows, dirty = part.rows, part.dirty
        decode, fold = facts.contacts_decoder.decode, self._fold.contact
        src = f"{tp.topic}/{tp.partition}"
        base = self._intake.position_base
        ours = self._intake.fact_headers
        applied = duplicates = 0
        times_ms: list[int] = []
        for record in records:
            if record.headers != ours and self._intake.is_foreign(record):
                continue
            fact = self._intake.fact(tp, record, decode)
            if fact is None:
                continue
            key = record.key
            refusal = self._intake.key_refusal(key, fact.lead)
            if refusal is not None:
                self._intake.reject(tp, record, refusal)
                continue
            row = rows.get(key)
            exists = row is not None
            if row is None:
                if self._intake.is_misrouted(tp, record):
                    self._intake.reroute(tp, record)
                    continue
                if isinstance(fact, Forgotten):
                    duplicates += 1  # the lead has no row
                    continue
                row = LeadRow()
            seq = (base + record.offset) * facts.SLOTS
            effect = fold(row, fact, src, seq)
            if effect.outcome == "duplicate":
                duplicates += 1
                continue
            if effect.rejection is not None:
                self._intake.reject(tp, record, effect.rejection)
                continue
            if not exists:
                rows[key] = row
            dirty[key] = row
            applied += 1
            if isinstance(fact, Contact):
                times_ms.append(fact.at)
            elif isinstance(fact, Forwarded) and fact.event is not None and not fact.hops:
                times_ms.append(fact.event.at)
            for outcome in outcomes_of(effect.deltas, src, seq):
                self._send(self._outcomes, outcome.manager, outcome)
            if effect.facts or effect.folded or effect.link_ignored:
                self._pass_on(effect)
        self._intake.counted(len(records), applied=applied, duplicates=duplicates, times_ms=times_ms, sources={})

    def _pass_on(self, effect: LeadEffect) -> None:
        for fact in effect.facts:
            self._send(self._intake.topic, fact.lead, fact)
        for field in effect.folded:
            self._intake.count_of("folded_total", field).inc()
        if effect.link_ignored:
            self._intake.count_of("links_ignored_total").inc()

    def _send(self, topic: str, name: str, fact: Any) -> None:
        key = name.encode()
        self._outbox.add(topic, self._partition_for(key), key, facts.encode(fact), self._intake.fact_headers)
