"""CEL of a real Asterisk, of an invented day, and CEL that is wrong."""

from __future__ import annotations

import json
from typing import Literal

import pytest

from streams.contract.events import CallEnded, Event, ManagerPresence
from streams.sources.asterisk import DRY_RUN_SECRET
from streams.sources.asterisk.records.settings import CelSettings
from streams.sources.asterisk.records.sources import CelSource
from tests.streams.records import (
    FIXTURES,
    FOLDER,
    MAPPING,
    NOW_MS,
    expected_of,
    lines_of,
    read,
    shown,
    story_differences,
)
from tests.streams.test_asterisk_real import EXPECTED, differences, events_of
from tests.streams.test_asterisk_real import MAPPING as REAL

Ended = Literal["cdr", "hangup"]
CASES = json.loads((FOLDER / "bad_cel" / "index.json").read_text())["cases"]
FILES = [case for case in CASES if not case["file"].endswith((".recipe.json", "open-calls.csv"))]
UNKNOWN = {
    "49-queue-rings-again-timeout": "the queue: nobody answered, and there is no APP_START",
    "162-queue-name-is-number": "the queue",
    "238-queue-local-declined": "the queue",
    "239-queue-ring-once-then-caller-gives-up": "the queue",
    "144-originate-customer-first": "the number: the PBX called it, and no row says which",
    "226-outbound-dial-twice-in-one-call": "the numbers: the dialplan dials others than the extension",
    "229-join-two-customers-hang-up": "the same rows as a transfer to an outside number; live it is the same",
}
"""Scenarios in which CEL lacks facts of the script, with these facts."""


def source(ended_by: Ended = "hangup", **settings: object) -> CelSource:
    return CelSource(CelSettings(ended_by=ended_by, **settings), MAPPING, DRY_RUN_SECRET)  # type: ignore[arg-type]  # settings of any type


def real(name: str, ended_by: Ended = "hangup") -> list[Event]:
    """Return the events of a scenario of a real Asterisk."""
    made = CelSource(CelSettings(ended_by=ended_by), REAL, DRY_RUN_SECRET)
    events, refused = read(made, lines_of((FIXTURES / "asterisk" / "cel" / f"{name}.csv").read_bytes()))
    assert not refused
    return events


@pytest.mark.parametrize("name", EXPECTED)
def test_a_scenario_has_the_legs_and_transfers_of_its_script(name: str) -> None:
    found = differences(EXPECTED[name], real(name))
    assert bool(found) is (name in UNKNOWN), found


def answered(events: list[Event]) -> list[CallEnded]:
    ends = [event for event in events if isinstance(event, CallEnded) and event.disposition == "answered"]
    return sorted(ends, key=lambda end: (end.call, end.manager, end.at))


@pytest.mark.slow
def test_every_answered_leg_has_the_call_manager_and_talk_of_the_manager_interface() -> None:
    compared = 0
    for name, want in EXPECTED.items():
        if name.startswith(("30", "31")) or want["expected"] == "won":  # sessions with gaps; the first of two
            continue
        live, records = answered(events_of(name)), answered(real(name))
        for one, two in zip(live, records, strict=True):
            assert (one.call, one.manager) == (two.call, two.manager), name
            assert (one.lead is None) == (two.lead is None) or name in UNKNOWN, name
            assert (one.internal, one.direction) == (two.internal, two.direction), name
            assert abs(one.talk_ms - two.talk_ms) <= 100, (name, one.talk_ms, two.talk_ms)
            compared += 1
    assert compared > 100


def test_no_presence_is_claimed() -> None:
    assert not [event for name in EXPECTED for event in real(name) if isinstance(event, ManagerPresence)]


@pytest.mark.parametrize(("file", "form"), [("Master.csv", "csv"), ("cel_master.json", "json")])
def test_the_day_has_its_legs(file: str, form: str) -> None:
    events, refused = read(source(format=form), lines_of((FOLDER / "cel" / "cel-custom" / file).read_bytes()))
    assert not refused
    assert story_differences(expected_of("cel"), events, slack_ms=10) == []


def test_ends_of_records_say_so_unless_told() -> None:
    lines = lines_of((FOLDER / "cel" / "cel-custom" / "Master.csv").read_bytes())
    both: tuple[Ended, Ended] = ("cdr", "hangup")
    for ended_by in both:
        events, _ = read(source(ended_by), lines)
        assert {end.ended_by for end in events if isinstance(end, CallEnded)} == {ended_by}


