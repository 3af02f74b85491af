"""The oracle's contract: the records that it accepts, and its reasons for rejected ones."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.oracle.contract import Raw, why_not
from tests.oracle.handmade import (
    NOON,
    agreed,
    answered,
    consulted,
    deal,
    deleted,
    ended,
    linked,
    noted,
    presence,
    records,
    started,
    touched,
    transferred,
)
from tests.oracle.oracle import answers, counts

GOOD = ended(NOON, lead="L1", kind="cold", answered_at=NOON - 1)


CRM = (
    noted(NOON, "A", kind="cold", stages=["qualified", "need"], reason="reminder", next_step=agreed(NOON), revision=2),
    deal(NOON, "A", "won", amount="12.50", currency="EUR", product="", channel="phone", client_type=None),
    deleted(NOON, "A"),
    consulted(NOON, "A"),
    touched(NOON, "A", manager="anna"),
    linked(NOON, "A", "phone:1"),
)


def record(value: bytes | None, key: bytes | None = b"anna", timestamp_ms: int = NOON) -> Raw:
    return Raw("calls", 0, 0, timestamp_ms, key, value)


def reason(changes: dict[str, Any], *, without: str = "") -> str | None:
    event = {name: value for name, value in (GOOD | changes).items() if name != without}
    return why_not(record(json.dumps(event).encode()))


@pytest.mark.parametrize(
    "event", [GOOD, started(NOON), answered(NOON), transferred(NOON, "boris"), presence(NOON, "paused", reason="lunch")]
)
def test_every_type_of_event_is_accepted(event: dict[str, Any]) -> None:
    assert why_not(records([event])[0]) is None
    assert why_not(records([event | {"a field of tomorrow": [1, {"x": None}]}])[0]) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "empty"),
        (b"", "empty"),
        (b" " * 65_537, "too_large"),
        (b"\xff{}", "not_utf8"),
        (b"{", "not_json"),
        (b"{} {}", "not_json"),
        (b"[]", "not_json"),
        (b'{"at": NaN}', "not_json"),
        (b'{"at": -Infinity}', "not_json"),
        (b'{"id": "\\ud800"}', "not_json"),
        (b'{"x": 1e999}', "not_json"),
        (b'{"x": 1e99}', "missing_field"),
        (b'{"x": ' + b"[" * 30_000 + b"]" * 30_000 + b"}", "too_deep"),
        (b"{}", "missing_field"),
        (b'{"type": 7}', "unknown_type"),
        (b'{"type": "call.annotated"}', "unknown_type"),
        (b'{"type": "call.answered", "v": 2}', "unknown_version"),
        (b'{"type": "call.answered", "v": "1"}', "unknown_version"),
        (b'{"type": "call.answered", "v": true}', "unknown_version"),
        (b'{"type": "call.answered", "v": 1}', "missing_field"),
    ],
)
def test_bytes_that_hold_no_event_are_refused_with_a_reason(value: bytes | None, expected: str) -> None:
    assert why_not(record(value)) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"v": 1.0}, "invalid_field"),
        ({"id": ""}, "invalid_field"),
        ({"id": "x" * 128}, None),
        ({"id": "x" * 129}, "invalid_field"),
        ({"id": "ж" * 128}, None),
        ({"call": None}, "invalid_field"),
        ({"lead": None}, None),
        ({"lead": 5}, "invalid_field"),
        ({"direction": "sideways"}, "invalid_field"),
        ({"kind": None}, None),
        ({"kind": "lukewarm"}, "invalid_field"),
        ({"ended_by": None}, "invalid_field"),
        ({"ended_by": "transfer"}, "invalid_field"),
        ({"uncertain": True}, None),
        ({"uncertain": None}, "invalid_field"),
        ({"internal": "yes"}, "invalid_field"),
        ({"talk_ms": -1}, "invalid_field"),
        ({"talk_ms": True}, "invalid_field"),
        ({"talk_ms": 1.5}, "invalid_field"),
        ({"talk_ms": 604_800_000}, None),
        ({"talk_ms": 604_800_001}, "invalid_field"),
        ({"at": -1}, "invalid_time"),
        ({"at": 1_700_000_000}, "invalid_time"),
        ({"at": "noon"}, "invalid_time"),
        ({"started_at": NOON}, None),
        ({"started_at": NOON + 1}, "invalid_time"),
        ({"answered_at": None}, None),
        ({"answered_at": NOON + 1}, "invalid_time"),
    ],
)
def test_a_field_is_held_to_its_range(changes: dict[str, Any], expected: str | None) -> None:
    assert reason(changes) == expected


@pytest.mark.parametrize("name", ["v", "id", "at", "source", "call", "manager", "direction", "started_at", "talk_ms"])
def test_a_field_that_must_be_there_is_missed(name: str) -> None:
    assert reason({}, without=name) == "missing_field"


@pytest.mark.parametrize("event", CRM, ids=[event["type"] for event in CRM])
def test_every_type_of_event_of_a_lead_is_accepted(event: dict[str, Any]) -> None:
    (raw,) = records([event])
    assert (raw.topic, why_not(raw)) == ("crm", None)
    assert why_not(replace(raw, key=b"B")) == "wrong_key"
    assert why_not(replace(raw, topic="calls")) == "unknown_type"


@pytest.mark.parametrize(
    ("number", "changes", "expected"),
    [
        (0, {"stages": ["x"] * 33}, "invalid_field"),
        (0, {"stages": [""]}, "invalid_field"),
        (0, {"stages": None}, "invalid_field"),
        (0, {"revision": -1}, "invalid_field"),
        (0, {"revision": 1.0}, "invalid_field"),
        (0, {"next_step": None}, None),
        (0, {"next_step": {"agreed": 1}}, "invalid_field"),
        (0, {"next_step": {}}, "missing_field"),
        (0, {"next_step": {"agreed": True, "due_at": 5}}, "invalid_time"),
        (0, {"next_step": []}, "invalid_field"),
        (1, {"amount": 12.5}, None),
        (1, {"amount": "-1e15"}, None),
        (1, {"amount": "1e15"}, None),
        (1, {"amount": "1e999999999"}, None),
        (1, {"amount": "much"}, None),
        (1, {"amount": True}, None),
        (1, {"currency": "eur"}, None),
        (1, {"currency": "EURO"}, None),
        (1, {"product": "x" * 257}, "invalid_field"),
        (3, {"mentor": None}, "invalid_field"),
        (4, {"channel": "call"}, "invalid_field"),
        (4, {"manager": "an\nna"}, None),  # a manager on no roster and without calls is not exported
        (5, {"old_key": "A"}, "invalid_field"),
    ],
)
def test_a_field_of_a_lead_is_held_to_its_range(number: int, changes: dict[str, Any], expected: str | None) -> None:
    assert why_not(records([CRM[number] | changes])[0]) == expected


@pytest.mark.parametrize(
    ("key", "expected"), [(None, "no_key"), (b"", "wrong_key"), (b"boris", "wrong_key"), (b"anna", None)]
)
def test_the_key_is_the_manager(key: bytes | None, expected: str | None) -> None:
    assert why_not(record(json.dumps(GOOD).encode(), key)) == expected


def test_a_manager_whose_name_cannot_be_printed_is_refused() -> None:
    assert why_not(records([GOOD | {"manager": "an\nna"}])[0]) == "invalid_field"


@pytest.mark.parametrize(("ahead_ms", "expected"), [(300_000, None), (300_001, "future")])
def test_an_event_may_be_five_minutes_ahead_of_its_arrival(ahead_ms: int, expected: str | None) -> None:
    assert why_not(record(json.dumps(GOOD).encode(), timestamp_ms=NOON - ahead_ms)) == expected


def test_records_are_counted_by_what_became_of_them() -> None:
    good = records([GOOD, GOOD, started(NOON), started(NOON, source="callpulse", id="own")])
    bad = [record(None), record(b"{"), record(b"}"), replace(good[0], key=b"boris")]
    dead = replace(good[0], topic="rejected")
    found = counts([*good, *bad, dead, *records([CRM[0]]), replace(good[0], topic="crm")])
    assert (found.records, found.own, found.unique, found.duplicates) == (8, 1, 2, 1)
    assert found.rejected == {"empty": 1, "not_json": 2, "wrong_key": 1, "unknown_type": 1}
    assert (found.dead_letters, found.crm) == (1, 2)


def test_what_is_rejected_counts_in_no_metric() -> None:
    good = records([GOOD, ended(NOON, "c2"), ended(NOON, "c3")])
    log = [good[0], replace(good[1], key=b"boris"), replace(good[2], timestamp_ms=NOON - 300_001), record(b"{")]
    found = answers(log, {"anna": "UTC"}, "UTC", NOON)
    assert found["callpulse_answered_calls", (("manager", "anna"), ("window", "today"))] == 1
