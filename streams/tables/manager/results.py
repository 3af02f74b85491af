"""The counted result of a leg: a function of the leg alone.

    the leg's end is known from     the leg counts as
    nothing                         in progress, if it has a start or an answer
    timeout                         a call without talk time
    transfer (with start or end)    answered; talk until the transfer
    uncertain, cdr                  what the record says, which is not certain
    uncertain, hangup               what the telephony heard, which was not all
    cdr                             what the record says
    hangup                          what the telephony said when it happened

Each line overrides the lines above it.

A leg may begin again: a parked call comes back to the manager, or the colleague to whom it was transferred transfers it
back. Such a leg consists of *stretches*, and counts as one with the sum of their talk. It is internal only if every
stretch is; otherwise its internal stretches are left out:

    starts            s                   s
    ends                 ]          (a)        ]        a start opens a stretch if an end or a transfer lies between
    stretches         ■■■■                ■■■■■■        it and the start before it. An end belongs to the stretch
                                                        with the start that it names
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from itertools import pairwise
from typing import Final

from streams.tables.manager.legs import (
    TIMEOUT,
    TRANSFER,
    UNKNOWN_TALK,
    Finished,
    Leg,
    Transfer,
    is_synthetic,
    precedence,
)
from streams.tables.manager.records import INTERNAL

_NEVER: Final = 1 << 62


def since_ms(leg: Leg) -> int:
    """Return the moment at which the last stretch began; 0 for a leg that has only ends or transfers."""
    begins = _begins(leg)
    if len(begins) > 1:
        return begins[-1]
    if leg.started_at and leg.answered_at:
        return min(leg.started_at, leg.answered_at)
    return leg.started_at or leg.answered_at


def last_start(leg: Leg) -> int:
    """Return the moment at which the last stretch started, 0 if no start is known."""
    begins = _begins(leg)
    return begins[-1] if len(begins) > 1 else leg.started_at


def is_in_progress(leg: Leg) -> bool:
    """Return whether the last stretch has not ended."""
    end = leg.end
    if end is None and not leg.transfers:
        return True
    begins = _begins(leg)
    if len(begins) <= 1:
        return False
    last = begins[-1]
    return (
        not any(transfer.at > last for transfer in leg.transfers)
        and (end is None or end.started_at < last)
        and all(other.started_at < last for other in leg.other_ends)
    )


def result_of(leg: Leg) -> Finished | None:
    """Return the result of the leg; None if it is in progress, or neither its start nor its end is known."""
    if leg.end is None and not leg.transfers:
        return None
    begins = _begins(leg)
    if len(begins) > 1:
        return _sum(leg, begins)
    end = leg.end
    if end is not None and end.rank > TRANSFER:
        return end
    if leg.transfers and leg.described:
        return _ended_by(leg, _last_of(leg.transfers), leg.started_at, leg.answered_at)
    return None if end is None else _timed_out(leg, end)


def _begins(leg: Leg) -> list[int]:
    """Return the moments at which stretches began. Fewer than two moments mean that there is one stretch."""
    end = leg.end
    if (end is None or end.rank == TIMEOUT) and not leg.transfers:
        return []
    if (
        not leg.later_starts
        and not leg.other_ends
        and (end is None or end.rank == TIMEOUT or (not leg.transfers and leg.started_at <= end.started_at))
    ):
        return []
    starts = {at for at, _ in leg.later_starts}
    if leg.started_at:
        starts.add(leg.started_at)
    closings = [transfer.at for transfer in leg.transfers]
    for closing in _real_ends(leg):
        starts.add(closing.started_at)
        closings.append(closing.at)
    closings.sort()
    begins = sorted(starts)
    return begins[:1] + [at for before, at in pairwise(begins) if _lies_between(closings, before, at)]


def _real_ends(leg: Leg) -> list[Finished]:
    ends = [end for end in leg.other_ends if end.rank != TIMEOUT]
    if leg.end is not None and leg.end.rank != TIMEOUT:
        ends.append(leg.end)
    return ends


def _sum(leg: Leg, begins: list[int]) -> Finished | None:
    """Return the result of a leg that consists of stretches."""
    parts = []
    for place, begin in enumerate(begins):
        until = begins[place + 1] if place + 1 < len(begins) else _NEVER
        part = _stretch(leg, begin if place else 0, begin, until)
        if part is not None:
            parts.append(part)
    # A colleague's talk is no part of the call with the customer that came before or after it.
    parts = [part for part in parts if part.kind != INTERNAL] or parts
    if len(parts) <= 1:
        return parts[0] if parts else None
    first, last = parts[0], parts[-1]
    answered = [part for part in parts if part.disposition == "answered"]
    known = [part.talk_ms for part in answered if part.talk_ms != UNKNOWN_TALK]
    leads = [part.lead for part in parts if part.lead is not None]
    return Finished(
        last.at,
        first.started_at,
        first.direction,
        first.kind,
        "answered" if answered else last.disposition,
        sum(known) if known else UNKNOWN_TALK,
        leads[-1] if leads else None,
        max([part.rank for part in parts]),
        last.id,
    )


def _stretch(leg: Leg, since: int, begin: int, until: int) -> Finished | None:
    """Return the result of the stretch that began at `begin`, made of the events from `since` on and before `until`.

    None for a stretch without an end. A transfer at the very moment at which the next stretch begins ends this one.
    """
    ends = [end for end in _real_ends(leg) if since <= end.started_at < until]
    if ends:
        return max(ends, key=precedence)
    transfers = [transfer for transfer in leg.transfers if since < transfer.at <= until]
    if not transfers or not leg.described:
        return None
    answers = [at for at, _ in leg.later_answers if since <= at < until]
    if since <= leg.answered_at < until and leg.answered_at:
        answers.append(leg.answered_at)
    return _ended_by(leg, _last_of(transfers), begin, min(answers) if answers else 0)


def _ended_by(leg: Leg, transfer: Transfer, started_at: int, answered_at: int) -> Finished:
    """Return the result of a stretch that ended with `transfer`: it is answered, since talks are transferred."""
    talk_ms = max(0, transfer.at - answered_at) if answered_at else UNKNOWN_TALK
    described: Leg | Finished = leg if leg.started_at or leg.end is None else leg.end
    return Finished(
        transfer.at,
        started_at or described.started_at,
        described.direction,
        described.kind,
        "answered",
        talk_ms,
        described.lead,
        TRANSFER,
        transfer.id,
    )


def _timed_out(leg: Leg, end: Finished) -> Finished:
    """Return the result of a leg of which only a timeout is known.

    The timeout of `synthetic` was dated by the start that was known at that moment. It moves with the start, so the
    result does not depend on which of the two came first.
    """
    of_start = bool(leg.started_at) and is_synthetic(end.id)
    if not of_start and not leg.answered_at:
        return end
    described: Leg | Finished = leg if of_start else end
    return Finished(
        described.started_at + end.at - end.started_at if of_start else end.at,
        described.started_at,
        described.direction,
        described.kind,
        "answered" if leg.answered_at else end.disposition,
        end.talk_ms,
        described.lead,
        TIMEOUT,
        end.id,
    )


def _last_of(transfers: Iterable[Transfer]) -> Transfer:
    """Return the transfer that came last."""
    return max(transfers, key=lambda transfer: (transfer.at, transfer.id))


def _lies_between(closings: list[int], before: int, at: int) -> bool:
    """Return whether one of the sorted moments lies after `before` and not after `at`."""
    place = bisect_right(closings, before)
    return place < len(closings) and closings[place] <= at
