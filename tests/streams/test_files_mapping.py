"""The keys of a mapping of files, and the reading of a row by it."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.contract.events import CallEnded, CallStarted, CallTransferred, DealStageChanged, Event, encode
from streams.settings.settings import SettingsError, explain
from streams.sources.files.mapping import FileMapping
from streams.sources.files.rows import CsvRows, RowError
from streams.sources.files.text import Line, UnreadableFileError
from tests.streams.files_cases import STORY, key, read, reader, settings_of

CALLS = """
[sources.files.pbx]
what = "calls"
timezone = "UTC"
{more}
[sources.files.pbx.columns]
started = "start"
direction = "direction"
manager = "who"
duration = "long"
{columns}
"""


def table(more: str = "", columns: str = "") -> str:
    return CALLS.format(more=more, columns=columns)


def rows(text: str, settings: str, name: str = "pbx") -> list[Event]:
    found = read(text.encode(), settings_of(settings), name)
    assert found.refused == []
    return found.events


def problems(text: str) -> dict[str, str]:
    with pytest.raises(SettingsError) as caught:
        settings_of(text)
    return {problem.key: problem.message for problem in caught.value.problems}


@pytest.mark.parametrize(
    ("more", "columns", "key", "message"),
    [
        ("", "deal = 'x'", "columns.deal", "is no part of rows of calls"),
        ("", "startd = 'x'", "columns.startd", "unknown key; did you mean started?"),
        ("", "talk = ''", "columns.talk.column", "must be the name of a column"),
        ("", "talk = 0", "columns.talk.column", "must be the name of a column"),
        ("", "talk = true", "columns.talk", "the name of a column"),
        ("", "talk = []", "columns.talk.column", "must have at least 1 values"),
        ("", "answered = { column = 'a', time = '%d.%m' }", "columns.answered.time", "is no pattern with a date"),
        ("", "transferred_to = 't'", "columns", "needs how, a column or a constant, beside transferred_to"),
        ("what = 'calls'", "", "", "the file is not TOML"),
        ("time = '%d.%m.%Y'", "", "time", "is no pattern with a date"),
        ("encoding = 'cp9999'", "", "encoding", "is no known encoding"),
        ("encoding = 'rot13'", "", "encoding", "is no known encoding"),
        ("delimiter = ';;'", "", "delimiter", "must be one character"),
        ("delimiter = '\"'", "", "delimiter", "and quote must be different"),
        ("header = false", "", "columns", "must be numbers where the file has no header"),
        ("format = 'json'", "talk = 3", "columns", "are named by their keys in JSON"),
        ("internal = '('", "", "internal", "is no regular expression"),
        ("default_queue = '+74950000101'", "", "default_queue", "looks like a telephone number"),
        ("constants = { kind = 'warm' }", "", "constants.kind", '"warm" is none of cold'),
        ("constants = { started = 'now' }", "", "constants.started", "cannot be the same for all rows"),
        ("constants = { stage = 'won' }", "", "constants.stage", "is no part of rows of calls"),
        ("values = { direction = { In = 'inwards' } }", "", "values.direction", '"inwards" is no direction'),
        ("values = { disposition = { A = 'ansered' } }", "", "values.disposition", "did you mean answered?"),
        ("numbers = { shortest = 1 }", "", "numbers.shortest", "must be at least 3"),
        ("source = 'The PBX'", "", "source", "regex"),
    ],
)
def test_a_mapping_that_cannot_be_used_is_refused_under_its_key(
    more: str, columns: str, key: str, message: str
) -> None:
    found = problems(table(more, columns))
    at = f"sources.files.pbx.{key}" if key else ""
    assert message in found[at]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("what = 'calls'", "needs started"),
        ("what = 'deals'", "needs deal"),
        (
            "what = 'calls'\ntime = '%d.%m.%Y %H:%M'\ncolumns = { started = 'a' }",
            "is needed: the times of started have no offset",
        ),
        ("what = 'calls'\ncolumns = { started = 'a', direction = 'b', talk = 'c' }", "one of manager, extension"),
        (
            "what = 'calls'\ncolumns = { started = 'a', direction = 'b', manager = 'c' }",
            "one of ended, duration, talk",
        ),
        ("what = 'mails'", "none of calls, deals"),
        ("", "is missing"),
    ],
)
def test_what_a_mapping_needs_is_asked_for(text: str, message: str) -> None:
    assert message in " ".join(problems(f"[sources.files.pbx]\n{text}").values())


def test_the_name_of_a_mapping_must_be_one_of_a_source() -> None:
    assert "is no name of a source" in problems('[sources.files."The PBX"]\nwhat = "deals"')['sources.files."The PBX"']


@pytest.mark.parametrize(
    ("name", "more"), [("queue", ""), ("phone", ""), ("login", ""), ("pbx", "source = 'callpulse'")]
)
def test_a_source_is_not_called_like_something_else(name: str, more: str) -> None:
    columns = 'columns = { deal = "a", changed = "b", stage = "c" }'
    found = problems(f'[sources.files.{name}]\nwhat = "deals"\n{more}\n{columns}')
    assert found == {f"sources.files.{name}": "has a name that stands for something else"}


def test_check_config_shows_every_key_of_a_mapping() -> None:
    lines = {line.key: line for line in explain(settings_of(STORY))}
    shown = {name.removeprefix("sources.files.csv_ru.") for name in lines if name.startswith("sources.files.csv_ru.")}
    for field in msgspec.structs.fields(FileMapping):
        assert any(name == field.name or name.startswith(f"{field.name}.") for name in shown), field.name
    assert lines["sources.files.csv_ru.numbers.region"].source == "privacy.region"
    assert lines["sources.files.csv_ru.encoding"] == ("sources.files.csv_ru.encoding", '"cp1251"', "file")


# -- rows


HEADER = "start,direction,who,long\n"
ROW = "2026-11-17T09:00:00,outbound,anna,1:00\n"


def test_the_least_row_is_a_leg_without_answer() -> None:
    (event,) = rows(HEADER + ROW, table())
    assert isinstance(event, CallEnded)
    assert (event.manager, event.direction, event.at - event.started_at, event.talk_ms, event.disposition) == (
        *("pbx:anna", "outbound", 60_000),
        *(0, "no_answer"),
    )
    assert event.call == event.id.split(":")[1]
    assert (event.source, event.ended_by) == ("pbx", "cdr")


@pytest.mark.parametrize(
    ("columns", "cells", "expected"),
    [
        ({"wait": "5", "talk": "10", "long": ""}, "answered", (15_000, 5_000, 10_000)),
        ({"wait": "", "talk": "10", "long": "30"}, "answered", (30_000, 20_000, 10_000)),
        ({"wait": "5", "talk": "", "long": "30"}, "answered", (30_000, 5_000, 25_000)),
        ({"wait": "5", "talk": "10", "long": "30"}, "answered", (30_000, 5_000, 10_000)),
        ({"wait": "5", "talk": "10", "long": "15"}, "no_answer", (15_000, None, 0)),
        ({"wait": "5", "talk": "", "long": ""}, "busy", (5_000, None, 0)),
        ({"wait": "", "talk": "10", "long": ""}, "voicemail", (10_000, 0, 10_000)),
        ({"wait": "5", "talk": "11", "long": "15"}, "answered", (15_000, 5_000, 11_000)),  # both are rounded
        ({"wait": "", "talk": "16", "long": "15"}, "answered", (15_000, 0, 15_000)),
        ({"wait": "5", "talk": "0", "long": ""}, "", (5_000, None, 0)),
        ({"wait": "5", "talk": "1", "long": ""}, "", (6_000, 5_000, 1_000)),
    ],
)  # fmt: skip
def test_answer_end_and_talk_follow_from_the_spans_that_a_row_has(
    columns: dict[str, str], cells: str, expected: tuple[int, int | None, int]
) -> None:
    text = (
        "start,direction,who,long,wait,talk,result\n2026-11-17T09:00:00,outbound,anna,{long},{wait},{talk},{result}\n"
    )
    (event,) = rows(
        text.format(**columns, result=cells), table(columns="wait = 'wait'\ntalk = 'talk'\ndisposition = 'result'")
    )
    assert isinstance(event, CallEnded)
    started = event.started_at
    answered = None if event.answered_at is None else event.answered_at - started
    assert (event.at - started, answered, event.talk_ms) == expected


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("2026-11-17T09:00:00,outbound,anna,", "missing_field"),
        (",outbound,anna,5", "missing_field"),
        ("2026-11-17T09:00:00,,anna,5", "missing_field"),
        ("2026-11-17T09:00:00,outbound,,5", "missing_field"),
        ("2026-11-17T09:00:00,outbound,-,5", "missing_field"),
        ("2026-11-17T09:00:00,sideways,anna,5", "invalid_field"),
        ("2026-11-17T09:00:00,outbound,anna,700000", "invalid_field"),
        ("2030-11-17T09:00:00,outbound,anna,5", "future"),
        ("2026-11-17T09:00:00,outbound,an\u0001na,5", "invalid_field"),
        ("2026-11-17T09:00:00,outbound,anna,5,and,more", "invalid_field"),
        ("2026-11-17T09:00:00,outbound", "missing_field"),
        ("2026-11-17T09:00:00", "missing_field"),
    ],
)
def test_a_row_that_is_no_call_is_refused_and_the_next_one_counts(row: str, reason: str) -> None:
    found = read((HEADER + row + "\n" + ROW).encode(), settings_of(table()), "pbx")
    assert [one.reason for one in found.refused] == [reason]
    assert found.refused[0].where == "line 2"
    assert len(found.events) == 1


def test_a_byte_that_the_encoding_does_not_know_costs_its_row_alone() -> None:
    data = (HEADER + ROW * 5_000).encode() + b"2026-11-17T09:00:00,outbound,\xff\xfe,5\n" + ROW.encode()
    found = read(data, settings_of(table()), "pbx")
    assert [(one.reason, one.where) for one in found.refused] == [("not_utf8", "line 5002")]
    assert len(found.events) == 5_001


def test_an_unanswered_call_from_outside_belongs_to_its_queue() -> None:
    text = "start,direction,who,long,q\n" + "".join(
        f"2026-11-17T09:00:00,{cells}\n"
        for cells in ("inbound,,5,sales", "inbound,,5,", "inbound,Queue Sales,5,", "inbound,queue:4950000101,5,")
    )
    events = rows(text, table("queue_prefix = 'queue '", "queue = 'q'"))
    found = [event.manager for event in events if isinstance(event, CallEnded)]
    assert found[:3] == ["queue:sales", "queue:inbound", "queue:Sales"]
    assert re.fullmatch("queue:[0-9a-f]{32}", found[3])
    assert [event.queue for event in events if isinstance(event, CallStarted)] == ["sales"]


def test_a_row_of_a_queue_that_was_answered_is_another_row_too() -> None:
    text = "start,direction,who,long,result\n2026-11-17T09:00:00,inbound,queue:sales,5,answered\n"
    found = read(text.encode(), settings_of(table(columns="disposition = 'result'")), "pbx")
    assert (found.events, found.refused, found.ignored) == ([], [], 1)


def test_caller_and_callee_say_which_way_a_call_went_and_whose_it_is() -> None:
    settings = """
