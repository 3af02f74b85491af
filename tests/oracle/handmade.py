"""Events written by hand, for tests whose expected figures are written by hand too."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final

from tests.oracle.contract import TYPES, Raw
from tests.oracle.names import METRICS
from tests.oracle.oracle import DEFAULTS as THRESHOLDS
from tests.oracle.oracle import Answers, Claims, answers, claims
from tests.oracle.practice import Practice

SECOND: Final = 1_000
MINUTE: Final = 60_000
HOUR: Final = 3_600_000
DAY: Final = 86_400_000


def utc(text: str) -> int:
    """Return the moment, in ms since epoch, that an ISO text without a zone names in UTC."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


NOON: Final = utc("2026-11-23T12:00")
"""A Monday; the zone of managers is UTC unless a test sets another one."""

Event = dict[str, Any]
DEFAULTS: Final = Practice()


def started(at: int, call: str = "c1", manager: str = "anna", **more: Any) -> Event:
    return _event("call.started", at, call, manager, {"direction": "outbound", **more})


def answered(at: int, call: str = "c1", manager: str = "anna", **more: Any) -> Event:
    return _event("call.answered", at, call, manager, more)


def transferred(at: int, to_manager: str, call: str = "c1", manager: str = "anna", **more: Any) -> Event:
    return _event("call.transferred", at, call, manager, {"to_manager": to_manager, "how": "blind", **more})


def ended(at: int, call: str = "c1", manager: str = "anna", **more: Any) -> Event:
    """Return an answered dial of 40 s with 30 s of talk; `more` replaces fields."""
    usual = {"direction": "outbound", "started_at": at - 40 * SECOND, "talk_ms": 30 * SECOND, "disposition": "answered"}
    return _event("call.ended", at, call, manager, usual | more)


def presence(at: int, state: str, manager: str = "anna", **more: Any) -> Event:
    return {"v": 1, "id": f"p{at}", "type": "manager.presence", "at": at, "source": "pbx", "manager": manager,
            "state": state} | more  # fmt: skip


def noted(at: int, lead: str, call: str = "c1", **more: Any) -> Event:
    """Return an annotation of a call; `more` may have kind, stages, reason, next_step, revision, manager."""
    return _of_lead("call.annotated", at, lead, {"call": call, **more})


def agreed(due_at: int | None = None) -> Event:
    """Return an agreed next step."""
    return {"agreed": True, "due_at": due_at}


def deal(at: int, lead: str, stage: str, name: str | None = None, **more: Any) -> Event:
    """Return a change of a deal: of the lead's own deal unless another is named.

    `more` may have amount, currency, product, channel, client_type, manager.
    """
    return _of_lead("deal.stage_changed", at, lead, {"deal": name or f"d-{lead}", "stage": stage, **more})


def deleted(at: int, lead: str, name: str | None = None) -> Event:
    return _of_lead("deal.deleted", at, lead, {"deal": name or f"d-{lead}"})


def consulted(at: int, lead: str) -> Event:
    return _of_lead("lead.consulted", at, lead, {"mentor": "mia"})


def touched(at: int, lead: str, channel: str = "email", **more: Any) -> Event:
    return _of_lead("activity.logged", at, lead, {"channel": channel, **more})


def linked(at: int, lead: str, old_key: str) -> Event:
    return _of_lead("lead.linked", at, lead, {"old_key": old_key})


def _of_lead(kind: str, at: int, lead: str, more: Mapping[str, Any]) -> Event:
    named = "/".join(map(str, (kind, lead, at, *more.values())))
    return {"v": 1, "id": named[:128], "type": kind, "at": at, "source": "crm", "lead": lead, **more}


def _event(kind: str, at: int, call: str, manager: str, more: Mapping[str, Any]) -> Event:
    named = f"{kind} {call} {manager} {at}"
    return {"v": 1, "id": named, "type": kind, "at": at, "source": "pbx", "call": call, "manager": manager, **more}


def records(events: Iterable[Event]) -> list[Raw]:
    """Return the events as one partition that took each in at its moment, but never earlier than its predecessor."""
    found: list[Raw] = []
    for offset, event in enumerate(events):
        arrived = max(event["at"], found[-1].timestamp_ms if found else 0)
        topic, key = ("crm", event["lead"]) if event["type"] in TYPES["crm"] else ("calls", event["manager"])
        found.append(Raw(topic, 0, offset, arrived, key.encode(), json.dumps(event).encode()))
    return found


class Told:
    """The oracle's answers at one moment, by short names."""

    def __init__(
        self,
        events: Iterable[Event],
        now_ms: int,
        roster: Mapping[str, str] | None = None,
        practice: Practice = DEFAULTS,
    ) -> None:
        self._asked = records(events), roster or {"anna": "UTC"}, "UTC", now_ms, THRESHOLDS
        self._practice = practice

    @cached_property
    def answers(self) -> Answers:
        """All answers of the oracle."""
        return answers(*self._asked, self._practice)

    @cached_property
    def activity(self) -> Answers:
        """The answers on activity alone, which take half as long."""
        return answers(*self._asked)

    def __call__(self, name: str, manager: str = "anna", **labels: str) -> float | None:
        """Return the value of a sample; None where there is none."""
        found = self.activity if f"callpulse_{name}" in METRICS else self.answers
        return found.get((f"callpulse_{name}", tuple(sorted({"manager": manager, **labels}.items()))))

    def team(self, name: str, **labels: str) -> float | None:
        """Return the value of a sample of a team; None where there is none."""
        of = {"team": "unassigned", "partition": "0", **labels}
        return self.answers.get((f"callpulse_team_{name}", tuple(sorted(of.items()))))

    def claims(self, manager: str = "anna") -> dict[str, dict[int, int]]:
        """Return the contributions of leads to the manager, by measure and days after the day of `NOON`."""
        found: Claims = claims(*self._asked, self._practice)
        told: dict[str, dict[int, int]] = {}
        for (whom, measure, day), n in found.items():
            if whom == manager:
                told.setdefault(measure, {})[day - NOON // DAY] = n
        return told

    def calls(self, manager: str = "anna", window: str = "today") -> float:
        """Return the finished legs of the window, both directions."""
        both = [self("calls", manager, window=window, direction=direction) for direction in ("inbound", "outbound")]
        return sum(value for value in both if value is not None)

    def steps(self, name: str, manager: str = "anna") -> list[float | None]:
        """Return a distribution of leads, from one call or conversation to five or more."""
        return [self(f"open_leads_by_{name}", manager, **{name: step}) for step in ("1", "2", "3", "4", "5+")]
