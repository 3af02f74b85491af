"""Timelines: events of one manager drawn with a character a minute, and rows folded from them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

from streams.calendars import local_time, shift_bounds
from streams.contract.events import (
    CallAnswered,
    CallEnded,
    CallsEvent,
    CallStarted,
    CallTransferred,
    EndedBy,
    ManagerPresence,
    PresenceState,
)
from streams.settings.settings import Manager, Settings, Thresholds
from streams.tables.manager.effect import ManagerEffect
from streams.tables.manager.fold import ManagerFold
from streams.tables.manager.row import ManagerRow
from streams.tables.manager.view import ManagerReader, ManagerView

ZONE = "Europe/Moscow"  # UTC+3 all year
MANAGER = "anna"
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
NINE = 1_792_994_400_000  # 2026-10-26 09:00 in Moscow, a Monday
THRESHOLDS = Thresholds()
FOLD = ManagerFold(THRESHOLDS)
READER = ManagerReader(Settings())

How: TypeAlias = Literal["blind", "attended"]
_HEAD: dict[str, Any] = {"v": 1, "source": "pbx", "manager": MANAGER}
_ENDS: dict[str, EndedBy] = {"e": "hangup", "c": "cdr", "o": "timeout"}


def started(call: str, at: int, **more: Any) -> CallStarted:
    more = {"direction": "outbound", "kind": "cold", "lead": f"lead-{call}", "id": f"{call}.s{at}", **more}
    return CallStarted(at=at, call=call, **{**_HEAD, **more})


def answered(call: str, at: int, **more: Any) -> CallAnswered:
    return CallAnswered(at=at, call=call, **{**_HEAD, "id": f"{call}.a{at}", **more})


def transferred(call: str, at: int, to: str = "boris", how: How = "blind", **more: Any) -> CallTransferred:
    return CallTransferred(at=at, call=call, to_manager=to, how=how, **{**_HEAD, "id": f"{call}.t{at}", **more})


def ended(call: str, at: int, *, begun: int, talk: int | None = None, by: EndedBy = "hangup", **more: Any) -> CallEnded:
    """Return the end of a leg; `talk` None: it was not answered."""
    more = {
        "direction": "outbound",
        "kind": "cold",
        "lead": f"lead-{call}",
        "id": f"{call}.e{at}{by}",
        "disposition": "no_answer" if talk is None else "answered",
        **more,
    }
    return CallEnded(at=at, call=call, started_at=begun, talk_ms=talk or 0, ended_by=by, **{**_HEAD, **more})


def presence(state: PresenceState, at: int, **more: Any) -> ManagerPresence:
    return ManagerPresence(at=at, state=state, **{**_HEAD, "id": f"p{at}{state}", **more})


def passing(start: int, end: int) -> list[ManagerPresence]:
    """Return presence from `start` to `end`, often enough that the manager's clock goes on."""
    return [presence("available", at, id=f"passing{at}") for at in (*range(start, end, 30 * MINUTE), end)]


def drawn(picture: str, start: int = NINE) -> list[CallsEvent]:
    """Return the events of a picture: a line a call, a column a minute, in the order of time.

    s start, a answer, e hangup, c CDR, o timeout from elsewhere, b blind and t attended transfer. Ends count the talk
    since the answer of their line; a line without one is unanswered. Spaces and dots are time that passes.
    """
    events: list[CallsEvent] = []
    for line in picture.splitlines():
        if not line.strip():
            continue
        call, _, marks = line.strip().partition(" ")
        offset = line.index(marks) if marks else 0
        first = min(column for column, mark in enumerate(marks) if mark not in " .") if marks.strip(" .") else 0
        answer = marks.find("a")
        for column, mark in enumerate(marks):
            at = start + (column + offset) * MINUTE
            begun = start + (first + offset) * MINUTE
            talk = None if answer < 0 else (column - answer) * MINUTE
            if mark == "s":
                events.append(started(call, at))
            elif mark == "a":
                events.append(answered(call, at))
            elif mark in "bt":
                events.append(transferred(call, at, how="blind" if mark == "b" else "attended"))
            elif mark in "eco":
                events.append(ended(call, at, begun=begun, talk=talk, by=_ENDS[mark]))
            elif mark not in " .":
                raise ValueError(mark)
    return sorted(events, key=lambda event: event.at)


def new_row() -> ManagerRow:
    return ManagerRow(MANAGER, local_time(ZONE))


def folded(events: Iterable[CallsEvent], row: ManagerRow | None = None) -> tuple[ManagerRow, list[ManagerEffect]]:
    """Return a row with `events` folded in the order given, and the effect of each."""
    row = new_row() if row is None else row
    first = row.live.pos + 1
    return row, [FOLD.fold(row, event, first + place) for place, event in enumerate(events)]


def seen(row: ManagerRow, now: int, **more: Any) -> ManagerView:
    return READER.read(row, now, **more)


def on_shift(settings: Settings, manager: Manager, at_ms: int) -> bool:
    """Return whether the manager is planned to work at `at_ms`."""
    return shift_bounds(settings, manager, at_ms) is not None
