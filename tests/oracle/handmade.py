"""Events written by hand, for tests whose expected figures are written by hand too."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from tests.oracle.contract import Raw
from tests.oracle.oracle import Answers, answers

SECOND: Final = 1_000
MINUTE: Final = 60_000
HOUR: Final = 3_600_000
DAY: Final = 86_400_000


def utc(text: str) -> int:
    """Return the moment, in ms since epoch, that an ISO text without a zone names in UTC."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


NOON: Final = utc("2026-11-23T12:00")
"""A Monday; the zone of managers is UTC where a test says nothing else."""

Event = dict[str, Any]


def started(at: int, call: str = "c1", manager: str = "anna", **more: Any) -> Event:
    return _event("call.started", at, call, manager, {"direction": "outbound", **more})


def answered(at: int, call: str = "c1", manager: str = "anna", **more: Any) -> Event:
    return _event("call.answered", at, call, manager, more)


def transferred(at: int, to_manager: str, call: str = "c1", manager: str = "anna", **more: Any) -> Event:
    return _event("call.transferred", at, call, manager, {"to_manager": to_manager, "how": "blind", **more})


def ended(at: int, call: str = "c1", manager: str = "anna", **more: Any) -> Event:
    """Return an answered dial with 30 s of talk that lasted 40 s, but for what `more` says."""
    usual = {"direction": "outbound", "started_at": at - 40 * SECOND, "talk_ms": 30 * SECOND, "disposition": "answered"}
    return _event("call.ended", at, call, manager, usual | more)


def presence(at: int, state: str, manager: str = "anna", **more: Any) -> Event:
    return {"v": 1, "id": f"p{at}", "type": "manager.presence", "at": at, "source": "pbx", "manager": manager,
            "state": state} | more  # fmt: skip


def _event(kind: str, at: int, call: str, manager: str, more: Mapping[str, Any]) -> Event:
    named = f"{kind} {call} {manager} {at}"
    return {"v": 1, "id": named, "type": kind, "at": at, "source": "pbx", "call": call, "manager": manager, **more}


def records(events: Iterable[Event]) -> list[Raw]:
    """Return the events as one partition that took each in when it happened, but never earlier than the one before."""
    found: list[Raw] = []
    for offset, event in enumerate(events):
        arrived = max(event["at"], found[-1].timestamp_ms if found else 0)
        value = json.dumps(event).encode()
        found.append(Raw("calls", 0, offset, arrived, event["manager"].encode(), value))
    return found


class Told:
    """What the oracle answers at one moment, by short names."""

    def __init__(self, events: Iterable[Event], now_ms: int, roster: Mapping[str, str] | None = None) -> None:
        self.answers: Answers = answers(records(events), roster or {"anna": "UTC"}, "UTC", now_ms)

    def __call__(self, name: str, manager: str = "anna", **labels: str) -> float | None:
        """Return the value of a sample; None where there is none."""
        return self.answers.get((f"callpulse_{name}", tuple(sorted({"manager": manager, **labels}.items()))))

    def calls(self, manager: str = "anna", window: str = "today") -> float:
        """Return the finished legs of the window, both directions."""
        both = [self("calls", manager, window=window, direction=direction) for direction in ("inbound", "outbound")]
        return sum(value for value in both if value is not None)

    def steps(self, name: str, manager: str = "anna") -> list[float | None]:
        """Return a distribution of leads, from one call or conversation to five or more."""
        return [self(f"open_leads_by_{name}", manager, **{name: step}) for step in ("1", "2", "3", "4", "5+")]
