"""The losses of record files are declared once, and the documentation agrees. No input makes a reader fail."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.contract.events import encode
from streams.sources.asterisk import DRY_RUN_SECRET
from streams.sources.asterisk.records.knowledge import CANNOT_KNOW
from streams.sources.asterisk.records.rows import RowAssembler
from streams.sources.asterisk.records.settings import CdrSettings, CelSettings, QueueLogSettings
from streams.sources.asterisk.records.sources import (
    RECORD_FILES,
    CdrSource,
    CelSource,
    QueueLogSource,
    record_source,
)
from streams.sources.frame import LineSource
from tests.examples import examples
from tests.streams.records import FOLDER, MAPPING, NOW_MS, lines_of

PAGE = (Path(__file__).parents[2] / "docs" / "asterisk.md").read_text(encoding="utf-8")
TITLES = {"cel": "CEL", "queue_log": "queue_log", "cdr": "CDR"}
MAKERS: dict[str, Callable[[], LineSource]] = {
    "cel": lambda: CelSource(CelSettings(), MAPPING, DRY_RUN_SECRET),
    "json": lambda: CelSource(CelSettings(format="json"), MAPPING, DRY_RUN_SECRET),
    "queue_log": lambda: QueueLogSource(QueueLogSettings(), MAPPING, DRY_RUN_SECRET),
    "cdr": lambda: CdrSource(CdrSettings(), MAPPING, DRY_RUN_SECRET, "Europe/Moscow"),
}
DAYS = {
    "cel": FOLDER / "cel" / "cel-custom" / "Master.csv",
    "json": FOLDER / "cel" / "cel-custom" / "cel_master.json",
    "queue_log": FOLDER / "queue_log" / "queue_log",
    "cdr": FOLDER / "cdr" / "cdr-csv" / "Master.csv",
}
TEXTS = st.text(st.characters(exclude_characters="\r\0", exclude_categories=["Cs"]), max_size=8)
LINES = {kind: lines_of(path.read_bytes()) for kind, path in DAYS.items()}


@pytest.mark.parametrize("kind", RECORD_FILES)
def test_the_page_says_what_each_file_cannot_know(kind: str) -> None:
    part = PAGE.partition(f"{TITLES[kind]} cannot know:\n")[2].partition("\n## ")[0]
    assert tuple(re.findall(r"^- (.*)$", part, re.MULTILINE)) == CANNOT_KNOW[kind]
    assert record_source(kind, MAPPING, DRY_RUN_SECRET, "UTC").unusable == ""


def feed(source: LineSource, lines: list[bytes]) -> None:
    """Feed lines, and assert that all events can be encoded, and hold no number of the day's customers."""
    for place, line in enumerate(lines):
        done = source.take(line, place, NOW_MS)
        for event in done.events:
            assert b"4950000101" not in encode(event)
        for refused in done.refused:
            assert b"4950000101" not in refused.shape
    for event in source.quiet(NOW_MS):
        encode(event)
    source.restore(source.snapshot())


@pytest.mark.parametrize("kind", MAKERS)
@examples(60)
@given(data=st.data())
def test_no_bytes_make_a_reader_fail(kind: str, data: st.DataObject) -> None:
    feed(MAKERS[kind](), data.draw(st.lists(st.binary(max_size=200), max_size=8)))


@pytest.mark.slow
@pytest.mark.parametrize("kind", MAKERS)
@examples(60)
@given(data=st.data())
def test_no_damage_to_a_day_makes_a_reader_fail(kind: str, data: st.DataObject) -> None:
    places = st.integers(0, len(LINES[kind]) - 1)
    lines = list(LINES[kind])
    for _ in range(data.draw(st.integers(1, 6))):
        place, what = data.draw(places), data.draw(st.sampled_from(("drop", "double", "cut", "byte", "swap", "quote")))
        line = lines[min(place, len(lines) - 1)]
        where = data.draw(st.integers(0, max(len(line) - 1, 0)))
        place = min(place, len(lines) - 1)
        if what == "drop" and len(lines) > 1:
            del lines[place]
        elif what == "double":
            lines.insert(place, line)
        elif what == "cut":
            lines[place] = line[:where]
        elif what == "byte":
            lines[place] = line[:where] + bytes([data.draw(st.integers(0, 255))]) + line[where + 1 :]
        elif what == "swap":
            other = data.draw(st.integers(0, len(lines) - 1))
            lines[place], lines[other] = lines[other], lines[place]
        else:
            lines[place] = line[:where] + b'"' + line[where:]
    feed(MAKERS[kind](), lines)


@pytest.mark.fuzz
@pytest.mark.parametrize("kind", ["cel", "cdr"])
def test_a_carriage_return_outside_quotes_costs_its_row_at_most(kind: str) -> None:
    """For example a name that was typed with one. csv has no rule for it, and the file goes on."""
    first, *others = LINES[kind]
    quote = first.index(b'"', first.index(b'"') + 1) + 1
    broken = first[:quote] + b"\rx" + first[quote:]
    for line in (broken, b'"a,\r' + first, b'"' + b"y" * 60_000):
        source = MAKERS[kind]()
        feed(source, [line, b"y" * 60_000, b"y" * 60_000 + b'",x'])
        found = [event for place, one in enumerate(others) for event in source.take(one, place, NOW_MS).events]
        assert len(found) > 10


@pytest.mark.parametrize("quote", ['"', ""])
def test_other_separators_of_lines_are_text(quote: str) -> None:
    rows = RowAssembler(",", quote, lambda fields: len(fields) == 3)
    for mark in "\r\x0b\x0c\x1c\x85\u2028":
        (fields,) = rows.take(f"{quote}a{quote},{quote}b{mark}c{quote},d", "line 1")
        assert fields in (["a", f"b{mark}c", "d"], ["a", "b c", "d"])


@examples(100)
@given(
    rows=st.lists(
        st.lists(TEXTS, min_size=20, max_size=20),
        max_size=4,
    )
)
def test_any_text_in_any_column_is_read_as_csv_reads_it(rows: list[list[str]]) -> None:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    feed(MAKERS["cel"](), text.getvalue().encode().split(b"\n"))


@pytest.mark.parametrize("kind", MAKERS)
def test_reading_takes_time_in_proportion(kind: str) -> None:
    """A line of quotes, or many lines inside an open quote, cost no more than others."""
    source = MAKERS[kind]()
    feed(source, [b'"' * 60_001, *[b'"a'] * 2_000, b'x"' * 30_000])
