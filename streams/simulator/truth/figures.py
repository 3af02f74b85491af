"""The expected figures of activity per manager (`NAMES`).

Names and labels are those of the catalogue, without the prefix `callpulse_`. Label values are in the order of the
catalogue. A ratio with denominator 0 is absent, and so is the time of an event that never happened. Results of calls
are in `results.py`.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

from streams.calendars import shift_bounds
from streams.contract.events import DIRECTIONS, DISPOSITIONS, KINDS_AND_UNKNOWN
from streams.simulator.telephony.legs import TRANSFER, SimulatedLeg
from streams.simulator.truth.accounts import Account, Accounts, LeadAccount
from streams.simulator.truth.leg_outcomes import LegOutcome, leg_outcome, leg_start
from streams.units import HOUR_MS, MINUTE_MS

Figures: TypeAlias = dict[tuple[str, tuple[str, ...]], float]
Figure: TypeAlias = tuple[str, tuple[str, ...], float]

DAYS: Final[Mapping[str, int]] = {"today": 1, "7d": 7, "30d": 30, "90d": 90}
BUCKETS: Final = ("1", "2", "3", "4", "5+")
NAMES: Final = frozenset(
    {
        "calls", "calls_by_kind", "calls_by_disposition", "answered_calls", "connect_ratio", "short_call_ratio",
        "meaningful_calls", "conversations", "attempts_per_contact", "talk_time_seconds", "calls_talked",
        "calls_timed_out", "internal_calls", "internal_talk_seconds",
        "calls_in_progress", "longest_call_in_progress_seconds", "last_activity_timestamp_seconds",
        "idle_seconds", "on_shift", "presence", "work_block_seconds", "work_blocks", "breaks_missed",
        "open_leads_by_calls", "calls_per_lead", "leads_over_called",
    }
)  # fmt: skip
"""The metrics with an expected value for every series."""
_PRESENCE_KEPT_MS: Final = 16 * HOUR_MS
_LEAD_DAYS: Final = 30


def expected_figures(accounts: Accounts, now_ms: int) -> Figures:
    """Return every figure of `NAMES` of every manager at `now_ms`."""
    found: Figures = {}
    leads = None if accounts.leads is None else _Leads(accounts, accounts.leads, now_ms)
    for account in accounts.accounts.values():
        who = (account.manager.id, account.manager.team)
        for name, labels, value in _figures(accounts, account, now_ms):
            found[name, (*who, *labels)] = float(value)
        if leads is not None:
            for name, labels, value in leads.figures(account, account.local.day(now_ms)):
                found[name, (*who, *labels)] = float(value)
    return found


def _figures(accounts: Accounts, account: Account, now_ms: int) -> Iterator[Figure]:
    finished = []
    in_progress = []
    busy = []
    max_call_ms = accounts.thresholds.max_call_ms
    for leg in account.legs:
        outcome = leg_outcome(leg, now_ms, max_call_ms)
        if outcome is not None:
            finished.append((leg, outcome))
            continue
        if leg.arrived & TRANSFER:  # only its transfer is known: neither counted nor in progress
            continue
        since = min((at for at in leg_start(leg) if at is not None), default=None)
        if since is not None and since > now_ms - max_call_ms:
            busy.append(since)
            if not leg.is_known_internal:
                in_progress.append(since)
    windows = {"1h": _last_hour(accounts, finished, now_ms)}
    today = account.local.day(now_ms)
    for window, length in DAYS.items():
        windows[window] = _days(accounts, account, finished, range(today - length + 1, today + 1))
    for window, counts in windows.items():
        yield from _window(window, counts)
    yield from _today(accounts, windows["today"])
    yield "internal_calls", ("today",), windows["today"]["internal"]
    yield "internal_talk_seconds", ("today",), windows["today"]["internal_talk_ms"] / 1000
    yield "calls_in_progress", (), len(in_progress)
    yield "longest_call_in_progress_seconds", (), max((now_ms - since for since in in_progress), default=0) / 1000
    if account.active_at:
        yield "last_activity_timestamp_seconds", (), account.active_at / 1000
    yield from _attendance(accounts, account, now_ms, busy=bool(busy))
    yield from _work(accounts, account, now_ms, today, busy=bool(busy))


def _last_hour(accounts: Accounts, finished: list[tuple[SimulatedLeg, LegOutcome]], now_ms: int) -> Mapping[str, int]:
    counts = accounts.tally.empty()
    last = now_ms // MINUTE_MS
    for leg, outcome in finished:
        if last - 60 < outcome.at // MINUTE_MS <= last:
            accounts.tally.add(counts, leg, outcome)
    return dict(zip(accounts.tally.places, counts, strict=True))


def _days(
    accounts: Accounts, account: Account, finished: list[tuple[SimulatedLeg, LegOutcome]], days: range
) -> Mapping[str, int]:
    counts = accounts.tally.empty()
    for day in days:
        for place, count in enumerate(account.days.get(day, ())):
            counts[place] += count
    for leg, outcome in finished:
        if account.local.day(outcome.at) in days:
            accounts.tally.add(counts, leg, outcome)
    return dict(zip(accounts.tally.places, counts, strict=True))


def _window(window: str, counts: Mapping[str, int]) -> Iterator[Figure]:
    for direction in DIRECTIONS:
        yield "calls", (window, direction), counts[direction]
    if window != "90d":
        yield "answered_calls", (window,), counts["answered"]
    if window in ("today", "7d", "30d"):
        if counts["outbound"]:
            yield "connect_ratio", (window,), counts["connected"] / counts["outbound"]
        if counts["talked"]:
            yield "short_call_ratio", (window,), counts["short"] / counts["talked"]
        yield "meaningful_calls", (window,), counts["meaningful"]
    yield "talk_time_seconds", (window,), counts["talk_ms"] / 1000
    if window in ("today", "30d", "90d"):
        for kind in KINDS_AND_UNKNOWN:
            yield "calls_by_kind", (window, kind), counts[f"kind:{kind}"]
    if window in ("today", "30d"):
        yield "conversations", (window,), counts["conversations"]
    if window == "30d" and counts["connected"]:
        yield "attempts_per_contact", (window,), counts["outbound"] / counts["connected"]


def _today(accounts: Accounts, counts: Mapping[str, int]) -> Iterator[Figure]:
    for disposition in DISPOSITIONS:
        yield "calls_by_disposition", ("today", disposition), counts[f"disposition:{disposition}"]
    for bound in accounts.thresholds.histogram_ms:
        yield "calls_talked", ("today", f"{bound / 1000:g}"), counts[f"le:{bound}"]
    yield "calls_talked", ("today", "+Inf"), counts["talked"]
    yield "calls_timed_out", ("today",), counts["timed_out"]


def _attendance(accounts: Accounts, account: Account, now_ms: int, *, busy: bool) -> Iterator[Figure]:
    presence = account.presence
    online = presence is not None and presence.state != "offline"
    since = 0
    if account.manager.shifts:
        bounds = shift_bounds(accounts.settings, account.manager, now_ms)
        on_shift = bounds is not None and (presence is None or online)
        since = 0 if bounds is None else bounds[0]
    else:
        on_shift = presence is not None and online and now_ms - presence.at <= _PRESENCE_KEPT_MS
        since = 0 if presence is None else presence.at
    yield "on_shift", (), int(on_shift)
    idle_ms = now_ms - max(account.active_at, since) if on_shift and not busy else 0
    yield "idle_seconds", (), max(0, idle_ms) / 1000
    if presence is not None:
        yield "presence", (presence.state,), 1


def _work(accounts: Accounts, account: Account, now_ms: int, today: int, *, busy: bool) -> Iterator[Figure]:
    limits = accounts.thresholds
    runs = account.all_runs(limits.work_gap_ms)
    current_ms = 0
    if runs and (busy or now_ms - runs[-1][1] < limits.work_gap_ms):
        start, end = runs[-1]
        runs[-1] = (start, max(end, now_ms) if busy else end)
        current_ms = runs[-1][1] - start
    lengths = [end - start for start, end in runs if account.local.day(start) == today]
    yield "work_block_seconds", (), current_ms / 1000
    yield "work_blocks", ("today",), sum(length >= limits.work_block_ms for length in lengths)
    yield "breaks_missed", ("today",), sum(length // limits.break_after_ms for length in lengths)


class _Leads:
    """Leads by their owner: settled legs, and legs that may still change."""

    def __init__(self, accounts: Accounts, settled: Mapping[str, LeadAccount], now_ms: int) -> None:
        self._most_dials = accounts.thresholds.calls_per_lead_day
        self._owned: dict[str, list[tuple[LeadAccount, bool]]] = {}
        closed = accounts.closed_leads()
        leads = dict(settled)
        for account in accounts.accounts.values():
            for leg in account.legs:
                outcome = None if leg.lead is None else leg_outcome(leg, now_ms, accounts.thresholds.max_call_ms)
                if outcome is None or leg.lead is None:
                    continue
                key = accounts.links.get(leg.lead, leg.lead)
                lead = leads.get(key)
                if lead is None:
                    lead = leads[key] = LeadAccount()
                elif lead is settled.get(key):
                    lead = leads[key] = copy.deepcopy(lead)
                lead.add(account.local.day(outcome.at), leg, outcome)
        for key, lead in leads.items():
            self._owned.setdefault(lead.newest[2], []).append((lead, key not in closed))

    def figures(self, account: Account, today: int) -> Iterator[Figure]:
        """Yield the figures of a manager's leads."""
        by_calls: Counter[str] = Counter()
        called = calls = over_called = 0
        for lead, is_open in self._owned.get(account.manager.id, ()):
            recent = [counts for day, counts in lead.days.items() if day > today - _LEAD_DAYS]
            lead_calls = sum(counts[0] for counts in recent)
            if lead_calls and is_open:
                by_calls[_bucket(lead_calls)] += 1
                called += 1
                calls += lead_calls
            over_called += lead.days.get(today, (0, 0))[1] > self._most_dials
        for bucket in BUCKETS:
            yield "open_leads_by_calls", (bucket,), by_calls[bucket]
        if called:
            yield "calls_per_lead", ("30d",), calls / called
        yield "leads_over_called", ("today",), over_called


def _bucket(count: int) -> str:
    return str(count) if count < len(BUCKETS) else BUCKETS[-1]