[sources.files.pbx]
what = "calls"
timezone = "UTC"
columns = { started = "start", duration = "long", caller = "from", callee = "to" }
"""
    text = "start,long,from,to\n" + "".join(
        f"2026-11-17T09:00:0{second},5,{sides}\n"
        for second, sides in enumerate(
            ("201,84950000101", "84950000101,202", "201,203", "84950000101,84950000102", "299,8495")
        )
    )
    events = rows(text, settings)
    assert [
        (event.manager, event.direction, event.internal, event.lead) for event in events if isinstance(event, CallEnded)
    ] == [
        ("vera.lisina", "outbound", msgspec.UNSET, key("+74950000101")),
        ("gleb.ostrov", "inbound", msgspec.UNSET, key("+74950000101")),
        ("vera.lisina", "outbound", True, None),
        ("queue:inbound", "inbound", msgspec.UNSET, key("+74950000101")),
        ("pbx:299", "outbound", True, None),
    ]


def test_a_transfer_is_told_where_it_is_said_how() -> None:
    text = "start,direction,who,long,to\n2026-11-17T09:00:00,inbound,anna,5,202\n2026-11-17T09:00:00,inbound,anna,6,\n"
    events = rows(text, table("constants = { how = 'blind' }", "transferred_to = 'to'"))
    (transfer,) = (event for event in events if isinstance(event, CallTransferred))
    assert (transfer.manager, transfer.to_manager, transfer.how) == ("pbx:anna", "gleb.ostrov", "blind")


def test_constants_words_and_ignored_rows() -> None:
    settings = """
