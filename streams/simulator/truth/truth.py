"""The true answers: what the activity figures of a manager must be, from what was meant and which pieces of it arrived.

Nothing here folds events. Each leg is asked what it comes to, given the pieces that have arrived (`verdict`), and the
figures are counted from those verdicts. Legs of which no more will be heard are added to sums per local day.
"""

from __future__ import annotations

from array import array
from collections import Counter
from typing import Final

from streams.calendars import LocalTime, local_time
from streams.contract.events import CrmEvent, LeadLinked
from streams.settings.settings import Manager, Settings
from streams.simulator.faults.injection import What
from streams.simulator.telephony.legs import ANSWER, BAD, CDR, CRM, END, PRESENCE, START, TRANSFER, Leg, Presence
from streams.simulator.truth.leg_outcomes import Tally, Verdict, known, verdict
from streams.simulator.truth.results import Results
from streams.units import DAY_MS, HOUR_MS, MINUTE_MS

LATE_MS: Final = 10 * MINUTE_MS

_SWEEP_MS: Final = 30 * MINUTE_MS
_FRESH_MS: Final = 75 * MINUTE_MS  # legs that ended so lately are kept apart, for the last hour
_SPANS_MS: Final = 60 * HOUR_MS
_LEAD_DAYS: Final = 33


class Account:
    """What has arrived of one manager. `legs` are those of which more may be heard, or that ended lately."""

    def __init__(self, manager: Manager) -> None:
        self.manager = manager
        self.local: LocalTime = local_time(manager.timezone)
        self.watermark = 0
        self.active_at = 0
        self.presence: Presence | None = None
        self.legs: list[Leg] = []
        self.days: dict[int, array[int]] = {}
        self.spans = array("q")  # starts and ends of activity, in pairs, in no order
        self.runs: list[tuple[int, int]] = []  # those of earlier days, melted

    def active(self, start_ms: int, end_ms: int) -> None:
        """Note activity in [start_ms, end_ms]."""
        self.spans.append(start_ms)
        self.spans.append(end_ms)
        self.active_at = max(self.active_at, end_ms)

    def all_runs(self, gap_ms: int) -> list[tuple[int, int]]:
        """Return the runs of activity: spans, those less than `gap_ms` apart melted into one."""
        spans = sorted([*self.runs, *zip(self.spans[::2], self.spans[1::2], strict=True)])
        runs: list[tuple[int, int]] = []
        for start, end in spans:
            if runs and start < runs[-1][1] + gap_ms:
                runs[-1] = (runs[-1][0], max(runs[-1][1], end))
            else:
                runs.append((start, end))
        return runs


class LeadAccount:
    """Finished legs of one lead: per local day calls and dials; the manager of the newest owns it."""

    __slots__ = ("days", "newest")

    def __init__(self) -> None:
        self.days: dict[int, list[int]] = {}
        self.newest: tuple[int, str, str] = (0, "", "")

    def add(self, day: int, leg: Leg, told: Verdict) -> None:
        """Add a finished leg."""
        counts = self.days.setdefault(day, [0, 0])
        counts[0] += 1
        counts[1] += leg.direction == "outbound"
        self.newest = max(self.newest, (told.started_at, leg.call, leg.manager))

    def join(self, other: LeadAccount) -> None:
        """Add the legs of another lead, which is the same one under another key."""
        for day, (calls, dials) in other.days.items():
            counts = self.days.setdefault(day, [0, 0])
            counts[0] += calls
            counts[1] += dials
        self.newest = max(self.newest, other.newest)


