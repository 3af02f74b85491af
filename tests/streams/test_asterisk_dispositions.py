"""How legs that nobody answered ended."""

from __future__ import annotations

import pytest

from streams.sources.asterisk.dispositions import of_callee, of_caller, of_cause


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        *((cause, "busy") for cause in (17, 21)),
        *((cause, "no_answer") for cause in (18, 19)),
        *((cause, "canceled") for cause in (0, 16, 26, 31, 127)),
        *((cause, "failed") for cause in (1, 3, 20, 27, 34, 38, 41, 58, 999)),
    ],
)
def test_a_hangup_cause_says_how_it_ended(cause: int, expected: str) -> None:
    assert of_cause(cause) == expected


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
    assert of_caller(own, inner, cause) == expected


@pytest.mark.parametrize(
    ("dial", "outer", "cause", "expected"),
    [
        ("BUSY", "", 17, "busy"),
        ("NOANSWER", "", 16, "no_answer"),
        ("CHANUNAVAIL", "", 20, "failed"),
        ("CANCEL", "", 16, "canceled"),
        ("CANCEL", "CANCEL", 26, "canceled"),
        ("CANCEL", "NOANSWER", 16, "no_answer"),  # the time limit lies in front of the Local channel
        ("CANCEL", "ANSWER", 26, "canceled"),
        ("", "NOANSWER", 16, "no_answer"),
        ("", "CANCEL", 17, "canceled"),
        ("", "", 17, "busy"),
        ("", "", 26, "canceled"),
        ("ANSWER", "CANCEL", 16, "canceled"),  # picked up when another already had the call
        ("ANSWER", "CONTINUE", 16, "no_answer"),  # picked up, and did not accept
        ("ANSWER", "", 16, "no_answer"),
        ("DONTCALL", "", 16, "no_answer"),
    ],
)
def test_the_leg_of_who_was_rung_ends_as_the_dials_before_it_did(
    dial: str, outer: str, cause: int, expected: str
) -> None:
    assert of_callee(dial, outer, cause) == expected