[sources.files.pbx]
what = "calls"
timezone = "UTC"
constants = { direction = "outbound", kind = "cold" }
columns = { started = "start", talk = "long", login = "who", disposition = "result" }
[sources.files.pbx.values.disposition]
"OK" = "answered"
"test" = "ignore"
"""
    text = "start,who,long,result\n2026-11-17T09:00:00,anna,5, ok \n2026-11-17T09:00:00,anna,5,TEST\n"
    found = read(text.encode(), settings_of(settings), "pbx")
    (event,) = found.events
    assert isinstance(event, CallEnded)
    assert (event.direction, event.kind, event.disposition, found.ignored) == ("outbound", "cold", "answered", 1)


def test_rows_without_ids_are_the_same_when_their_numbers_are_spelt_otherwise() -> None:
    settings = table(columns="lead_number = 'n'")
    text = "start,direction,who,long,n\n2026-11-17T09:00:00,outbound,anna,5,{}\n"
    one, two, other = (rows(text.format(n), settings) for n in ("+7 (495) 000-01-01", "84950000101", "84950000102"))
    assert one == two
    assert one[0].id != other[0].id


def test_a_key_names_what_makes_a_row_unique() -> None:
    settings = table("key = ['n']")
    text = "start,direction,who,long,n\n2026-11-17T09:00:00,outbound,{},5,1\n"
    assert rows(text.format("anna"), settings)[0].id == rows(text.format("boris"), settings)[0].id


def test_an_id_that_could_be_a_number_is_hashed_and_asterisks_own_ids_stay() -> None:
    settings = table(columns="call = 'id'\nlead = 'lead'")
    text = "start,direction,who,long,id,lead\n2026-11-17T09:00:00,outbound,anna,5,{},{}\n"
    (event,) = rows(text.format("1795435200.17", "4711"), settings)
    assert isinstance(event, CallEnded)
    assert (event.call, event.lead) == ("1795435200.17", "4711")
    (event,) = rows(text.format("84950000101", "8-495-000-01-01"), settings)
    assert b"4950000101" not in encode(event)


def test_two_mappings_may_be_of_one_source() -> None:
    assert rows(HEADER + ROW, table("source = 'crm'"))[0].source == "crm"


def test_columns_by_number_need_no_header() -> None:
    settings = """
