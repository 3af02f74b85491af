"""Events that callpulse itself adds to `calls`: starts of legs after a transfer, and ends of legs that timed out.

They go through the log like any other event, so the log alone decides the counts. Their ids are derived from their
cause. An event that is emitted twice therefore has the same id, and the second one is a duplicate.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

from msgspec import UNSET

from streams.contract.events import CallAnswered, CallEnded, CallStarted
from streams.tables.manager.legs import Finished, Leg, Transfer
from streams.tables.manager.records import INTERNAL
from streams.tables.manager.results import last_start

SOURCE: Final = "callpulse"


def timeout_end(manager: str, call: str, leg: Leg, at: int) -> CallEnded:
    """Return the end, at `at`, of a leg that began and whose own end did not come.

    The end of a later stretch of the leg has an id of its own.
    """
    started_at = last_start(leg)
    cause = (call, manager) if started_at == leg.started_at else (call, manager, str(started_at))
    return CallEnded(
        v=1,
        id=_synthetic_id("timeout", *cause),
        at=at,
        source=SOURCE,
        call=call,
        manager=manager,
        lead=leg.lead,
        direction=leg.direction,
        kind=None if leg.kind == INTERNAL else leg.kind,
        internal=True if leg.kind == INTERNAL else UNSET,
        started_at=started_at,
        talk_ms=0,
        disposition="answered" if leg.answered_at else "no_answer",
        ended_by="timeout",
    )


def transfer_starts(
    manager: str, call: str, leg: Leg, transfers: Iterable[Transfer]
) -> tuple[CallStarted | CallAnswered, ...]:
    """Return the starts of the legs that `transfers` begin.

    There are none until the direction, kind and lead of `leg` are known.

    After an attended transfer the new leg is answered at once, because the two managers have already talked.
    """
    described: Leg | Finished | None = leg if leg.started_at else leg.end
    if described is None:
        return ()
    events: list[CallStarted | CallAnswered] = []
    for transfer in transfers:
        if transfer.to_manager == manager:
            continue
        events.append(
            CallStarted(
                v=1,
                id=_synthetic_id("transfer", call, transfer.to_manager, transfer.id),
                at=transfer.at,
                source=SOURCE,
                call=call,
                manager=transfer.to_manager,
                lead=described.lead,
                direction=described.direction,
                kind=None if described.kind == INTERNAL else described.kind,
                internal=True if described.kind == INTERNAL else UNSET,
                queue=leg.queue,
            )
        )
        if transfer.how == "attended":
            events.append(
                CallAnswered(
                    v=1,
                    id=_synthetic_id("joined", call, transfer.to_manager, transfer.id),
                    at=transfer.at,
                    source=SOURCE,
                    call=call,
                    manager=transfer.to_manager,
                    lead=described.lead,
                )
            )
    return tuple(events)


def _synthetic_id(*parts: str) -> str:
    return f"{parts[0]}:{blake2b(chr(0).join(parts).encode(), digest_size=16).hexdigest()}"
