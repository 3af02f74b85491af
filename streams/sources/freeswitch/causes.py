"""The disposition of an unanswered leg, from the hangup causes of FreeSWITCH.

The names are those of `switch_cause_t`; an unknown cause is a failure.
"""

from __future__ import annotations

from typing import Final

from streams.contract.events import Disposition

_BUSY: Final = frozenset(("USER_BUSY", "CALL_REJECTED", "BUSY_EVERYWHERE", "DECLINE"))
_NO_ANSWER: Final = frozenset(
    ("NO_ANSWER", "NO_USER_RESPONSE", "ALLOTTED_TIMEOUT", "PROGRESS_TIMEOUT", "RECOVERY_ON_TIMER_EXPIRE")
)
_CANCELED: Final = frozenset(
    (
        *("ORIGINATOR_CANCEL", "LOSE_RACE", "PICKED_OFF", "NORMAL_CLEARING", "NORMAL_UNSPECIFIED", "NONE"),
        *("BLIND_TRANSFER", "ATTENDED_TRANSFER", "MANAGER_REQUEST", "REDIRECTION_TO_NEW_DESTINATION", "SUCCESS"),
    )
)
NOT_THERE: Final = frozenset(
    ("USER_NOT_REGISTERED", "SUBSCRIBER_ABSENT", "UNREGISTERED", "NO_ROUTE_DESTINATION", "UNALLOCATED_NUMBER")
)
"""Causes of an unreachable telephone, which did not ring."""
BLIND: Final = "BLIND_TRANSFER"
ATTENDED: Final = "ATTENDED_TRANSFER"


def of_cause(cause: str) -> Disposition:
    """Return the disposition of a leg that was not answered."""
    if cause in _BUSY:
        return "busy"
    if cause in _NO_ANSWER:
        return "no_answer"
    return "canceled" if cause in _CANCELED else "failed"