[sources.files.pbx]
what = "calls"
header = false
skip_lines = 1
delimiter = "tab"
timezone = "UTC"
columns = { started = [1, 2], direction = 3, manager = 4, duration = 5 }
"""
    events = rows("Report of 2026\n2026-11-17\t09:00:00\toutbound\tanna\t5\n", settings)
    assert [event.at for event in events] == [1794906005000]
    found = read(b"x\nshort\trow\n", settings_of(settings), "pbx")
    assert [one.reason for one in found.refused] == ["missing_field"]


def test_json_lines_are_read_by_their_keys() -> None:
    settings = """
[sources.files.pbx]
what = "calls"
format = "json"
time = "unix"
columns = { started = "at", direction = "direction", email = "agent.email", talk = "talk", lead_number = "numbers" }
"""
    good = {
        "at": 1794906000,
        "direction": "outbound",
        "agent": {"email": "x@y.org"},
        "talk": 5,
        "numbers": ["84950000101"],
    }
    lines = [
        json.dumps(good),
        "",
        '{"at":',
        "[1]",
        "[" * 100_000,
        json.dumps(good | {"talk": None}),
        json.dumps(good | {"at": True}),
    ]
    found = read("\n".join(lines).encode(), settings_of(settings), "pbx")
    (event,) = found.events
    assert isinstance(event, CallEnded)
    assert (event.at, event.manager, event.lead) == (1794906005000, "pbx:x@y.org", key("+74950000101"))
    assert [(one.reason, one.where) for one in found.refused] == [
        ("not_json", "line 3"),
        ("not_json", "line 4"),
        ("too_deep", "line 5"),
        ("missing_field", "line 6"),
        ("invalid_time", "line 7"),
    ]
    assert b"4950000101" not in found.refused[3].shape


DEALS = """
[sources.files.crm]
what = "deals"
timezone = "UTC"
{more}
columns = {{ deal = "id", changed = "at", stage = "stage", amount = "amount", currency = "cur", product = "product" }}
"""


@pytest.mark.parametrize(
    ("decimal", "written", "currency", "expected"),
    [
        (".", "1,200.50", "EUR", ("1200.50", "EUR")),
        (".", "1,000", "", ("1000", None)),
        (",", "1.000", "", ("1000", None)),
        (",", "1 200,5 €", "", ("1200.5", "EUR")),
        (",", "1\u00a0200\u00a0000,00", "rub", ("1200000.00", "RUB")),
        (".", "1.2.3", "RUB", (None, "RUB")),
        (".", "+74950000101 call", "", (None, None)),
        (".", "", "???", (None, None)),
        (".", "-5", "usd", ("-5", "USD")),
    ],
)
def test_an_amount_is_canonical_or_left_out(
    decimal: str, written: str, currency: str, expected: tuple[str | None, str | None]
) -> None:
    text = f'id,at,stage,amount,cur,product\nD1,2026-11-17T09:00:00,Won,"{written}",{currency},"+7 495 000 01 01"\n'
    settings = settings_of(DEALS.format(more=f'decimal = "{decimal}"'))
    (event,) = read(text.encode(), settings, "crm").events
    assert isinstance(event, DealStageChanged)
    assert (None if event.amount is None else str(event.amount), event.currency) == expected
    assert (event.lead, event.stage, event.product) == ("crm:deal:D1", "Won", None)


def test_what_is_left_out_is_counted() -> None:
    one = reader(settings_of(DEALS.format(more="")), "crm")
    one.feed(b"id,at,stage,amount,cur,product\nD1,2026-11-17T09:00:00,Won,much,$,+74950000101\n")
    assert one.left_out == {
        "currency: no code or sign of a currency": 1,
        "amount: cannot be read": 1,
        "product: too long, or looks like a telephone number": 1,
    }


@pytest.mark.parametrize("stage", ["", "+74950000101", "x" * 200])
def test_a_deal_without_a_usable_stage_is_refused(stage: str) -> None:
    text = f"id,at,stage,amount,cur,product\nD1,2026-11-17T09:00:00,{stage},,,\n"
    (refused,) = read(text.encode(), settings_of(DEALS.format(more="")), "crm").refused
    assert refused.reason in ("missing_field", "invalid_field")


# -- lines and quotes


def cells(text: str) -> list[Any]:
    one, found = CsvRows(",", '"'), []
    for number, line in enumerate(text.split("\n"), 1):
        found += [row.cells for row in one.feed(Line(number, line))]
    return [*found, *(row.cells for row in one.finish())]


@given(
    st.lists(
        st.lists(st.text(st.sampled_from('ab",\n ;\r'), max_size=6), min_size=1, max_size=4), min_size=1, max_size=5
    )
)
def test_what_a_csv_writer_writes_is_read_as_the_same_cells(table: list[list[str]]) -> None:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(table)
    assert cells(out.getvalue()) == table


@pytest.mark.fuzz
@given(st.text(st.sampled_from('ab",\n'), max_size=60))
def test_any_text_gives_rows_and_no_line_is_lost(text: str) -> None:
    one = CsvRows(",", '"')
    lines = text.split("\n")
    found = [row for number, line in enumerate(lines, 1) for row in one.feed(Line(number, line))] + list(one.finish())
    assert "\n".join(row.text for row in found if row.text) == "\n".join(
        line for row in found for line in row.text.split("\n") if row.text
    )
    assert sum(len(row.text.split("\n")) for row in found) >= len([line for line in lines if line])
    assert all(isinstance(row.cells, list | RowError) for row in found)


def test_a_quote_that_is_never_closed_costs_its_line_alone() -> None:
    text = 'a,"b\n' + "1,2\n" * 1_000
    found = cells(text)
    assert isinstance(found[0], RowError)
    assert found[1:] == [["1", "2"]] * 1_000


def test_rows_behind_a_quote_that_is_never_closed_do_not_wait_for_the_end_of_the_file() -> None:
    one = CsvRows(",", '"')
    lines = ['a,"b', *["1,2"] * 300]
    found = [row for number, line in enumerate(lines, 1) for row in one.feed(Line(number, line))]
    assert len(found) == 301
    assert not one.is_waiting


def test_a_long_line_is_dropped_in_bounded_memory_and_the_next_one_counts() -> None:
    one = reader(settings_of(table()), "pbx")
    one.feed(HEADER.encode())
    for _ in range(50):
        assert one.feed(b"x" * 100_000).refused == []
    found = one.feed(b"\n" + ROW.encode())
    assert [(row.reason, row.where, row.shape) for row in found.refused] == [("too_large", "line 2", b"")]
    assert len(found.events) == 1


@pytest.mark.slow
@pytest.mark.parametrize("evil", ['"', '""', '",', ',"', "a" * 100, '"\n', ";" * 50, '"x"y'])
def test_reading_takes_time_in_proportion_to_the_size(evil: str) -> None:
    def seconds(count: int) -> float:
        one = reader(settings_of(table()), "pbx")
        data = HEADER.encode() + (evil * count).encode()
        begun = time.perf_counter()
        for at in range(0, len(data), 1 << 16):
            one.feed(data[at : at + (1 << 16)])
        one.finish()
        return time.perf_counter() - begun

    seconds(1_000)
    small, large = min(seconds(10_000) for _ in range(3)), min(seconds(80_000) for _ in range(2))
    assert large < max(8 * small * 4, 0.5)


# -- anything


PIECES = st.sampled_from(
    [
        b"2026-11-17T09:00:00",
        b"outbound",
        b"inbound",
        b"anna",
        b"5",
        b"1:00",
        b",",
        b"\n",
        b'"',
        b"\r\n",
        b"\xff",
        b"\x00",
        b"-",
        b"+74950000101",
        b"null",
        b"\xef\xbb\xbf",
    ]
)


@pytest.mark.fuzz
@given(st.lists(PIECES, max_size=40).map(b"".join) | st.binary(max_size=200), st.booleans(), st.integers(1, 50))
def test_any_bytes_are_read_or_refused_without_a_number(data: bytes, header: bool, piece: int) -> None:
    said = b""
    try:
        found = read((HEADER.encode() if header else b"") + data, ANY, "pbx", piece)
    except UnreadableFileError as error:
        said = str(error).encode()
    else:
        refused = [f"{one.detail}{one.where}".encode() + one.shape for one in found.refused]
        said = b"".join([*map(encode, found.events), *refused])
    assert b"4950000101" not in said


ANY = settings_of(table(columns="lead_number = 'who'"))


@pytest.mark.fuzz
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["at", "agent", "email", "direction", "talk"]), inner, max_size=5)
        ),
        max_leaves=10,
    )
)
def test_any_json_is_read_or_refused(value: Any) -> None:
    read(json.dumps(value).encode(), JSON, "pbx")


JSON = settings_of(
    """
