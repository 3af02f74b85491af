"""The dispositions of unanswered legs."""

from __future__ import annotations

import pytest

from streams.sources.asterisk.dispositions import Dial, of_callee, of_caller, of_cause


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        *((cause, "busy") for cause in (17, 21)),
        *((cause, "no_answer") for cause in (18, 19, 102)),
        *((cause, "canceled") for cause in (0, 16, 23, 26, 31, 127)),
        *((cause, "failed") for cause in (1, 3, 20, 27, 34, 38, 41, 58, 999)),
    ],
)
def test_a_hangup_cause_says_how_it_ended(cause: int, expected: str) -> None:
    assert of_cause(cause) == expected


@pytest.mark.parametrize(
    ("dial", "expected"),
    [
        (Dial("NOANSWER", 21), "busy"),
        (Dial("NOANSWER", 1), "failed"),
        (Dial("CONGESTION", 17), "busy"),
        (Dial("NOANSWER", 16), "no_answer"),
    ],
)
def test_the_cause_of_a_refusal_decides_what_its_status_leaves_open(dial: Dial, expected: str) -> None:
    assert of_caller([dial], 34) == expected


@pytest.mark.parametrize(
    ("own", "inner", "cause", "expected"),
    [
        ("BUSY", "", 16, "busy"),
        ("NOANSWER", "CANCEL", 16, "no_answer"),
        ("CANCEL", "", 16, "canceled"),
        ("CHANUNAVAIL", "", 16, "failed"),
        ("ANSWER", "BUSY", 16, "busy"),  # a Local channel answered, and dialled on in vain
        ("ANSWER", "", 16, "no_answer"),
        ("ANSWER", "ANSWER", 16, "no_answer"),  # picked up, and not accepted
        ("CONTINUE", "", 16, "no_answer"),
        ("", "BUSY", 16, "busy"),
        ("", "", 17, "busy"),
        ("", "", 16, "canceled"),
    ],
)
def test_a_callers_leg_ends_as_its_last_dial_did(own: str, inner: str, cause: int, expected: str) -> None:
    assert of_caller((Dial(own), Dial(inner)), cause) == expected


@pytest.mark.parametrize(
    ("dial", "outer", "cause", "expected"),
    [
        (Dial("BUSY"), "", 17, "busy"),
        (Dial("NOANSWER"), "", 16, "no_answer"),
        (Dial("NOANSWER"), "", 0, "no_answer"),
        (Dial("NOANSWER"), "", 21, "busy"),
        (Dial("NOANSWER", 21), "", 21, "busy"),  # 603 and 403: only the cause differs from a time limit
        (Dial("NOANSWER", 17), "NOANSWER", 16, "busy"),
        (Dial("NOANSWER", 1), "", 16, "failed"),
        (Dial("NOANSWER", 19), "", 19, "no_answer"),
        (Dial("CHANUNAVAIL"), "", 20, "failed"),
        (Dial("CHANUNAVAIL", 21), "", 20, "busy"),
        (Dial("CANCEL", 17), "", 17, "busy"),  # refused in the moment in which the caller hung up
        (Dial("CANCEL", 23), "", 23, "canceled"),  # the telephone forwards the call
        (Dial("CANCEL"), "", 16, None),
        (Dial("CANCEL"), "CANCEL", 26, None),
        (Dial("CANCEL"), "NOANSWER", 16, "no_answer"),  # the time limit lies in front of the Local channel
        (Dial("CANCEL"), "ANSWER", 26, None),
        (Dial(), "NOANSWER", 16, "no_answer"),
        (Dial(), "CANCEL", 17, None),
        (Dial(), "", 17, "busy"),
        (Dial(), "", 26, None),
        (Dial("ANSWER"), "CANCEL", 16, None),  # picked up when another already had the call
        (Dial("ANSWER"), "CONTINUE", 16, "no_answer"),  # picked up, and did not accept
        (Dial("ANSWER"), "", 16, "no_answer"),
        (Dial("DONTCALL"), "", 16, "no_answer"),
    ],
)
def test_the_leg_of_a_called_party_ends_as_the_dials_before_it_did(
    dial: Dial, outer: str, cause: int, expected: str | None
) -> None:
    assert of_callee(dial, outer, cause) == expected
