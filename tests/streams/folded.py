"""The folds of all hops in one process, one record after the other, as a worker does that never crashes."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from streams.calendars import LocalTime, local_time, shift_bounds
from streams.contract.decoding import Decoder
from streams.contract.events import CallsEvent, CrmEvents, DealDeleted, DealStageChanged, Rejection
from streams.contract.facts import SLOTS, ContactsFact, Forwarded, deal_key
from streams.settings.settings import Manager, Settings
from streams.simulator import Record
from streams.simulator.truth.figures import Figures
from streams.tables.lead.fold import LeadFold, refusal
from streams.tables.lead.mapping import outcomes_of
from streams.tables.lead.row import LeadRow
from streams.tables.manager.contacts import contact_of
from streams.tables.manager.effect import LegChange
from streams.tables.manager.fold import ManagerFold
from streams.tables.manager.row import ManagerRow
from streams.tables.manager.series import VARYING, ManagerSeries
from streams.tables.manager.view import ManagerReader, ManagerView, Roster
from streams.tables.outcome import fold as outcomes
from streams.tables.outcome.fold import OutcomeRow

FUTURE_MS: Final = 300_000
_CONTACTS: Final = "contacts/0"


class Folded:
    """Rows of managers, leads and outcomes, after `records` and after the timeouts at `now_ms`.

    `outcomes` counts the results of the events of topic `calls`, `crm` those of the other: applied, rejected by reason,
    and the fields that were folded. With `hasty`, legs also time out after this number of records, as where a worker
    reads a history within seconds. `on_leg` is called for each leg that a row emits.
    """

    def __init__(self, settings: Settings, records: Iterable[Record], now_ms: int, hasty: int | None = None) -> None:
        self.settings = settings
        self.managers: dict[str, ManagerRow] = {}
        self.leads: dict[str, LeadRow] = {}
        self.outcome_rows: dict[str, OutcomeRow] = {}
        self.outcomes: Counter[str] = Counter()
        self.crm: Counter[str] = Counter()
        self.on_leg: Callable[[ManagerRow, LegChange], None] | None = None
        self._fold = ManagerFold(settings.thresholds)
        self.lead_fold = LeadFold(settings.results, settings.thresholds, settings.economics, self._local)
        self._seq = 0
        self._of_calls: Decoder[CallsEvent] = Decoder("calls")
        self._of_crm: Decoder[CrmEvents] = Decoder("crm")
        for record in records:
            self.take(record)
            if record.topic == "calls" and hasty is not None and self.outcomes.total() % hasty == 0:
                self.time_out(now_ms)
        self.time_out(now_ms)

    def take(self, record: Record) -> CallsEvent | CrmEvents | None:
        """Fold a record and what follows from it; return its event, or None for one that is refused."""
        if record.topic == "crm":
            note = self._of_crm.decode(record.value)
            self._note(note, record)
            return None if isinstance(note, Rejection) else note
        event = self._of_calls.decode(record.value)
        if isinstance(event, Rejection) or record.key != event.manager or event.at > record.due_ms + FUTURE_MS:
            return None
        self.outcomes[self._call(event)] += 1
        return event

    def _local(self, manager: str) -> LocalTime:
        return local_time(self.settings.manager(manager).timezone)

    def time_out(self, now_ms: int) -> None:
        """End the legs whose own end never came."""
        for row in list(self.managers.values()):
            for end in self._fold.timeouts(row, now_ms):
                self._call(end)

    def row(self, manager: str) -> ManagerRow:
        """Return the row of a manager, possibly without events."""
        row = self.managers.get(manager)
        if row is None:
            row = self.managers[manager] = ManagerRow(manager, self._local(manager))
        return row

    def _next(self) -> int:
        self._seq += SLOTS
        return self._seq

    # -- hops

    def _call(self, event: CallsEvent) -> str:
        row = self.row(event.manager)
        effect = self._fold.fold(row, event, self._next())
        for emitted in effect.emitted:
            if isinstance(emitted, LegChange) and self.on_leg is not None:
                self.on_leg(row, emitted)
            if isinstance(emitted, LegChange) and emitted.finished.lead is None:
                continue  # for its transcript alone
            if isinstance(emitted, LegChange):
                least_ms = self.settings.thresholds.conversation_ms
                self._contact(contact_of(row, emitted, "calls/0", self._next(), least_ms))
            else:
                self._call(emitted)
        return effect.outcome

    def _note(self, event: CrmEvents | Rejection, record: Record) -> None:
        if isinstance(event, Rejection):
            self.crm[event.reason] += 1
        elif record.key is None:
            self.crm["no_key"] += 1
        elif record.key != event.lead:
            self.crm["wrong_key"] += 1
        elif event.at > record.due_ms + FUTURE_MS:
            self.crm["future"] += 1
        elif (refused := refusal(event)) is not None:
            self.crm[refused.reason] += 1
        else:
            self.crm["applied"] += 1
            to = deal_key(event.source, event.deal) if isinstance(event, DealStageChanged | DealDeleted) else event.lead
            self._contact(Forwarded(src="crm/0", seq=self._next(), lead=to, event=event))

    def _contact(self, first: ContactsFact) -> None:
        waiting = deque([first])
        while waiting:
            fact = waiting.popleft()
            row = self.leads.get(fact.lead)
            if row is None:
                row = self.leads[fact.lead] = LeadRow()
            seq = self._next()
            effect = self.lead_fold.contact(row, fact, _CONTACTS, seq)
            assert effect.rejection is None
            self.crm.update(effect.folded)
            for outcome in outcomes_of(effect.deltas, _CONTACTS, seq):
                outcomes.fold(self.outcome_rows.setdefault(outcome.manager, OutcomeRow()), outcome)
            waiting += effect.facts

    # -- reading

    def views(self, now_ms: int) -> Iterator[tuple[Manager, ManagerView]]:
        """Yield every manager with the figures of the rows at `now_ms`."""
        reader = ManagerReader(self.settings)
        for id_ in sorted(self.managers.keys() | self.settings.managers.keys()):
            manager = self.settings.manager(id_)
            roster = Roster(shift_bounds(self.settings, manager, now_ms), bool(manager.shifts))
            view = reader.read(self.row(id_), now_ms, roster, self.outcome_rows.get(id_), manager.plan_deals)
            yield manager, view

    def answers(self, now_ms: int) -> Figures:
        """Return the series of managers that are exported, named as the truth names them."""
        series = ManagerSeries(self.settings)
        found: Figures = {}
        for manager, view in self.views(now_ms):
            told = [*zip(series.series, series.values(view), strict=True)]
            for name, varying in zip(VARYING, series.varying(view), strict=True):
                told += [((name, labels), value) for labels, value in varying]
            for (name, labels), value in told:
                if value is not None:
                    found[name, (manager.id, manager.team, *labels)] = float(value)
        return found
