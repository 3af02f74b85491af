"""Events that callpulse adds to `calls` itself: legs begun by a transfer, and ends of legs that no source ended.

They go through the log like any event, so the log alone decides what counts. Their ids say the same whenever the same
cause is met again: told twice, they are a repeat.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

from streams.contract.events import CallAnswered, CallEnded, CallStarted
from streams.tables.manager.legs import Finished, Leg, Transfer

SOURCE: Final = "callpulse"


def timeout(manager: str, call: str, leg: Leg, at: int) -> CallEnded:
    """Return the end, at `at`, of a leg that has begun and never ended."""
    return CallEnded(
        v=1,
        id=_derived_id("timeout", call, manager),
        at=at,
        source=SOURCE,
        call=call,
        manager=manager,
        lead=leg.lead,
        direction=leg.direction,
        kind=leg.kind,
        started_at=leg.started_at,
        talk_ms=0,
        disposition="answered" if leg.answered_at else "no_answer",
        ended_by="timeout",
    )


def handed_over(
    manager: str, call: str, leg: Leg, transfers: Iterable[Transfer]
) -> tuple[CallStarted | CallAnswered, ...]:
    """Return the beginnings of the legs of those to whom `manager` handed the call; none while the leg is unknown."""
    of: Leg | Finished | None = leg if leg.started_at else leg.end
    if of is None:
        return ()
    told: list[CallStarted | CallAnswered] = []
    for to in transfers:
        if to.to_manager == manager:
            continue
        told.append(
            CallStarted(
                v=1,
                id=_derived_id("transfer", call, to.to_manager, to.id),
                at=to.at,
                source=SOURCE,
                call=call,
                manager=to.to_manager,
                lead=of.lead,
                direction=of.direction,
                kind=of.kind,
                queue=leg.queue,
            )
        )
        if to.how == "attended":  # the two have talked already
            told.append(
                CallAnswered(
                    v=1,
                    id=_derived_id("joined", call, to.to_manager, to.id),
                    at=to.at,
                    source=SOURCE,
                    call=call,
                    manager=to.to_manager,
                    lead=of.lead,
                )
            )
    return tuple(told)


def _derived_id(*parts: str) -> str:
    return f"{parts[0]}:{blake2b(chr(0).join(parts).encode(), digest_size=16).hexdigest()}"
