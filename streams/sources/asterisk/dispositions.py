"""The disposition of an unanswered leg, from dial statuses and hangup causes.

Dial statuses are those of Asterisk's `DialEnd`, causes the ISDN causes of `Hangup`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

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
_UNANSWERED: Final = frozenset((18, 19))  # no user response, user alerting but no answer
_CLEARED: Final = frozenset((0, 16, 26, 31, 127))  # unknown, normal clearing, answered elsewhere, unspecified


def of_cause(cause: int) -> Disposition:
    """Return the disposition for a hangup cause alone."""
    if cause in _BUSY:
        return "busy"
    if cause in _UNANSWERED:
        return "no_answer"
    return "canceled" if cause in _CLEARED else "failed"


def of_caller(own_status: str, inner_status: str, cause: int) -> Disposition:
    """Return the disposition of a caller's unanswered leg.

    `own_status` is the result of the caller's last dial, `inner_status` that of the last dial behind a Local channel.
    The inner one counts if the Local channel itself "answered" without a party behind it.
    """
    for status in (own_status, inner_status):
        if status in _STATUS:
            return _STATUS[status]
    return "no_answer" if own_status else of_cause(cause)


def of_callee(dial_status: str, outer_status: str, cause: int) -> Disposition:
    """Return the disposition of an unanswered leg of a called party.

    A dial that reaches its time limit in front of a Local channel is NOANSWER there, and CANCEL behind it. ANSWER
    without a talk: picked up too late, or not accepted. Canceled: the caller hung up, or another party answered.
    """
    if dial_status in ("", "CANCEL"):
        if outer_status in ("NOANSWER", "CONTINUE"):
            return "no_answer"
        return "canceled" if dial_status or outer_status else of_cause(cause)
    if dial_status == "ANSWER":
        return "canceled" if outer_status == "CANCEL" else "no_answer"
    return _STATUS.get(dial_status, "no_answer")
