"""CDR of an invented day, of a real Asterisk, and CDR that is wrong."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from streams.contract.events import CallEnded, CallTransferred, Event
from streams.sources.asterisk import DRY_RUN_SECRET
from streams.sources.asterisk.records.cdr import CdrReader, CdrRow
from streams.sources.asterisk.records.cdr_calls import CdrCalls, CdrLeg
from streams.sources.asterisk.records.settings import CdrSettings
from streams.sources.asterisk.records.sources import CdrSource
from streams.sources.frame import Refused
from tests.streams.records import FIXTURES, FOLDER, MAPPING, expected_of, lines_of, read, shown, story_differences
from tests.streams.test_asterisk_real import EXPECTED, events_of, legs_of
from tests.streams.test_asterisk_real import MAPPING as REAL

CASES = json.loads((FOLDER / "bad_cdr" / "index.json").read_text())["cases"]
FILES = [case for case in CASES if not case["file"].endswith(".recipe.json")]
MASTER = lines_of((FOLDER / "cdr" / "cdr-csv" / "Master.csv").read_bytes())
CUSTOM = (
    *("clid", "src", "dst", "dcontext", "channel", "dstchannel", "lastapp", "lastdata", "start", "answer", "end"),
    *("duration", "billsec", "disposition", "amaflags", "accountcode", "uniqueid", "userfield", "linkedid"),
    *("peeraccount", "sequence"),
)
"""The columns of the real Asterisk's cdr_custom."""
CLICKED = {"140-click-to-dial", "144-originate-customer-first"}
"""The PBX rang the caller first. The row counts from the caller's own answer, and does not say so."""


def source(**settings: object) -> CdrSource:
    return CdrSource(CdrSettings(**settings), MAPPING, DRY_RUN_SECRET, "Europe/Moscow")  # type: ignore[arg-type]  # any setting


@pytest.mark.parametrize(("folder", "settings"), [("cdr-csv", {}), ("usegmtime/cdr-csv", {"timezone": "UTC"})])
def test_the_day_has_its_legs(folder: str, settings: dict[str, object]) -> None:
    events, refused = read(source(**settings), lines_of((FOLDER / "cdr" / folder / "Master.csv").read_bytes()))
    assert not refused
    assert story_differences(expected_of("cdr"), events) == []


def test_without_linkedid_each_row_is_a_call_and_nothing_is_concluded_from_several() -> None:
    lines = lines_of((FOLDER / "cdr" / "without-linkedid" / "cdr-csv" / "Master.csv").read_bytes())
    events, refused = read(source(), lines)
    assert not refused
    ends = [event for event in events if isinstance(event, CallEnded)]
    assert not any(end.manager.startswith("queue:") for end in ends)
    assert not any(isinstance(event, CallTransferred) for event in events)
    wanted = [leg for leg in expected_of("cdr") if not leg["manager"].startswith("queue:")]
    assert sorted((end.manager, end.started_at) for end in ends) == sorted(
        (leg["manager"], leg["started_ms"]) for leg in wanted
    )


def test_the_same_rows_in_any_order_and_several_times_are_the_same_legs() -> None:
    whole, _ = read(source(), MASTER)
    by_key = sorted(whole, key=lambda event: event.id)
    for seed in range(5):
        made = source()
        rows = random.Random(seed).sample(MASTER * 2, 2 * len(MASTER))
        calls = CdrCalls(MAPPING, DRY_RUN_SECRET)
        reader = CdrReader(CdrSettings(), "Europe/Moscow")
        held = [row for line in rows for row in reader.take(line) if isinstance(row, CdrRow)]
        by_call: dict[str, list[CdrRow]] = {}
        for row in held:
            by_call.setdefault(row.linkedid, [])
            if row not in by_call[row.linkedid]:
                by_call[row.linkedid].append(row)
        legs = [leg.end for call, mine in by_call.items() for leg in calls.legs(call, sorted(mine, key=order))]
        assert sorted(legs, key=lambda event: event.id) == by_key
        assert made.quiet(0) == []


def order(row: CdrRow) -> int:
    return int(row.sequence)


def killed(lines: list[bytes], cut: int) -> list[Event]:
    """Return the events of a reader that is killed after `cut` lines, and of the one that goes on in its place."""
    before, after = source(), source()
    events: list[Event] = []
    for place, line in enumerate(lines[:cut]):
        events += before.take(line, place, 1_900_000_000_000).events
    assert re.fullmatch(rb"\d{1,13}", before.snapshot())  # a moment: rows hold numbers of callers, and are not kept
    begin = cut if before.oldest is None else before.oldest
    after.restore(before.snapshot())
    return events + read(after, lines[begin:])[0]


@pytest.mark.parametrize("cut", range(len(MASTER) + 1))
def test_a_restart_that_reads_from_the_oldest_row_changes_nothing(cut: int) -> None:
    whole, _ = read(source(), MASTER)
    assert {event.id: event for event in killed(MASTER, cut)} == {event.id: event for event in whole}


