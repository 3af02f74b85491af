"""queue_log of an invented day, and queue_log that is wrong."""

from __future__ import annotations

import json

import pytest

from streams.contract.events import CallEnded, CallStarted, Event, ManagerPresence
from streams.sources.asterisk import DRY_RUN_SECRET
from streams.sources.asterisk.records.settings import QueueLogSettings
from streams.sources.asterisk.records.sources import QueueLogSource, unmapped_members
from tests.streams.records import FOLDER, MAPPING, expected_of, lines_of, read, shown, story_differences

CASES = json.loads((FOLDER / "bad_queue_log" / "index.json").read_text())["cases"]
WITHOUT_END = {
    *("06-connect-without-args.log", "08-calltime-text.log", "09-calltime-negative.log", "12-ringnoanswer-huge.log"),
}
DAY = lines_of((FOLDER / "queue_log" / "queue_log").read_bytes())


def source() -> QueueLogSource:
    return QueueLogSource(QueueLogSettings(ended_by="hangup"), MAPPING, DRY_RUN_SECRET)


def events_of(*lines: str) -> list[Event]:
    events, refused = read(source(), [line.encode() for line in lines])
    assert not refused
    return events


def ends_of(*lines: str) -> list[CallEnded]:
    return [event for event in events_of(*lines) if isinstance(event, CallEnded)]


def test_the_day_has_its_legs() -> None:
    events, refused = read(source(), DAY)
    assert not refused
    assert story_differences(expected_of("queue_log"), events) == []


def test_the_day_has_its_presence() -> None:
    events, _ = read(source(), DAY)
    found = [(one.manager, one.state, one.reason) for one in events if isinstance(one, ManagerPresence)]
    assert found == [
        ("vera.lisina", "available", None),
        ("gleb.ostrov", "available", None),
        ("rimma.zueva", "available", None),
        ("gleb.ostrov", "paused", "Lunch"),
        ("gleb.ostrov", "available", None),
    ]


@pytest.mark.parametrize("case", CASES, ids=[case["file"] for case in CASES])
def test_a_file_that_is_wrong(case: dict[str, dict[str, object]]) -> None:
    path = FOLDER / "bad_queue_log" / str(case["file"])
    events, refused = read(source(), lines_of(path.read_bytes()))
    ends = [event for event in events if isinstance(event, CallEnded)]
    assert not any(number in shown(events) for number in ("4950000101", "4950001100"))
    assert not any(b"4950000101" in one.shape or "4950000101" in one.detail for one in refused)
    if case["expect"]["class"] == "accepted":
        assert not refused
    assert bool(ends) is (path.name not in WITHOUT_END)
    assert all(end.talk_ms in (0, 60_000, 61_000) for end in ends)


@pytest.mark.parametrize("cut", range(len(DAY) + 1))
def test_a_restart_with_the_snapshot_changes_nothing(cut: int) -> None:
    whole, _ = read(source(), DAY)
    before, after = source(), source()
    events, _ = read(before, DAY[:cut])
    after.restore(before.snapshot())
    assert events + read(after, DAY[cut:])[0] == whole


