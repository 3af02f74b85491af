"""The expected activity figures per manager, from the true course of legs and the pieces that have arrived.

No code here folds events. `leg_outcome` gives the outcome of each leg from its pieces that have arrived, and the
figures are counted from these outcomes. Legs without further pieces are added to sums per local day.
"""

from __future__ import annotations

from array import array
from collections import Counter
from typing import Final

from streams.contract.events import CrmEvent, DealDeleted, DealStageChanged, LeadLinked
from streams.settings.settings import Settings
from streams.simulator.faults.injection import Payload
from streams.simulator.telephony.legs import (
    ANSWER,
    BAD,
    CDR,
    CRM,
    END,
    PRESENCE,
    START,
    TRANSFER,
    Presence,
    SimulatedLeg,
)
from streams.simulator.truth.accounts import Account, Accounts, LeadAccount
from streams.simulator.truth.figures import expected_figures
from streams.simulator.truth.leg_outcomes import leg_outcome, leg_start
from streams.simulator.truth.results import Results
from streams.units import DAY_MS, HOUR_MS, MINUTE_MS

LATE_MS: Final = 10 * MINUTE_MS

_SWEEP_MS: Final = 30 * MINUTE_MS
_FRESH_MS: Final = 75 * MINUTE_MS  # legs that ended later than this are kept, for the window of the last hour
_SPANS_MS: Final = 60 * HOUR_MS
_LEAD_DAYS: Final = 33