@given(data=st.data())
def test_a_restart_never_reads_a_part_of_a_call(data: st.DataObject) -> None:
    # Within seconds, so that many calls may go on, and in an order in which the rows of calls lie between each other.
    near = [re.sub(rb"2026-11-17 \d\d:\d\d:", b"2026-11-17 10:00:", line) for line in MASTER]
    lines = data.draw(st.permutations(near))
    whole, _ = read(source(), lines)
    cut = data.draw(st.integers(0, len(lines)))
    found = killed(lines, cut)
    assert {event.id: event for event in found} == {event.id: event for event in whole}
    assert all(event in whole for event in found)


@pytest.mark.parametrize("case", FILES, ids=[case["file"] for case in FILES])
def test_a_file_that_is_wrong(case: dict[str, dict[str, object]]) -> None:
    path = FOLDER / "bad_cdr" / str(case["file"])
    settings = {"timezone": case["timezone"]} if "timezone" in case else {}
    sound, _ = read(source(), lines_of((FOLDER / "bad_cdr" / "01-sound.csv").read_bytes()))
    made = source(**settings)
    events, refused = read(made, lines_of(path.read_bytes()))
    assert "4950000101" not in shown(events)
    assert not any(b"4950000101" in one.shape or "4950000101" in one.detail for one in refused)
    assert bool(made.unusable) is (case["expect"]["class"] == "refused")
    if case["expect"]["class"] == "accepted":
        assert not refused
    if path.name[:2] in {"01", "02", "03", "04", "05", "06", "07", "09", "10", "22", "23", "24", "26"}:
        assert [type(event) for event in events] == [CallEnded] * len(sound)


@pytest.mark.parametrize(
    ("start", "fold", "uniqueid", "minute"),
    [
        ("2026-10-25 01:30:00", None, "", 30),
        ("2026-10-25 02:30:00", None, "", None),
        ("2026-10-25 02:30:00", "first", "", 90),
        ("2026-10-25 02:30:00", "second", "", 150),
        ("2026-10-25 02:30:00", None, "1792888200.7", 90),
        ("2026-10-25 02:30:00", None, "1792891800.7", 150),
        ("2026-10-25 03:30:00", None, "", 210),
    ],
)
def test_the_hour_that_exists_twice(start: str, fold: str | None, uniqueid: str, minute: int | None) -> None:
    reader = CdrReader(CdrSettings(timezone="Europe/Berlin", fold=fold), "UTC")  # type: ignore[arg-type]  # of the table
    end = start.replace(":30:00", ":31:00")
    line = f'"","201","84950000101","internal","","PJSIP/201-1","PJSIP/trunk-msk-2","Dial","","{start}",'
    line += f'"","{end}",60,0,"BUSY",""'
    line += f',"{uniqueid}"' if uniqueid else ""
    (row,) = reader.take(line.encode())
    if minute is None:
        assert isinstance(row, Refused)
        assert row.reason == "invalid_time"
    else:
        assert isinstance(row, CdrRow)
        midnight = 1_792_888_200_000 - 90 * 60_000
        assert (row.start, row.end - row.start) == (midnight + minute * 60_000, 60_000)


@pytest.mark.parametrize("fold", [None, "first", "second"])
@pytest.mark.parametrize(
    ("start", "answer", "end", "uniqueid", "minutes", "talk_s"),
    [
        ("01:55:00", "01:55:10", "02:05:10", "", 10, 600),  # the end alone exists twice
        ("02:50:00", "02:50:10", "02:10:10", "1792889400.7", 20, 1200),  # the clock goes back on the way
        ("02:10:00", "02:10:10", "02:45:10", "1792887000.7", 95, 5700),  # and the end looks as if it were near
        ("02:10:00", "02:10:10", "02:45:10", "1792890600.7", 35, 2100),
        ("02:59:50", "02:00:10", "02:10:10", "1792889990.7", 10, 600),  # it goes back while the telephone rings
        ("01:55:00", "01:55:10", "03:05:10", "", 130, 7800),
    ],
)
def test_a_call_over_the_hour_that_exists_twice(
    start: str, answer: str, end: str, uniqueid: str, minutes: int, talk_s: int, fold: str | None
) -> None:
    reader = CdrReader(CdrSettings(timezone="Europe/Berlin", fold=fold), "UTC")  # type: ignore[arg-type]  # of the table
    moments = ",".join(f'"2026-10-25 {clock}"' for clock in (start, answer, end))
    line = f'"","201","84950000101","internal","","PJSIP/201-1","PJSIP/trunk-msk-2","Dial","",{moments}'
    line += f',{talk_s + 10},{talk_s},"ANSWERED",""' + (f',"{uniqueid}"' if uniqueid else "")
    (row,) = reader.take(line.encode())
    assert isinstance(row, CdrRow), row
    assert row.answer is not None
    assert (row.end - row.answer, row.talk_ms) == (minutes * 60_000, talk_s * 1000)


