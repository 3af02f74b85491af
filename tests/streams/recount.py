"""The figures of a manager's events, counted the slow way: from the list of all events, without a state in between."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from streams.contract.events import CallAnswered, CallEnded, CallsEvent, CallStarted, CallTransferred, ManagerPresence

MINUTE = 60_000
HOUR = 60 * MINUTE


class Counted(NamedTuple):
    at: int
    started_at: int
    direction: str
    kind: str
    disposition: str
    talk: int | None
    lead: str | None
    timed_out: bool


def counted_legs(events: Iterable[CallsEvent]) -> dict[str, Counted]:
    legs: dict[str, list[Any]] = defaultdict(list)
    for event in {event.id: event for event in events}.values():
        if not isinstance(event, ManagerPresence):
            legs[event.call].append(event)
    found = {call: _counted(known) for call, known in legs.items()}
    return {call: leg for call, leg in found.items() if leg is not None}


def _counted(known: list[Any]) -> Counted | None:
    """Return the count of a leg: one for all stretches in which it was in progress, with the sum of their talk."""
    starts = sorted((e for e in known if isinstance(e, CallStarted)), key=lambda e: (e.at, e.id))
    answers = [e.at for e in known if isinstance(e, CallAnswered)]
    transfers = [e for e in known if isinstance(e, CallTransferred)]
    ends = [e for e in known if isinstance(e, CallEnded)]
    real = [e for e in ends if e.ended_by != "timeout"]
    timeout = max((e for e in ends if e.ended_by == "timeout"), key=_worth, default=None)
    first: CallStarted | CallEnded | None = starts[0] if starts else timeout
    parts = []
    for begun, until in stretches(known):
        own_ends = [e for e in real if begun <= e.started_at < until]
        if own_ends:
            end = max(own_ends, key=_worth)
            talk = end.talk_ms if end.disposition == "answered" else None
            parts.append(_as_counted(end, end.at, end.started_at, end.disposition, talk))
            continue
        moved = max((e for e in transfers if begun < e.at <= until), key=lambda e: (e.at, e.id), default=None)
        described = first or max(real, key=_worth, default=None)
        if moved is not None and described is not None:
            own_answers = [at for at in answers if begun <= at < until]
            talk = max(0, moved.at - min(own_answers)) if own_answers else None
            own_starts = [s.at for s in starts if begun <= s.at < until]
            start = min(own_starts) if own_starts else getattr(described, "started_at", described.at)
            parts.append(_as_counted(described, moved.at, start, "answered", talk))
    parts = [part for part in parts if part.kind != "internal"] or parts
    if parts:
        talks = [part.talk for part in parts if part.talk is not None]
        leads = [part.lead for part in parts if part.lead is not None]
        return parts[0]._replace(
            at=parts[-1].at,
            disposition="answered" if any(p.disposition == "answered" for p in parts) else parts[-1].disposition,
            talk=sum(talks) if talks else None,
            lead=leads[-1] if leads else None,
        )
    if timeout is None:
        return None
    disposition = "answered" if answers else timeout.disposition
    return _as_counted(timeout, timeout.at, timeout.started_at, disposition, None)._replace(timed_out=True)


def _worth(end: CallEnded) -> Any:
    # A timeout is no more certain than another one.
    is_certain = end.uncertain is not True or end.ended_by == "timeout"
    return is_certain, end.ended_by == "hangup", end.disposition == "answered", end.at, end.id


def _as_counted(said: Any, at: int, started_at: int, disposition: str, talk: int | None) -> Counted:
    kind = "internal" if said.internal is True else said.kind or "unknown"
    lead = None if kind == "internal" else said.lead
    return Counted(at, started_at, said.direction, kind, disposition, talk, lead, timed_out=False)


def stretches(known: list[Any]) -> list[tuple[int, int]]:
    """Return the stretches of a leg, half-open: a start opens one if the leg ended after the start before it."""
    real = [e for e in known if isinstance(e, CallEnded) and e.ended_by != "timeout"]
    starts = sorted({e.at for e in known if isinstance(e, CallStarted)} | {e.started_at for e in real})
    over = [e.at for e in known if isinstance(e, CallTransferred)] + [e.at for e in real]
    begins = [0]
    for place, at in enumerate(starts[1:], 1):
        if any(starts[place - 1] < closing <= at for closing in over):
            begins.append(at)
    return list(zip(begins, [*begins[1:], 10**15], strict=True))


def recount(events: Iterable[CallsEvent], now: int, zone: str) -> dict[str, Any]:
    """Return every figure of one manager at `now`, by the name and labels of its series."""
    events = list({event.id: event for event in events}.values())
    today = _day(now, zone)
    legs = counted_legs(events).values()
    figures: dict[str, Any] = {}
    for window in ("1h", "today", "7d", "30d", "90d"):
        if window == "1h":
            inside = [leg for leg in legs if now // MINUTE - 60 < leg.at // MINUTE <= now // MINUTE]
        else:
            length = {"today": 1, "7d": 7, "30d": 30, "90d": 90}[window]
            inside = [leg for leg in legs if today - length < _day(leg.at, zone) <= today]
        figures.update({(name, window): figure for name, figure in _figures(inside).items()})
    figures.update(_progress(events, now))
    figures.update(_work(events, now, today, zone))
    presences = [e for e in events if isinstance(e, ManagerPresence)]
    figures["presence"] = max(presences, key=lambda e: (e.at, e.id)).state if presences else ""
    return figures


def _figures(all_legs: list[Counted]) -> dict[Any, Any]:
    internal = [leg for leg in all_legs if leg.kind == "internal"]
    legs = [leg for leg in all_legs if leg.kind != "internal"]
    answered = [leg for leg in legs if leg.disposition == "answered"]
    talks = [leg.talk for leg in answered if leg.talk is not None]
    return {
        "inbound": sum(leg.direction == "inbound" for leg in legs),
        "outbound": sum(leg.direction == "outbound" for leg in legs),
        "kinds": Counter(leg.kind for leg in legs),
        "dispositions": Counter(leg.disposition for leg in legs),
        "answered": len(answered),
        "connected": sum(leg.direction == "outbound" for leg in answered),
        "talked": len(talks),
        "talk": sum(talks),
        "short": sum(talk < 120_000 for talk in talks),
        "conversations": sum(talk >= 60_000 for talk in talks),
        "meaningful": sum(talk >= 300_000 for talk in talks),
        "timed_out": sum(leg.timed_out for leg in legs),
        "internal": len(internal),
        "internal_talk": sum(leg.talk or 0 for leg in internal),
        "histogram": [
            sum(talk <= bound * 1000 for talk in talks) for bound in (6, 20, 60, 120, 180, 300, 600, 1200, 10**9)
        ],
    }


def _progress(events: list[CallsEvent], now: int) -> dict[Any, Any]:
    legs: dict[str, list[Any]] = defaultdict(list)
    for event in events:
        if not isinstance(event, ManagerPresence):
            legs[event.call].append(event)
    busy = [
        (since, known) for known in legs.values() if (since := _since(known)) is not None and since > now - 4 * HOUR
    ]
    open_since = [since for since, known in busy if not _is_internal(known)]
    longest = max(0, now - min(open_since)) if open_since else 0
    return {"in_progress": len(open_since), "longest": longest, "busy": bool(busy)}


def _is_internal(known: list[Any]) -> bool:
    starts = sorted((e for e in known if isinstance(e, CallStarted)), key=lambda e: (e.at, e.id))
    return bool(starts) and starts[0].internal is True


def _since(known: list[Any]) -> int | None:
    """Return the moment since which a leg is in progress, None for one that is not."""
    begin, _ = stretches(known)[-1]
    if begin == 0 and any(isinstance(e, CallEnded | CallTransferred) for e in known):
        return None
    if any(isinstance(e, CallEnded) and e.started_at >= begin for e in known):
        return None
    if any(isinstance(e, CallTransferred) and e.at > begin for e in known):
        return None
    return begin or min(e.at for e in known if isinstance(e, CallStarted | CallAnswered))


def _work(events: list[CallsEvent], now: int, today: int, zone: str) -> dict[Any, Any]:
    spans = []
    for event in events:
        if isinstance(event, ManagerPresence) or (isinstance(event, CallEnded) and event.ended_by == "timeout"):
            continue
        begun = max(event.started_at, event.at - 4 * HOUR) if isinstance(event, CallEnded) else event.at
        spans.append((begun, event.at))
    runs: list[list[int]] = []
    for begun, end in sorted(spans):
        if runs and begun < runs[-1][1] + 15 * MINUTE:
            runs[-1][1] = max(runs[-1][1], end)
        else:
            runs.append([begun, end])
    last = max((end for _, end in spans), default=0)
    busy = _progress(events, now)["busy"]
    if runs and busy:
        runs[-1][1] = max(runs[-1][1], now)
    begun_today = [end - begun for begun, end in runs if _day(begun, zone) == today]
    is_current = bool(runs) and (busy or now - runs[-1][1] < 15 * MINUTE)
    return {
        "last_activity": last,
        "work_block": runs[-1][1] - runs[-1][0] if is_current else 0,
        "work_blocks": sum(length >= 2 * HOUR for length in begun_today),
        "breaks_missed": sum(length // (3 * HOUR) for length in begun_today),
    }


def _day(at: int, zone: str) -> int:
    local = datetime.fromtimestamp(at / 1000, UTC).astimezone(ZoneInfo(zone))
    return (local.date() - date(1970, 1, 1)).days