def test_a_call_whose_end_was_lost_is_open_and_the_restart_begins_at_its_first_row() -> None:
    lines = lines_of((FOLDER / "cel" / "cel-custom" / "Master.csv").read_bytes())
    made = source()
    read(made, lines)
    first = next(place for place, line in enumerate(lines) if b"1794909620.657" in line)
    assert made.oldest == first


@pytest.mark.parametrize("case", FILES, ids=[case["file"] for case in FILES])
def test_a_file_that_is_wrong(case: dict[str, dict[str, object]]) -> None:
    path = FOLDER / "bad_cel" / str(case["file"])
    sound, _ = read(source(), lines_of((FOLDER / "bad_cel" / "01-sound.csv").read_bytes()))
    events, refused = read(source(format="json" if path.suffix == ".json" else "csv"), lines_of(path.read_bytes()))
    assert "4950000101" not in shown(events)
    assert not any(b"4950000101" in one.shape or "4950000101" in one.detail for one in refused)
    if case["expect"]["class"] == "accepted":
        assert not refused
    if path.name in GOES_ON:
        assert events == sound


GOES_ON = {
    "01-sound.csv", "02-columns-19.csv", "07-extra-not-json.csv", "08-extra-nested-1000.csv", "13-nul-bytes.csv",
    "14-cp1251.csv", "15-open-quote.csv", "16-sql.csv", "19-mixed-formats.csv",
}  # fmt: skip
"""Files whose other rows are those of the sound one."""


@pytest.mark.slow
def test_calls_without_an_end_are_given_up_and_take_bounded_memory() -> None:
    row = '"CHAN_START","{}.0","","201","","","","84950000101","from-internal","PJSIP/201-1","","","3","",'
    row += '"{}.{}","{}.{}","","","",""'
    made = source()
    for number in range(30_000):
        at = 1_794_999_600 + number // 10
        made.take(row.format(at, at, number, at, number).encode(), number, at * 1000)
    assert made.calls.given_up >= 10_000
    assert made.calls.channels <= 20_000
    assert made.oldest is not None
    late = made.take(row.format(1_795_099_600, 1_795_099_600, 1, 1_795_099_600, 1).encode(), 30_000, 1_795_099_600_000)
    for number in range(256):  # looked at every so many rows
        late = made.take(
            row.format(1_795_099_600, 1_795_099_600, number, 1_795_099_600, 1).encode(), 30_001, NOW_MS * 2
        )
    assert made.calls.channels <= 257
    assert not late.refused


def test_a_call_that_began_before_the_first_row_is_left_out() -> None:
    lines = lines_of((FOLDER / "cel" / "cel-custom" / "Master.csv").read_bytes())
    begins = next(place for place, line in enumerate(lines) if b"ANSWER" in line)
    events, _ = read(source(), lines[begins:])
    assert "1794895331.630" not in shown(events)
    assert not story_differences([leg for leg in expected_of("cel") if leg["call"] != "A01"], events, slack_ms=10)


@pytest.mark.parametrize(
    ("text", "zone", "fold", "at"),
    [
        ("2026-11-17 09:02:11.060000", "Europe/Moscow", None, 1_794_895_331_060),
        ("2026-10-25 02:30:00.000000", "Europe/Berlin", "first", 1_792_888_200_000),
        ("2026-10-25 02:30:00.000000", "Europe/Berlin", "second", 1_792_891_800_000),
        ("2026-10-25 02:30:00.000000", "Europe/Berlin", None, None),
        ("2026-03-29 02:30:00.000000", "Europe/Berlin", None, None),
    ],
)
def test_times_as_text(text: str, zone: str, fold: str | None, at: int | None) -> None:
    made = source(time_format="%F %T.%6q", timezone=zone, fold=fold)
    line = (
        f'"CHAN_START","{text}","","201","","","","101","internal","PJSIP/201-1","","","3","","1.1","1.1","","","",""'
    )
    done = made.take(line.encode(), 0, 1_900_000_000_000)
    assert [one.reason for one in done.refused] == ([] if at is not None else ["invalid_time"])
    assert made.oldest == (0 if at is not None else None)