def test_rings_are_milliseconds_and_talk_is_seconds() -> None:
    ends = ends_of(
        "1794900030|1794900030.1|sales|NONE|ENTERQUEUE||+74950000101|1",
        "1794900040|1794900030.1|sales|PJSIP/201|RINGNOANSWER|8000",
        "1794900050|1794900030.1|sales|PJSIP/201|RINGNOANSWER|8000",
        "1794900055|1794900030.1|sales|PJSIP/201|CONNECT|25|1794900050.7|4",
        "1794900155|1794900030.1|sales|PJSIP/201|COMPLETEAGENT|25|100|1",
    )
    assert [(end.started_at % 1_000_000 // 1000, end.disposition, end.talk_ms) for end in ends] == [
        (32, "no_answer", 0),
        (42, "no_answer", 0),
        (51, "answered", 100_000),  # whole seconds: not before the end of the ring before it
    ]


@pytest.mark.parametrize(
    ("data", "talk_ms"),
    [
        ("COMPLETECALLER|3|40|1", 40_000),
        ("BLINDTRANSFER|202|from-internal|3|41|1", 41_000),
        ("ATTENDEDTRANSFER|BRIDGE|b7057699|3|42|1", 42_000),
        ("TRANSFER|202|from-internal|3|43|1", 43_000),
    ],
)
def test_the_talk_of_each_end(data: str, talk_ms: int) -> None:
    ends = ends_of(
        "1794900030|1794900030.1|sales|PJSIP/201|CONNECT|3|1794900027.7|3",
        f"1794900080|1794900030.1|sales|PJSIP/201|{data}",
    )
    assert [(end.manager, end.talk_ms, end.disposition) for end in ends] == [("vera.lisina", talk_ms, "answered")]


def test_who_leaves_a_queue_is_not_missed_and_who_gives_up_is() -> None:
    enter = "1794900030|1794900030.1|sales|NONE|ENTERQUEUE||+74950000101|1"
    for event in ("EXITWITHTIMEOUT|1|1|20", "EXITEMPTY|1|1|20", "EXITWITHKEY|1|1"):
        assert not events_of(enter, f"1794900050|1794900030.1|sales|NONE|{event}")
    events = events_of(enter, "1794900050|1794900030.1|sales|NONE|ABANDON|1|1|20")
    assert [type(event) for event in events] == [CallStarted, CallEnded]
    assert {event.manager for event in events if isinstance(event, CallStarted | CallEnded)} == {"queue:sales"}


def test_a_caller_who_came_before_the_first_line_and_gives_up_has_waited_as_long_as_the_line_says() -> None:
    start, end = events_of(
        "1794898800|c1|sales|SIP/201|RINGNOANSWER|15000",
        "1794898810|c1|sales|NONE|ABANDON|1|1|45",
    )[-2:]
    assert isinstance(start, CallStarted)
    assert isinstance(end, CallEnded)
    assert (start.at, end.started_at, end.at) == (1_794_898_765_000, 1_794_898_765_000, 1_794_898_810_000)


def test_lines_whose_clock_was_set_back_give_legs_that_the_contract_accepts() -> None:
    (end,) = ends_of(
        "1794898800|c1|sales|NONE|ENTERQUEUE||+74950000101|1",
        "1794898810|c1|sales|SIP/201|CONNECT|10|1.2|3",
        "1794898790|c1|sales|SIP/201|COMPLETECALLER|10|5|1",
    )
    assert (end.started_at, end.answered_at, end.at) == (end.at, end.at, 1_794_898_790_000)


def test_a_colleague_who_calls_the_queue_is_no_lead() -> None:
    ends = ends_of(
        "1794900030|1794900030.1|sales|NONE|ENTERQUEUE||202|1",
        "1794900033|1794900030.1|sales|PJSIP/201|CONNECT|3|1794900030.7|3",
        "1794900080|1794900030.1|sales|PJSIP/201|COMPLETECALLER|3|47|1",
    )
    assert [(end.internal, end.lead) for end in ends] == [(True, None)]


def test_pauses_of_all_queues_and_the_last_queue_that_is_left() -> None:
    events = events_of(
        "1794900000|REALTIME|sales|PJSIP/201|ADDMEMBER|",
        "1794900001|MANAGER|support|PJSIP/201|ADDMEMBER|",
        "1794900002|NONE|NONE|PJSIP/201|PAUSEALL|lunch",
        "1794900003|NONE|support|PJSIP/201|UNPAUSE|",
        "1794900004|NONE|NONE|PJSIP/201|UNPAUSEALL|",
        "1794900005|NONE|sales|PJSIP/201|REMOVEMEMBER|",
        "1794900006|NONE|support|PJSIP/201|REMOVEMEMBER|",
        "1794900007|NONE|support|PJSIP/74950000101@trunk-msk|ADDMEMBER|",
    )
    found = [(one.at // 1000 % 10, one.state, one.reason) for one in events if isinstance(one, ManagerPresence)]
    assert found == [
        (0, "available", None), (2, "paused", "lunch"), (4, "available", None), (6, "offline", None),
    ]  # fmt: skip


def test_a_member_without_a_rule_has_no_leg_and_is_counted() -> None:
    made = source()
    events, _ = read(made, [b"1794900033|1794900030.1|sales|Vera Lisina|CONNECT|3|1794900030.7|3"])
    assert not events
    read(made, [b"1794900034|1794900030.1|sales|Vera Lisina|COMPLETEAGENT|3|1|1", b"1794900035|NONE|s|Nobody|PAUSE|x"])
    read(made, [b"1794900036|1794900030.9|sales|SIP/84950000101@trunk|CONNECT|3|1794900036.7|3"])
    found = unmapped_members(made.snapshot())
    assert {name: (one.lines, one.last_ms - one.first_ms) for name, one in found.items()} == {
        "Vera Lisina": (2, 1000),
        "Nobody": (1, 0),
    }
    again = source()
    again.restore(made.snapshot())
    read(again, [b"1794900037|1794900036.1|sales|Vera Lisina|CONNECT|3|1794900037.7|3"])
    assert unmapped_members(again.snapshot())["Vera Lisina"].lines == 3
    assert unmapped_members(b"") == unmapped_members(b"\xc1") == {}


def test_members_without_a_rule_are_bounded_and_those_heard_last_are_kept() -> None:
    made = source()
    read(made, [f"{1794900000 + n}|NONE|sales|m{n}|PAUSE|x".encode() for n in range(300)])
    found = unmapped_members(made.snapshot())
    assert set(found) == {f"m{n}" for n in range(100, 300)}