class Truth(Accounts):
    """Takes every record that arrives and returns the expected figures. Pass it to `simulate`.

    `produced` counts the records. `late` counts events more than 10 min behind the newest of their manager, of those
    that arrived before; it holds where records are taken in one after the other in order of arrival.

    `leads=False` leaves out counts by lead: a quarter of a thousand managers has millions of leads. `crm` counts the
    records of that topic (produced, duplicates, rejected), `links` maps old keys of leads to new ones. `results=True`
    also keeps the data for the expected results of calls, in `results`.
    """

    def __init__(self, settings: Settings, *, leads: bool = True, results: bool = False) -> None:
        super().__init__(settings, leads=leads)
        self.results = Results(settings) if results else None
        self.crm: Counter[str] = Counter()
        self._crm_ids: set[str] = set()
        self.produced = 0
        self.duplicates = 0
        self.late = 0
        self.rejected: Counter[str] = Counter()
        self.now_ms = 0
        self._next_sweep = 0

    @property
    def unique(self) -> int:
        """The number of different events that have arrived. All of them are applied."""
        return self.produced - self.duplicates - self.rejected.total()

    def counts(self) -> dict[str, int]:
        """Return produced, unique, duplicates, late and rejected."""
        return {
            "produced": self.produced,
            "unique": self.unique,
            "duplicates": self.duplicates,
            "late": self.late,
            "rejected": self.rejected.total(),
        }

    def figures(self, now_ms: int) -> dict[tuple[str, tuple[str, ...]], float]:
        """Return the figures of `figures.NAMES` of every manager at `now_ms`, by name and values of the labels.

        Raises ValueError for a time before the last record, because later arrivals cannot be left out.
        """
        if now_ms < self.now_ms:
            raise ValueError(f"a record of {self.now_ms} has arrived; {now_ms} is before it")
        return expected_figures(self, now_ms)

    # -- arrivals

    def arrived(self, due_ms: int, payload: Payload, piece: int) -> None:
        """Take a piece of a leg, a presence, a CRM event, or a malformed record (`payload` is then its reason)."""
        self.now_ms = due_ms
        if piece >= CRM:
            self._crm(payload)
            return
        self.produced += 1
        if isinstance(payload, SimulatedLeg):
            self._leg(payload, piece)
        elif piece == PRESENCE and isinstance(payload, Presence):
            self._presence(payload)
        elif piece == BAD:
            self.rejected[str(payload)] += 1
        if due_ms >= self._next_sweep:
            self._sweep(due_ms)

    def _crm(self, payload: Payload) -> None:
        self.crm["produced"] += 1
        if not isinstance(payload, CrmEvent):
            self.crm["rejected"] += 1
        elif payload.id in self._crm_ids:
            self.crm["duplicates"] += 1
        else:
            self._crm_ids.add(payload.id)
            if self.results is not None:
                self.results.crm(payload)
            if isinstance(payload, (DealStageChanged, DealDeleted)):
                self.deal(payload)
            if isinstance(payload, LeadLinked):
                self._link(payload.old_key, payload.lead)

    def _link(self, old_key: str, lead: str) -> None:
        self.links[old_key] = lead
        if self.leads is not None and (old := self.leads.pop(old_key, None)) is not None:
            if lead in self.leads:
                self.leads[lead].join(old)
            else:
                self.leads[lead] = old

    def _leg(self, leg: SimulatedLeg, piece: int) -> None:
        leg.in_flight -= 1
        if leg.arrived & piece:
            self.duplicates += 1
            return
        account = self.accounts.get(leg.manager) or self.account(leg.manager)
        if not leg.arrived and not (leg.by is not None and leg.by.handed_over):
            self._add_leg(account, leg)
        leg.arrived |= piece
        if piece == START:
            start = at = leg.started_at
        elif piece == ANSWER:
            start = at = leg.answered_at or 0
        elif piece == TRANSFER:
            start = at = leg.transfer_at
        else:
            at = leg.ended_at if piece == END else leg.cdr_at
            start = max(leg.started_at, at - self.thresholds.max_call_ms)
        account.active(start, at)
        self._newest(account, at)
        if leg.to is not None and not leg.handed_over and leg.arrived & TRANSFER and leg.arrived & (START | END | CDR):
            leg.handed_over = True
            other = self.account(leg.to.manager)
            if not leg.to.arrived:
                self._add_leg(other, leg.to)
            other.active(leg.transfer_at, leg.transfer_at)
            other.watermark = max(other.watermark, leg.transfer_at)

    def _add_leg(self, account: Account, leg: SimulatedLeg) -> None:
        account.legs.append(leg)
        if self.results is not None:
            self.results.leg(leg)

    def _presence(self, presence: Presence) -> None:
        if presence.arrived:
            self.duplicates += 1
            return
        presence.arrived = True
        account = self.account(presence.manager)
        last = account.presence
        if last is None or (presence.at, presence.id) > (last.at, last.id):
            account.presence = presence
        self._newest(account, presence.at)

    def _newest(self, account: Account, at: int) -> None:
        if at > account.watermark:
            account.watermark = at
        elif at < account.watermark - LATE_MS:
            self.late += 1

    # -- settling

    def _sweep(self, now_ms: int) -> None:
        """Add settled legs to their day, and drop legs that no window counts."""
        new_day = now_ms // DAY_MS != self._next_sweep // DAY_MS
        self._next_sweep = now_ms + _SWEEP_MS
        for account in self.accounts.values():
            if account.legs:
                account.legs = [leg for leg in account.legs if not self._settle(account, leg, now_ms)]
            if new_day:
                self._forget(account, now_ms)
        if new_day and self.leads is not None:
            oldest = now_ms // DAY_MS - _LEAD_DAYS
            for key, lead in list(self.leads.items()):
                lead.days = {day: counts for day, counts in lead.days.items() if day >= oldest}
                if not lead.days:
                    del self.leads[key]

    def _settle(self, account: Account, leg: SimulatedLeg, now_ms: int) -> bool:
        if leg.in_flight or not leg.settled or (leg.by is not None and (leg.by.in_flight or not leg.by.settled)):
            return False
        max_call_ms = self.thresholds.max_call_ms
        outcome = leg_outcome(leg, now_ms, max_call_ms)
        if outcome is None:
            began = leg_start(leg)
            return began.started_at is None and (began.answered_at or 0) < now_ms - max_call_ms - _FRESH_MS
        if outcome.at > now_ms - _FRESH_MS:
            return False
        day = account.local.day(outcome.at)
        counts = account.days.get(day)
        if counts is None:
            counts = account.days[day] = array("q", self.tally.empty())
        self.tally.add(counts, leg, outcome)
        if self.leads is not None and leg.lead is not None:
            key = self.links.get(leg.lead, leg.lead)
            lead = self.leads.get(key)
            if lead is None:
                lead = self.leads[key] = LeadAccount()
            lead.add(day, leg, outcome)
        return True

    def _forget(self, account: Account, now_ms: int) -> None:
        runs = account.all_runs(self.thresholds.work_gap_ms)
        account.runs = [(start, end) for start, end in runs if end > now_ms - _SPANS_MS]
        account.spans = array("q")