[sources.files.pbx]
what = "calls"
format = "json"
time = "unix"
columns = { started = "at", direction = "direction", email = "agent.email", talk = "talk" }
"""
)


NIGHT = """
[sources.files.night]
what = "calls"
time = "%Y-%m-%d %H:%M:%S"
timezone = "Europe/Berlin"
{fold}
[sources.files.night.columns]
call = "id"
started = "from"
answered = "answer"
ended = "to"
talk = "talk"
direction = "way"
extension = "who"
"""


@pytest.mark.parametrize(
    ("fold", "started", "answered", "ended", "talk_s", "minutes"),
    [
        ("", "01:55:00", "01:55:10", "02:05:10", "600", 10),  # only the end exists twice: its talk decides
        ("", "01:55:00", "01:55:10", "02:05:10", "4200", 70),
        ("first", "02:50:00", "02:50:10", "02:10:10", "1200", 20),  # the clock goes back on the way
        ("first", "02:10:00", "02:10:10", "02:45:10", "5700", 95),
        ("second", "02:10:00", "02:10:10", "02:45:10", "2100", 35),
        ("second", "01:55:00", "01:55:10", "02:05:10", "600", 10),
        ("second", "02:50:00", "02:50:10", "02:10:10", "1200", 20),  # it ends, so it began before the clock went back
        ("second", "02:59:50", "02:00:10", "03:10:10", "4200", 70),  # it was answered, so it began before
        ("", "02:10:00", "02:10:10", "02:45:10", "2100", None),  # the beginning is not known
    ],
)
def test_a_call_over_the_hour_that_exists_twice(
    fold: str, started: str, answered: str, ended: str, talk_s: str, minutes: int | None
) -> None:
    settings = settings_of(NIGHT.format(fold=f'fold = "{fold}"' if fold else ""))
    row = ",".join(["1", *(f"2026-10-25 {clock}" for clock in (started, answered, ended)), talk_s, "outbound", "201"])
    found = read(f"id,from,answer,to,talk,way,who\n{row}\n".encode(), settings, "night")
    if minutes is None:
        assert [one.reason for one in found.refused] == ["invalid_time"]
        return
    assert found.refused == []
    (end,) = (event for event in found.events if isinstance(event, CallEnded))
    assert end.answered_at is not None
    assert (end.at - end.answered_at, end.talk_ms) == (minutes * 60_000, int(talk_s) * 1000)
