"""The workload of the throughput benchmark: the same sales department every time, with totals known beforehand.

200 managers telephone through working days, each in a loop of dialling, talking and a short wrap-up. The sequence
depends only on the number of events; except for a few calls at the end, a smaller number gives a prefix of a larger
one. The totals are summed up here, from the ends as they are made, and share no code with any of the folds that are
measured.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from itertools import count, islice
from typing import Final

from msgspec import Struct

from streams.contract.events import (
    CallAnswered,
    CallEnded,
    CallStarted,
    Direction,
    Disposition,
    Kind,
    ManagerPresence,
    encode,
)
from streams.contract.topics import partitioner
from streams.units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS

MANAGERS: Final = 200
PARTITIONS: Final = 4
SEED: Final = 20_250_303
SOURCE: Final = "asterisk.pbx-1.example"
# A Monday in the past of every machine: events must not lie in the future of their arrival.
START_MS: Final = 1_740_960_000_000
OPENS_MS: Final = 8 * HOUR_MS
CLOSES_MS: Final = 17 * HOUR_MS
SHORT_MS: Final = 120_000
HISTOGRAM_MS: Final = (6_000, 20_000, 60_000, 120_000, 180_000, 300_000, 600_000, 1_200_000)
WRAP_UP_MS: Final = (5 * SECOND_MS, MINUTE_MS)
LEADS_A_MANAGER: Final = 2_000

Record = tuple[int, bytes, bytes]  # partition, key, value
_Event = CallStarted | CallAnswered | CallEnded | ManagerPresence


class Totals(Struct, frozen=True):
    """The expected totals of every peer's state, over all managers and days."""

    calls: int
    inbound: int
    outbound: int
    answered: int
    short: int
    talk_ms: int
    kinds: dict[str, int]
    dispositions: dict[str, int]
    histogram: list[int]


class Workload(Struct, frozen=True):
    """Records in the order of their events, and their expected totals."""

    records: list[Record]
    totals: Totals

    @property
    def mean_bytes(self) -> float:
        """Mean size of a record's value."""
        return sum(len(value) for _, _, value in self.records) / len(self.records)


def make(events: int) -> Workload:
    """Return the first `events` events of the department."""
    place = partitioner(PARTITIONS)
    records: list[Record] = []
    ends: list[CallEnded] = []
    for event in _whole_calls(events):
        key = event.manager.encode()
        records.append((place(key), key, encode(event)))
        if isinstance(event, CallEnded):
            ends.append(event)
    return Workload(records, _totals(ends))


def _whole_calls(events: int) -> list[_Event]:
    """Return `events` events without calls that are cut off: a peer with timeouts would get other totals."""
    first = list(islice(_events(), events))
    ended = {event.call for event in first if isinstance(event, CallEnded)}
    whole = [event for event in first if isinstance(event, ManagerPresence) or event.call in ended]
    rng = random.Random(SEED)
    at = first[-1].at
    rest = [
        _presence(rng, f"manager-{number % MANAGERS:03d}", at, "available") for number in range(events - len(whole))
    ]
    return whole + rest


def _totals(ends: list[CallEnded]) -> Totals:
    talked = [end.talk_ms for end in ends if end.disposition == "answered"]
    bounds = Counter(bisect_left(HISTOGRAM_MS, talk_ms) for talk_ms in talked)
    directions = Counter(end.direction for end in ends)
    return Totals(
        calls=len(ends),
        inbound=directions["inbound"],
        outbound=directions["outbound"],
        answered=len(talked),
        short=sum(talk_ms < SHORT_MS for talk_ms in talked),
        talk_ms=sum(talked),
        kinds=dict(sorted(Counter(end.kind or "unknown" for end in ends).items())),
        dispositions=dict(sorted(Counter(end.disposition for end in ends).items())),
        histogram=[bounds[place] for place in range(len(HISTOGRAM_MS) + 1)],
    )


def _events() -> Iterator[_Event]:
    rng = random.Random(SEED)
    for day in count():
        if day % 7 >= 5:
            continue
        opens = START_MS + day * DAY_MS + OPENS_MS
        of_day = [event for number in range(MANAGERS) for event in _working_day(rng, number, opens)]
        of_day.sort(key=lambda event: (event.at, event.id))
        yield from of_day


def _working_day(rng: random.Random, number: int, opens: int) -> Iterator[_Event]:
    manager = f"manager-{number:03d}"
    at = opens + rng.randrange(30 * MINUTE_MS)
    closes = opens - OPENS_MS + CLOSES_MS
    yield _presence(rng, manager, at, "available")
    while at < closes:
        at += 1_000 + int(rng.expovariate(1 / MINUTE_MS))
        events = _call(rng, manager, number, at)
        yield from events
        at = events[-1].at
        if len(events) > 2:
            yield _presence(rng, manager, at, "after_call")
            at += rng.randrange(*WRAP_UP_MS)
            yield _presence(rng, manager, at, "available")
    yield _presence(rng, manager, at + 1_000, "offline")


def _call(rng: random.Random, manager: str, number: int, at: int) -> list[_Event]:
    outbound = rng.random() < 0.85
    direction: Direction = "outbound" if outbound else "inbound"
    kinds: list[Kind | None] = ["cold", "targeted", "repeat", None]
    kind = rng.choices(kinds, (50, 25, 20, 5))[0] if outbound else "inbound"
    call = f"pbx-1-{at // 1000}.{rng.randrange(10**6):06d}"
    lead = f"phone:{number * LEADS_A_MANAGER + rng.randrange(LEADS_A_MANAGER):032x}"
    answered_at = at + rng.randrange(4_000, 30_000)
    started = CallStarted(
        v=1,
        id=_id(rng),
        at=at,
        source=SOURCE,
        call=call,
        manager=manager,
        lead=lead,
        direction=direction,
        kind=kind,
        team=f"team-{number // 10:02d}",
        queue=None if outbound else "sales",
    )
    if rng.random() < (0.4 if outbound else 0.8):
        talk_ms = min(1_800_000, int(rng.lognormvariate(11.4, 1.1)))
        answered = CallAnswered(v=1, id=_id(rng), at=answered_at, source=SOURCE, call=call, manager=manager, lead=lead)
        return [started, answered, _ended(rng, started, answered_at + talk_ms, answered_at, "answered")]
    dispositions: list[Disposition] = ["no_answer", "busy", "failed", "canceled", "voicemail"]
    return [started, _ended(rng, started, answered_at, None, rng.choices(dispositions, (60, 15, 3, 7, 15))[0])]


def _ended(
    rng: random.Random, started: CallStarted, at: int, answered_at: int | None, disposition: Disposition
) -> CallEnded:
    return CallEnded(
        v=1,
        id=_id(rng),
        at=at,
        source=SOURCE,
        call=started.call,
        manager=started.manager,
        lead=started.lead,
        direction=started.direction,
        kind=started.kind,
        started_at=started.at,
        answered_at=answered_at,
        talk_ms=0 if answered_at is None else at - answered_at,
        disposition=disposition,
    )


def _presence(rng: random.Random, manager: str, at: int, state: str) -> ManagerPresence:
    return ManagerPresence(v=1, id=_id(rng), at=at, source=SOURCE, manager=manager, state=state)  # type: ignore[arg-type]  # literals of this module


def _id(rng: random.Random) -> str:
    digits = f"{rng.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
