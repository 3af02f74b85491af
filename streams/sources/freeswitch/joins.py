"""Joins of two records: the dial of the far end in a click-to-dial, and the millisecond of a transfer.

Each of the two makes a statement. The records may come to one process after the other, or to two gateways.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

import msgspec
from msgspec import UNSET, Struct
from msgspec.structs import replace

from streams.contract.events import CallEnded, Disposition
from streams.sources.frame import Joined, KeptStatement
from streams.units import DAY_MS, SECOND_MS


class Placed(Struct, frozen=True, tag="placed"):
    """The leg of a click-to-dial, by the record of its manager's telephone. `channel` is that telephone's.

    `unanswered` is its disposition if the far end did not answer.
    """

    channel: str
    end: CallEnded
    unanswered: Disposition


class FarEnd(Struct, frozen=True, tag="far_end"):
    """An outside party that was dialled on behalf of `channel`. An answer of 0 is none."""

    channel: str
    started_at: int
    answered_at: int
    lead: str | None = None


class HandedOver(Struct, frozen=True, tag="handed_over"):
    """A manager's telephone left a call by a transfer."""

    manager: str
    at: int


class Received(Struct, frozen=True, tag="received"):
    """The leg of a manager who received an outside party at some millisecond of `second`, from the manager `source`."""

    source: str
    second: int
    end: CallEnded


Said: TypeAlias = Placed | FarEnd | HandedOver | Received
_DECODER: Final[msgspec.json.Decoder[Said]] = msgspec.json.Decoder(Said)


def encoded(said: Said) -> bytes:
    """Return the parts as the body of a statement."""
    return msgspec.json.encode(said)


def exact_placed(placed: Placed, far: FarEnd) -> CallEnded:
    """Return the leg of a click-to-dial: it begins when the far end is dialled, and is answered when that answers."""
    end = placed.end
    answered_at = max(end.answered_at, far.answered_at) if end.answered_at and far.answered_at else None
    return replace(
        end,
        id=_exact_id(end),
        lead=end.lead or far.lead,
        started_at=min(far.started_at, answered_at or end.at),
        answered_at=answered_at,
        talk_ms=0 if answered_at is None else max(0, end.at - answered_at),
        disposition=placed.unanswered if answered_at is None else "answered",
        ended_by="hangup",
        uncertain=UNSET,
    )


def exact_received(received: Received, at: int) -> CallEnded:
    """Return the leg of a manager who received an outside party at this moment."""
    end = received.end
    at = min(at, end.at)
    return replace(
        end,
        id=_exact_id(end),
        started_at=at,
        answered_at=at,
        talk_ms=end.at - at,
        ended_by="hangup",
        uncertain=UNSET,
    )


def is_moment_of(received: Received, handed_over: HandedOver) -> bool:
    """Return whether a telephone left at the transfer: in its second, or in the next one, when it was hung up."""
    return handed_over.manager == received.source and 0 <= handed_over.at // SECOND_MS - received.second <= 1


class FreeSwitchJoin:
    """Joins the statements about one call."""

    keep_ms = DAY_MS

    def join(self, statements: Sequence[KeptStatement], now_ms: int) -> Joined:  # noqa: ARG002 - no statement waits for the time
        """Return the legs that two records make together, as `Join.join` describes."""
        said = [one for statement in statements if (one := _decoded(statement.body)) is not None]
        return Joined(events=[*_placed(said), *_received(said)])


def _placed(said: Sequence[Said]) -> Iterator[CallEnded]:
    far_ends = sorted((one for one in said if isinstance(one, FarEnd)), key=lambda far: far.started_at)
    for placed in (one for one in said if isinstance(one, Placed)):
        dialled = [far for far in far_ends if far.channel == placed.channel]
        if dialled:
            answered = max(far.answered_at for far in dialled)
            yield exact_placed(placed, replace(dialled[0], answered_at=answered))


def _received(said: Sequence[Said]) -> Iterator[CallEnded]:
    left = sorted((one for one in said if isinstance(one, HandedOver)), key=lambda one: one.at)
    for received in (one for one in said if isinstance(one, Received)):
        at = next((one.at for one in left if is_moment_of(received, one)), None)
        if at is not None:
            yield exact_received(received, at)


def _decoded(body: bytes) -> Said | None:
    try:
        return _DECODER.decode(body)
    except (msgspec.MsgspecError, ValueError):
        return None


def _exact_id(end: CallEnded) -> str:
    return end.id.removesuffix(":cdr") + ":ended"
