"""What a manager's events come to, counted the slow way: from the list of all of them, with nothing kept in between."""

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
    starts = sorted((e for e in known if isinstance(e, CallStarted)), key=lambda e: (e.at, e.id))
    answers = [e.at for e in known if isinstance(e, CallAnswered)]
    transfers = sorted((e for e in known if isinstance(e, CallTransferred)), key=lambda e: (e.at, e.id))
    ends = [e for e in known if isinstance(e, CallEnded)]

    def best(by: str) -> Any:
        of = [e for e in ends if e.ended_by == by]
        return max(of, key=lambda e: (e.disposition == "answered", e.at, e.id), default=None)

    for end in (best("hangup"), best("cdr")):
        if end is not None:
            return Counted(
                end.at,
                end.started_at,
                end.direction,
                end.kind or "unknown",
                end.disposition,
                end.talk_ms if end.disposition == "answered" else None,
                end.lead,
                timed_out=False,
            )
    timeout = best("timeout")
    if transfers and (starts or timeout):
        of: CallStarted | CallEnded = starts[0] if starts else timeout
        at = transfers[-1].at
        begun = of.at if isinstance(of, CallStarted) else of.started_at
        talk = max(0, at - min(answers)) if answers else None
        return Counted(at, begun, of.direction, of.kind or "unknown", "answered", talk, of.lead, timed_out=False)
    if timeout is None:
        return None
    disposition = "answered" if answers else timeout.disposition
    return Counted(
        timeout.at,
        timeout.started_at,
        timeout.direction,
        timeout.kind or "unknown",
        disposition,
        None,
        timeout.lead,
        timed_out=True,
    )


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


def _figures(legs: list[Counted]) -> dict[Any, Any]:
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
        "histogram": [
            sum(talk <= bound * 1000 for talk in talks) for bound in (6, 20, 60, 120, 180, 300, 600, 1200, 10**9)
        ],
    }


def _progress(events: list[CallsEvent], now: int) -> dict[Any, Any]:
    begun: dict[str, int] = {}
    over = {e.call for e in events if isinstance(e, CallEnded | CallTransferred)}
    for event in events:
        if isinstance(event, CallStarted | CallAnswered) and event.call not in over:
            begun[event.call] = min(begun.get(event.call, event.at), event.at)
    open_since = [at for at in begun.values() if at > now - 4 * HOUR]
    return {"in_progress": len(open_since), "longest": max(0, now - min(open_since)) if open_since else 0}


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
    busy = _progress(events, now)["in_progress"] > 0
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