NIGHT: tuple[tuple[str, str, str, int, int], ...] = (
    ("02:05:10", "", "02:06:00", 0, 50),
    ("02:50:00", "", "02:05:30", 0, 930),  # the clock goes back while the telephone rings
    ("02:50:00", "02:50:10", "02:05:30", 920, 930),
    ("02:59:50", "02:00:10", "03:10:10", 4200, 4220),
)


@pytest.mark.parametrize("fold", ["first", "second"])
@pytest.mark.parametrize("calls", [*permutations(NIGHT, 2), *((one,) for one in NIGHT)])
def test_without_an_id_the_time_of_a_call_depends_on_no_other_row(calls: Sequence[Any], fold: Any) -> None:
    reader = CdrReader(CdrSettings(timezone="Europe/Berlin", fold=fold), "UTC")
    for start, answer, end, talk_s, lasts_s in calls:
        moments = ",".join(f'"2026-10-25 {clock}"' if clock else '""' for clock in (start, answer, end))
        line = f'"","201","84950000101","internal","","PJSIP/201-1","PJSIP/trunk-msk-2","Dial","",{moments}'
        line += f',{lasts_s},{talk_s},"{"ANSWERED" if answer else "NO ANSWER"}",""'
        (row,) = reader.take(line.encode())
        assert isinstance(row, CdrRow), row
        assert (row.end - row.start, row.talk_ms) == (lasts_s * 1000, talk_s * 1000)


def test_a_header_names_the_columns() -> None:
    reader = CdrReader(CdrSettings(), "UTC")
    lines = lines_of((FIXTURES / "asterisk" / "cdr" / "02-out-answered-customer-hangs-up.full.csv").read_bytes())
    read_rows = [row for line in [",".join(CUSTOM).encode(), *lines] for row in reader.take(line)]
    assert read_rows[0] is None
    assert [type(row) for row in read_rows[1:]] == [CdrRow]


def real(name: str, *, custom: bool) -> list[CdrLeg]:
    reader = CdrReader(CdrSettings(columns=CUSTOM if custom else ()), "UTC")
    calls = CdrCalls(REAL, DRY_RUN_SECRET)
    path = FIXTURES / "asterisk" / "cdr" / f"{name}{'.full' if custom else ''}.csv"
    legs: list[CdrLeg] = []
    for line in lines_of(path.read_bytes()):
        for row in reader.take(line):
            assert isinstance(row, CdrRow)
            legs += calls.take(row)
    return legs + calls.finish()


@pytest.mark.parametrize("name", [name for name in EXPECTED if not name.startswith(("30", "31"))])
def test_rows_claim_no_answered_leg_and_no_talk_that_was_not(name: str) -> None:
    heard = legs_of(events_of(name))
    for leg in real(name, custom=True):
        mine = [one for one in heard if one.manager == leg.end.manager and one.call in {leg.end.call} | leg.other_calls]
        if leg.end.disposition != "answered" or name in {"131-directed-pickup", "163-answered-elsewhere-same-moment"}:
            continue  # a manager who picks up for a colleague is under the colleague's channel
        assert any(one.disposition == "answered" for one in mine)
        if leg.is_exact and name not in CLICKED:
            assert min(abs(one.talk_ms - leg.end.talk_ms) for one in mine) <= 1_100


def test_most_answered_legs_are_found_and_many_talks_are_exact() -> None:
    answered = found = exact = 0
    for name in EXPECTED:
        if name.startswith(("30", "31")):
            continue
        legs = real(name, custom=True)
        exact += sum(leg.is_exact and leg.end.disposition == "answered" for leg in legs)
        for one in legs_of(events_of(name)):
            if one.disposition == "answered":
                answered += 1
                found += any(
                    leg.end.manager == one.manager and one.call in {leg.end.call} | leg.other_calls for leg in legs
                )
    assert found >= 0.98 * answered > 100
    assert exact > 40


def test_master_csv_of_the_real_one_is_read_by_its_number_of_columns() -> None:
    for name in EXPECTED:
        for leg in real(name, custom=False):
            assert leg.end.ended_by == "cdr"


def test_a_call_waits_for_its_last_row_also_where_rows_have_one_place() -> None:
    calls = CdrCalls(MAPPING, DRY_RUN_SECRET)
    reader = CdrReader(CdrSettings(), "Europe/Moscow")
    rows = [row for line in MASTER for row in reader.take(line) if isinstance(row, CdrRow)]
    first, other = rows[0], next(row for row in rows if row.linkedid != rows[0].linkedid)
    second = replace(first, sequence="later", end=first.end + 60_000)
    assert calls.take(first) == calls.take(second) == []
    assert calls.take(replace(other, end=second.end + 5_000)) == []
    (held,) = (held for held in calls.open._open.values() if held.rows[0] == first)
    assert held.rows == [first, second]
