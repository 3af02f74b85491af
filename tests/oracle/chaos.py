"""A small department of random events: every kind of event, in any order, at every difficult moment.

Unlike those of the simulator, these events make no sense. Notes come before their calls and twice, deals go back and
forth, callers are linked to leads that are linked themselves, transfers and deals name other leads, two CRMs use the
same ids of deals, and days lie on both sides of midnight.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from tests.oracle.contract import Raw
from tests.oracle.handmade import DAY, HOUR, MINUTE, SECOND, Event

ZONES: Final = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Kiritimati")
KINDS: Final = ("cold", "targeted", "inbound", "repeat", None, None)
STAGES: Final = ("qualified", "presentation", "proposal", "won", "lost", "weather", "Won", "LOST ")
WORDS: Final = (None, None, "gold", "silver", "email", "phone", "x=y|z@w:EUR", "", "none", "other")
REASONS: Final = ("reminder", "price_objection", "weather", None, None)
AMOUNTS: Final = (None, None, "10", "0.005", "-3.25", "1000000000000", "1000000000000.01", "999999999999999", "12.5")
ODD_AMOUNTS: Final = ("1 200,50", "twelve", "", "NaN", True, 17.25)


@dataclass(frozen=True, kw_only=True)
class Chaos:
    """The parameters of the events. `roster` maps managers to zones; `now_ms` is later than all events."""

    seed: int
    now_ms: int
    roster: dict[str, str] = field(default_factory=dict)
    leads: int = 30
    days: float = 200.0

    def events(self) -> list[Event]:
        """Return the events: those of calls in their order, those of leads at random places."""
        maker = _Maker(self)
        calls = sorted(maker.calls(), key=lambda event: event["at"])
        said = maker.said()
        maker.random.shuffle(said)
        for event in said:
            calls.insert(maker.random.randint(0, len(calls)), event)
        return calls

    def records(self, partitions: int = 1) -> list[Raw]:
        """Return the events as records in partitions, by a partitioner of its own; some come twice in a row."""
        rng = random.Random(self.seed + 1)
        offsets: dict[tuple[str, int], int] = {}
        found = []
        for number, event in enumerate(self.events()):
            topic, key = (
                ("calls", event["manager"]) if "direction" in event or "to_manager" in event else ("crm", event["lead"])
            )
            where = (topic, place(key, partitions))
            for _ in range(2 if rng.random() < 0.05 else 1):
                offsets[where] = offsets.get(where, -1) + 1
                value = json.dumps(event).encode()
                found.append(Raw(*where, offsets[where], self.now_ms + number, key.encode(), value))
        return found


def place(key: str, partitions: int) -> int:
    """Return the partition of a key."""
    return sum(key.encode()) % partitions


def roster(count: int) -> dict[str, str]:
    """Return managers in zones that have different days most of the time."""
    return {f"m{number}": ZONES[number % len(ZONES)] for number in range(count)}


class _Maker:
    def __init__(self, plan: Chaos) -> None:
        self.plan = plan
        self.random = random.Random(plan.seed)
        self.managers = list(plan.roster)
        self.leads = [f"lead-{number}" for number in range(plan.leads)]
        # Each key has one next key at most, and only a greater one: no circles, and no second link of one key.
        self.next = {
            key: self.random.choice(self.leads[number + 1 :])
            for number, key in enumerate(self.leads[:-1])
            if self.random.random() < 0.25
        }
        self.made: list[tuple[str, str, int, str | None]] = []  # call, manager, when it ended, lead

    def moment(self) -> int:
        """Return a moment, often within the last days, and often beside midnight or a limit of the allowed hours."""
        rng, plan = self.random, self.plan
        ago = rng.choice((rng.uniform(0, 3), rng.uniform(0, 40), rng.uniform(0, plan.days)))
        at = plan.now_ms - round(ago * DAY) - 1
        if rng.random() < 0.3:
            at = at // (30 * MINUTE) * 30 * MINUTE + rng.choice((-1, 0, 1))
        return at

    def calls(self) -> Iterator[Event]:
        rng = self.random
        for lead in self.leads:
            for _ in range(rng.choice((0, 1, 2, 4, 7, 12))):
                yield from self.call(lead if rng.random() < 0.95 else None)

    def call(self, lead: str | None) -> Iterator[Event]:
        rng = self.random
        number = len(self.made)
        call, manager, at = f"c{number}", rng.choice(self.managers), self.moment()
        talk_ms = rng.choice((0, 59_999, 60_000, 120_000, 400_000, 5 * HOUR))
        begun = at - talk_ms - rng.choice((0, 20 * SECOND, 3 * MINUTE))
        direction = rng.choice(("outbound", "outbound", "inbound"))
        kind = rng.choice(KINDS)
        usual = {"v": 1, "source": "pbx", "call": call, "lead": lead, "direction": direction, "kind": kind}
        if rng.random() < 0.05:
            usual["internal"] = rng.random() < 0.8
        if rng.random() < 0.15:
            other = rng.choice(self.managers)
            yield {**usual, "id": f"{call}s", "type": "call.started", "at": begun, "manager": manager}
            yield {
                **{name: usual[name] for name in ("v", "source", "call")},
                "id": f"{call}t",
                "type": "call.transferred",
                "at": begun + 1,
                "manager": manager,
                "to_manager": other,
                "how": rng.choice(("blind", "attended")),
            }
            self.made.append((call, manager, begun + 1, lead))
            manager = other
        disposition = rng.choice(("answered", "answered", "answered", "no_answer", "busy", "voicemail"))
        end = {
            **usual,
            "id": f"{call}e",
            "type": "call.ended",
            "at": at,
            "manager": manager,
            "started_at": begun,
            "talk_ms": talk_ms,
            "disposition": disposition,
            "ended_by": rng.choice(("hangup", "hangup", "cdr")),
        }
        self.made.append((call, manager, at, lead))
        yield end
        if rng.random() < 0.08 and at + 2 * HOUR < self.plan.now_ms:  # the call comes back to the manager
            again, talk_ms = at + rng.choice((0, MINUTE)), rng.choice((0, 60_000, HOUR))
            yield {**usual, "id": f"{call}b", "type": "call.started", "at": again, "manager": manager}
            if rng.random() < 0.9:
                yield end | {"id": f"{call}r", "at": again + talk_ms, "started_at": again, "talk_ms": talk_ms}
        if (
            random.Random(f"{self.plan.seed} {call}").random() < 0.08
        ):  # uncertain: from a source that did not see all of it
            yield end | {"id": f"{call}u", "uncertain": True, "at": at + 2, "talk_ms": talk_ms // 2}
        if rng.random() < 0.08:  # certain: another lead, another end
            yield end | {"id": f"{call}f", "ended_by": "hangup", "at": at + 1, "lead": rng.choice(self.leads)}

    def said(self) -> list[Event]:
        rng = self.random
        events = [event for _ in range(len(self.made)) for event in self.note()]
        for lead in self.leads:
            for name in range(rng.choice((0, 0, 1, 1, 2))):
                events += self.deal(lead, f"d{name}")
            for _ in range(rng.choice((0, 0, 1, 3))):
                channel = rng.choice(("email", "messenger", "meeting"))
                events.append(self.of_lead("activity.logged", lead, self.moment(), channel=channel, manager=self.who()))
            if rng.random() < 0.2:
                events.append(self.of_lead("lead.consulted", lead, self.moment(), mentor="mia"))
        for key, following in self.next.items():
            events.append(self.of_lead("lead.linked", following, self.moment(), old_key=key))
        return events

    def note(self) -> Iterator[Event]:
        rng = self.random
        call, manager, at, lead = rng.choice(self.made)
        if lead is None or rng.random() < 0.03:
            lead = rng.choice(self.leads)
        named = rng.choice((None, manager, manager, rng.choice(self.managers)))
        step = None
        if rng.random() < 0.4:
            due = rng.choice((None, at + round(rng.uniform(-1, 30) * DAY), at + 400 * DAY, at + 401 * DAY, at))
            step = {"agreed": rng.random() < 0.8, "due_at": due}
        yield self.of_lead(
            "call.annotated",
            lead,
            at + rng.choice((0, 0, MINUTE, DAY)),
            call=call,
            manager=named,
            kind=rng.choice(KINDS),
            stages=rng.sample((*STAGES[:6], "Proposal"), rng.choice((0, 0, 1, 2))),
            reason=rng.choice(REASONS),
            next_step=step,
            revision=rng.choice((0, 0, 1, 2)),
        )

    def deal(self, of: str, name: str) -> Iterator[Event]:
        """Yield the changes of a deal. Some of them name another lead, and some are of a deal that many leads share."""
        rng = self.random
        at = self.moment()
        source = rng.choice(("crm", "crm", "crm 2"))
        for _ in range(rng.choice((1, 1, 2, 3, 6))):
            lead = rng.choice(self.leads) if rng.random() < 0.15 else of
            yield self.of_lead(
                "deal.stage_changed",
                lead,
                at,
                source=source,
                deal=f"{of}/{name}" if rng.random() < 0.9 else name,
                manager=self.who(),
                stage=rng.choice(STAGES),
                amount=rng.choice(ODD_AMOUNTS if rng.random() < 0.2 else AMOUNTS),
                currency=rng.choice((None, "EUR", "EUR", "eur", "USD", "XYZ", "euros", "")),
                product=rng.choice(WORDS),
                channel=rng.choice(WORDS),
                client_type=rng.choice(WORDS),
            )
            at = min(at + rng.choice((0, HOUR, DAY, 20 * DAY)), self.plan.now_ms - 1)
            if rng.random() < 0.08:
                yield self.of_lead("deal.deleted", lead, at, source=source, deal=f"{of}/{name}")

    def who(self) -> str | None:
        return self.random.choice((None, None, self.random.choice(self.managers)))

    def of_lead(self, type_: str, lead: str, at: int, **more: Any) -> Event:
        self._count = getattr(self, "_count", 0) + 1
        at = min(at, self.plan.now_ms - 1)
        usual = {"v": 1, "id": f"n{self._count:06d}", "type": type_, "at": at, "source": "crm", "lead": lead}
        return usual | more
