"""The disposition of an unanswered leg, from dial statuses and hangup causes.

Dial statuses are those of Asterisk's `DialEnd`, causes the ISDN causes of `HangupRequest` and `Hangup`. The cause
decides where the status is ambiguous: Asterisk reports most refusals as NOANSWER.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from streams.contract.events import Disposition

_STATUS: Final[Mapping[str, Disposition]] = {
    "BUSY": "busy",
    "NOANSWER": "no_answer",
    "CANCEL": "canceled",
    "ABORT": "canceled",
    "CHANUNAVAIL": "failed",
    "CONGESTION": "failed",
    "INVALIDARGS": "failed",
}
_BUSY: Final = frozenset((17, 21))  # user busy, call rejected
_UNANSWERED: Final = frozenset((18, 19, 102))  # no user response, user alerting but no answer, timer expired
_CLEARED: Final = frozenset((0, 16, 26, 31, 127))  # unknown, normal clearing, answered elsewhere, unspecified
_REDIRECTED: Final = 23  # the telephone forwarded the call


class Dial(NamedTuple):
    """The end of a dial to one channel: its first status, and the hangup cause of the channel. "" and 0: unknown."""

    status: str = ""
    cause: int = 0


def of_cause(cause: int) -> Disposition:
    """Return the disposition for a hangup cause alone."""
    if cause in _BUSY:
        return "busy"
    if cause in _UNANSWERED:
        return "no_answer"
    return "canceled" if cause in _CLEARED or cause == _REDIRECTED else "failed"


def of_dial(dial: Dial) -> Disposition | None:
    """Return the disposition of one dial, or None if it was answered or has no known status."""
    found = _STATUS.get(dial.status)
    if found in ("no_answer", "failed") and dial.cause in _BUSY:
        return "busy"
    if found == "no_answer" and dial.cause not in _CLEARED:
        return of_cause(dial.cause)
    return found


def of_caller(dials: Iterable[Dial], cause: int) -> Disposition:
    """Return the disposition of a caller's unanswered leg.

    `dials` holds the caller's last dial, and the last one behind a Local channel. The inner one counts if the Local
    channel itself "answered" without a party behind it. `cause` is that of the caller's own hangup.
    """
    ended = False
    for dial in dials:
        found = of_dial(dial)
        if found is not None:
            return found
        ended |= dial.status != ""
    return "no_answer" if ended else of_cause(cause)


def of_callee(dial: Dial, outer_status: str, cause: int) -> Disposition | None:
    """Return the disposition of an unanswered leg of a called party, or None if the caller decides.

    None stands for a dial that was canceled: the leg is canceled if the caller hung up or another party answered, and
    else not answered, because a time limit ended the dial. `dial.cause` is that of the party's own `HangupRequest`,
    `cause` that of its `Hangup`.

    A dial that reaches its time limit in front of a Local channel is NOANSWER there, and CANCEL behind it. ANSWER
    without a talk: picked up too late, or not accepted.
    """
    if dial.status not in ("", "CANCEL", "ANSWER"):
        return of_dial(dial if dial.cause else Dial(dial.status, cause)) or "no_answer"
    if dial.status != "ANSWER" and dial.cause not in _CLEARED:
        return of_cause(dial.cause)
    if outer_status in ("NOANSWER", "CONTINUE"):
        return "no_answer"
    if dial.status == "ANSWER":
        return None if outer_status == "CANCEL" else "no_answer"
    if not dial.status and not outer_status and cause not in _CLEARED:
        return of_cause(cause)
    return None
