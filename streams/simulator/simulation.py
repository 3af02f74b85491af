"""`simulate`: lets a department work, and gives what arrives of it as records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from streams.simulator.faults.injection import Disturbance, Listener, Post
from streams.simulator.people.roster import Department
from streams.simulator.rng import Chance
from streams.simulator.telephony.calls import Calls
from streams.simulator.telephony.emitter import Teller
from streams.simulator.telephony.legs import Record

_DELIVERY_MS: Final = 5_000  # of simulated time between two looks at what has arrived


def simulate(
    department: Department,
    start_ms: int,
    end_ms: int,
    *,
    disturbance: Disturbance | None = None,
    intensity: float = 1.0,
    truth: Listener | None = None,
    crm: bool = False,
) -> Iterator[Record]:
    """Yield the records of the department in the order in which they arrive.

    No call begins at or after `end_ms`; what was begun is finished, and everything still on its way arrives, so the
    last records may be due days later. The same arguments give the same records, and another disturbance lets the same
    things happen. `intensity` makes people do so many times more: each works on several lines at once, and talks are as
    long as ever. `truth` hears of every record just before it is yielded. With `crm` there are records of that topic,
    too; the same calls happen, but some of their leads change keys.

    Raises ValueError for an intensity that is not above 0, or an end before the start.
    """
    if not intensity > 0:
        raise ValueError(f"intensity is above 0; not {intensity}")
    if end_ms < start_ms:
        raise ValueError("the end is before the start")
    return _records(department, start_ms, end_ms, disturbance or Disturbance(), intensity, truth, crm=crm)


def _records(
    department: Department,
    start_ms: int,
    end_ms: int,
    disturbance: Disturbance,
    intensity: float,
    truth: Listener | None,
    *,
    crm: bool,
) -> Iterator[Record]:
    name = f"{department.seed}-{start_ms // 1000}"
    # Chances of its own, so that the same things happen whatever goes wrong on the way.
    chances = Chance(department.seed, "post", start_ms), Chance(department.seed, "crm post", start_ms)
    post = Post(*chances, disturbance, start_ms, truth)
    calls = Calls(department, start_ms, end_ms, intensity, Teller(post, name), name, post if crm else None)
    look_ms = start_ms
    for now_ms in calls.happenings():
        if now_ms >= look_ms:
            yield from post.until(now_ms)
            look_ms = now_ms + _DELIVERY_MS
    # Whoever was about to hand a call over finishes it alone.
    calls.finish(calls.hand_over)
    yield from post.rest()