class Truth:
    """Hears what arrives and knows the answers. Give it to `simulate`; ask it at any moment from the last record on.

    `produced` counts the records. `late` counts events more than 10 min behind the newest of their manager, of those
    that arrived before; it holds where records are taken in one after the other in order of arrival.

    `leads=False` leaves out what is counted by lead: a quarter of a thousand managers has millions of them. `crm`
    counts the records of that topic (produced, duplicates, rejected), `links` maps old keys of leads to new ones.
    `results=True` keeps what it takes to say what must have come of the calls, in `results`.
    """

    def __init__(self, settings: Settings, *, leads: bool = True, results: bool = False) -> None:
        self.settings = settings
        self.thresholds = settings.thresholds
        self.tally = Tally(settings.thresholds)
        self.accounts: dict[str, Account] = {}
        for manager in settings.managers:
            self.account(manager)
        self.leads: dict[str, LeadAccount] | None = {} if leads else None
        self.links: dict[str, str] = {}
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
        """How many different events have arrived; all of them apply."""
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

    def answers(self, now_ms: int) -> dict[tuple[str, tuple[str, ...]], float]:
        """Return the figures of `answers.NAMES` of every manager at `now_ms`, by name and values of the labels.

        Raises ValueError for a moment before the last record: what had not arrived by then is not told apart.
        """
        from streams.simulator.truth.figures import answers  # noqa: PLC0415 - it needs what is defined here

        if now_ms < self.now_ms:
            raise ValueError(f"a record of {self.now_ms} has arrived; {now_ms} is before it")
        return answers(self, now_ms)

    def account(self, manager: str) -> Account:
        """Return the account of a manager, known to the roster or not."""
        found = self.accounts.get(manager)
        if found is None:
            found = self.accounts[manager] = Account(self.settings.manager(manager))
        return found

    # -- hearing

    def arrived(self, due_ms: int, what: What, piece: int) -> None:
        """Take note of a piece of a leg, a presence, an event of the CRM, or (`what` is the reason) a bad record."""
        self.now_ms = due_ms
        if piece >= CRM:
            self._crm(what)
            return
        self.produced += 1
        if isinstance(what, Leg):
            self._leg(what, piece)
        elif piece == PRESENCE and isinstance(what, Presence):
            self._presence(what)
        elif piece == BAD:
            self.rejected[str(what)] += 1
        if due_ms >= self._next_sweep:
            self._sweep(due_ms)

    def _crm(self, what: What) -> None:
        self.crm["produced"] += 1
        if not isinstance(what, CrmEvent):
            self.crm["rejected"] += 1
        elif what.id in self._crm_ids:
            self.crm["duplicates"] += 1
        else:
            self._crm_ids.add(what.id)
            if self.results is not None:
                self.results.crm(what)
            if isinstance(what, LeadLinked):
                self._link(what.old_key, what.lead)

    def _link(self, old_key: str, lead: str) -> None:
        self.links[old_key] = lead
        if self.leads is not None and (old := self.leads.pop(old_key, None)) is not None:
            if lead in self.leads:
                self.leads[lead].join(old)
            else:
                self.leads[lead] = old

    def _leg(self, leg: Leg, piece: int) -> None:
        leg.on_the_way -= 1
        if leg.got & piece:
            self.duplicates += 1
            return
        account = self.accounts.get(leg.manager) or self.account(leg.manager)
        if not leg.got and not (leg.by is not None and leg.by.handed_over):
            self._heard_of(account, leg)
        leg.got |= piece
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
        if leg.to is not None and not leg.handed_over and leg.got & TRANSFER and leg.got & (START | END | CDR):
            leg.handed_over = True
            other = self.account(leg.to.manager)
            if not leg.to.got:
                self._heard_of(other, leg.to)
            other.active(leg.transfer_at, leg.transfer_at)
            other.watermark = max(other.watermark, leg.transfer_at)

    def _heard_of(self, account: Account, leg: Leg) -> None:
        account.legs.append(leg)
        if self.results is not None:
            self.results.leg(leg)

    def _presence(self, presence: Presence) -> None:
        if presence.got:
            self.duplicates += 1
            return
        presence.got = True
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
        """Add the legs of which no more will be heard to their day, and forget what no window shows."""
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

    def _settle(self, account: Account, leg: Leg, now_ms: int) -> bool:
        if leg.on_the_way or not leg.settled or (leg.by is not None and (leg.by.on_the_way or not leg.by.settled)):
            return False
        max_call_ms = self.thresholds.max_call_ms
        told = verdict(leg, now_ms, max_call_ms)
        if told is None:
            began = known(leg)
            return began.started_at is None and (began.answered_at or 0) < now_ms - max_call_ms - _FRESH_MS
        if told.at > now_ms - _FRESH_MS:
            return False
        day = account.local.day(told.at)
        counts = account.days.get(day)
        if counts is None:
            counts = account.days[day] = array("q", self.tally.empty())
        self.tally.add(counts, leg, told)
        if self.leads is not None and leg.lead is not None:
            key = self.links.get(leg.lead, leg.lead)
            lead = self.leads.get(key)
            if lead is None:
                lead = self.leads[key] = LeadAccount()
            lead.add(day, leg, told)
        return True

    def _forget(self, account: Account, now_ms: int) -> None:
        runs = account.all_runs(self.thresholds.work_gap_ms)
        account.runs = [(start, end) for start, end in runs if end > now_ms - _SPANS_MS]
        account.spans = array("q")
