"""Events of outbound cold calls, with the share of answers and the talk times that benchmarks have in common."""

from __future__ import annotations

import random
from typing import Final

from benchmarks.workload import SOURCE
from streams.contract.events import CallAnswered, CallEnded, CallStarted, Direction
from streams.units import MINUTE_MS

ANSWERED: Final = 0.45
RING_MS: Final = 15_000
LONGEST_TALK_MS: Final = 30 * MINUTE_MS


def talk_of(rng: random.Random) -> int | None:
    """Return a drawn talk time, ms; None for a call that is not answered."""
    return min(LONGEST_TALK_MS, int(rng.lognormvariate(11.4, 1.1))) if rng.random() < ANSWERED else None


def started(call: str, manager: str, lead: str, at: int) -> CallStarted:
    """Return the start of a call at `at`, ms since epoch."""
    return CallStarted(
        v=1,
        id=f"s{call}",
        at=at,
        source=SOURCE,
        call=call,
        manager=manager,
        lead=lead,
        direction="outbound",
        kind="cold",
    )


def answered(call: str, manager: str, at: int) -> CallAnswered:
    """Return the answer of a call at `at`, ms since epoch."""
    return CallAnswered(v=1, id=f"a{call}", at=at, source=SOURCE, call=call, manager=manager)


def ended(
    call: str,
    manager: str,
    lead: str | None,
    at: int,
    *,
    talk_ms: int | None,
    direction: Direction = "outbound",
) -> CallEnded:
    """Return the end of a call at `at`, which rang for `RING_MS`. Without `talk_ms` it was not answered."""
    return CallEnded(
        v=1,
        id=f"e{call}",
        at=at,
        source=SOURCE,
        call=call,
        manager=manager,
        lead=lead,
        direction=direction,
        kind="cold",
        started_at=at - (talk_ms or 0) - RING_MS,
        answered_at=None if talk_ms is None else at - talk_ms,
        talk_ms=talk_ms or 0,
        disposition="no_answer" if talk_ms is None else "answered",
    )
