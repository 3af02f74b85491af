"""Every figure of the catalogue that is a manager's, counted from what the truth knows.

Names and labels are the catalogue's, without the prefix of the product; the values of the labels come in the order in
which the catalogue names them. A ratio whose denominator is 0 has no answer, nor has a moment that never was.

These are the figures of activity (`NAMES`). What came of it is in `results.py`.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

from streams.calendars import shift_bounds
from streams.contract.events import DIRECTIONS, DISPOSITIONS, KINDS
from streams.simulator.telephony.legs import TRANSFER, Leg
from streams.simulator.truth.leg_outcomes import Verdict, known, verdict
from streams.simulator.truth.truth import Account, LeadAccount, Truth
from streams.units import HOUR_MS, MINUTE_MS

Answers: TypeAlias = dict[tuple[str, tuple[str, ...]], float]
Figure: TypeAlias = tuple[str, tuple[str, ...], float]

DAYS: Final[Mapping[str, int]] = {"today": 1, "7d": 7, "30d": 30, "90d": 90}
BUCKETS: Final = ("1", "2", "3", "4", "5+")
NAMES: Final = frozenset(
    {
        "calls", "calls_by_kind", "calls_by_disposition", "answered_calls", "connect_ratio", "short_call_ratio",
        "meaningful_calls", "conversations", "attempts_per_contact", "talk_time_seconds", "calls_talked",
        "calls_timed_out", "calls_in_progress", "longest_call_in_progress_seconds", "last_activity_timestamp_seconds",
        "idle_seconds", "on_shift", "presence", "work_block_seconds", "work_blocks", "breaks_missed",
        "open_leads_by_calls", "calls_per_lead", "leads_over_called",
    }
)  # fmt: skip
"""The metrics of which the truth knows every series."""
_PRESENCE_KEPT_MS: Final = 16 * HOUR_MS
_LEAD_DAYS: Final = 30


def answers(truth: Truth, now_ms: int) -> Answers:
    """Return every figure of `NAMES` of every manager at `now_ms`."""
    found: Answers = {}
    leads = None if truth.leads is None else _Leads(truth, truth.leads, now_ms)
    for account in truth.accounts.values():
        who = (account.manager.id, account.manager.team)
        for name, labels, value in _figures(truth, account, now_ms):
            found[name, (*who, *labels)] = float(value)
        if leads is not None:
            for name, labels, value in leads.figures(account, account.local.day(now_ms)):
                found[name, (*who, *labels)] = float(value)
    return found


def _figures(truth: Truth, account: Account, now_ms: int) -> Iterator[Figure]:
    finished = []
    in_progress = []
    max_call_ms = truth.thresholds.max_call_ms
    for leg in account.legs:
        told = verdict(leg, now_ms, max_call_ms)
        if told is not None:
            finished.append((leg, told))
            continue
        if leg.got & TRANSFER:  # handed over, and no more is known of it than that: neither counted nor in progress
            continue
        since = min((at for at in known(leg) if at is not None), default=None)
        if since is not None and since > now_ms - max_call_ms:
            in_progress.append(since)
    windows = {"1h": _last_hour(truth, finished, now_ms)}
    today = account.local.day(now_ms)
    for window, length in DAYS.items():
        windows[window] = _days(truth, account, finished, range(today - length + 1, today + 1))
    for window, counts in windows.items():
        yield from _window(window, counts)
    yield from _today(truth, windows["today"])
    yield "calls_in_progress", (), len(in_progress)
    yield "longest_call_in_progress_seconds", (), max((now_ms - since for since in in_progress), default=0) / 1000
    if account.active_at:
        yield "last_activity_timestamp_seconds", (), account.active_at / 1000
    yield from _attendance(truth, account, now_ms, busy=bool(in_progress))
    yield from _work(truth, account, now_ms, today, busy=bool(in_progress))


def _last_hour(truth: Truth, finished: list[tuple[Leg, Verdict]], now_ms: int) -> Mapping[str, int]:
    counts = truth.tally.empty()
    last = now_ms // MINUTE_MS
    for leg, told in finished:
        if last - 60 < told.at // MINUTE_MS <= last:
            truth.tally.add(counts, leg, told)
    return dict(zip(truth.tally.places, counts, strict=True))


def _days(truth: Truth, account: Account, finished: list[tuple[Leg, Verdict]], days: range) -> Mapping[str, int]:
    counts = truth.tally.empty()
    for day in days:
        for place, count in enumerate(account.days.get(day, ())):
            counts[place] += count
    for leg, told in finished:
        if account.local.day(told.at) in days:
            truth.tally.add(counts, leg, told)
    return dict(zip(truth.tally.places, counts, strict=True))


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
        for kind in (*KINDS, "unknown"):
            yield "calls_by_kind", (window, kind), counts[f"kind:{kind}"]
    if window in ("today", "30d"):
        yield "conversations", (window,), counts["conversations"]
    if window == "30d" and counts["connected"]:
        yield "attempts_per_contact", (window,), counts["outbound"] / counts["connected"]


def _today(truth: Truth, counts: Mapping[str, int]) -> Iterator[Figure]:
    for disposition in DISPOSITIONS:
        yield "calls_by_disposition", ("today", disposition), counts[f"disposition:{disposition}"]
    for bound in truth.thresholds.histogram_ms:
        yield "calls_talked", ("today", f"{bound / 1000:g}"), counts[f"le:{bound}"]
    yield "calls_talked", ("today", "+Inf"), counts["talked"]
    yield "calls_timed_out", ("today",), counts["timed_out"]


def _attendance(truth: Truth, account: Account, now_ms: int, *, busy: bool) -> Iterator[Figure]:
    presence = account.presence
    online = presence is not None and presence.state != "offline"
    since = 0
    if account.manager.shifts:
        bounds = shift_bounds(truth.settings, account.manager, now_ms)
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


def _work(truth: Truth, account: Account, now_ms: int, today: int, *, busy: bool) -> Iterator[Figure]:
    limits = truth.thresholds
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
    """The leads by the manager who owns them, settled legs and those that may still change taken together."""

    def __init__(self, truth: Truth, settled: Mapping[str, LeadAccount], now_ms: int) -> None:
        self._most_dials = truth.thresholds.calls_per_lead_day
        self._owned: dict[str, list[LeadAccount]] = {}
        leads = dict(settled)
        for account in truth.accounts.values():
            for leg in account.legs:
                told = None if leg.lead is None else verdict(leg, now_ms, truth.thresholds.max_call_ms)
                if told is None or leg.lead is None:
                    continue
                key = truth.links.get(leg.lead, leg.lead)
                lead = leads.get(key)
                if lead is None:
                    lead = leads[key] = LeadAccount()
                elif lead is settled.get(key):
                    lead = leads[key] = copy.deepcopy(lead)
                lead.add(account.local.day(told.at), leg, told)
        for lead in leads.values():
            self._owned.setdefault(lead.newest[2], []).append(lead)

    def figures(self, account: Account, today: int) -> Iterator[Figure]:
        """Yield what the leads of a manager come to."""
        by_calls: Counter[str] = Counter()
        called = calls = over_called = 0
        for lead in self._owned.get(account.manager.id, ()):
            recent = [counts for day, counts in lead.days.items() if day > today - _LEAD_DAYS]
            lead_calls = sum(counts[0] for counts in recent)
            if lead_calls:
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
