"""A file that grows, line by line, over restarts: the same events as of the whole file."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.contract.events import Event
from streams.settings.settings import Settings
from streams.sources.files.followed import FollowedFile
from streams.sources.files.mapping import FileMapping
from streams.sources.people import People
from tests.streams.files_cases import FIXTURES, LATEST, SECRET, STORY, read, settings_of

SETTINGS = settings_of(STORY)
CALLS = (FIXTURES / "storyA" / "csv_en" / "calls-1.csv").read_bytes()
LINES = CALLS.split(b"\n")[:-1]
WHOLE = read(CALLS, SETTINGS, "csv_en").events


def follow(name: str = "csv_en", settings: Settings = SETTINGS) -> FollowedFile:
    return FollowedFile(name, settings.named("files", FileMapping)[name], People.of(settings, SECRET), SECRET, 0)


def taken(source: FollowedFile, lines: list[bytes], place: int = 0) -> list[Event]:
    events: list[Event] = []
    for line in lines:
        found = source.take(line, place, LATEST)
        assert found.refused == []
        events += found.events
        place += len(line) + 1
    return events


def test_lines_give_the_events_of_the_whole_file() -> None:
    assert taken(follow(), LINES) == WHOLE


@given(st.integers(0, len(LINES)))
def test_a_restart_goes_on_at_the_oldest_line_that_is_needed(cut: int) -> None:
    places = [0]
    for line in LINES:
        places.append(places[-1] + len(line) + 1)
    before = follow()
    events = taken(before, LINES[:cut])
    assert before.snapshot() or cut == 0
    again = places.index(before.oldest) if before.oldest is not None else cut
    after = follow()
    after.restore(before.snapshot())
    events += taken(after, LINES[again:], places[again])
    assert events == WHOLE


def test_the_next_file_after_a_rotation_begins_with_its_header() -> None:
    assert taken(follow(), LINES + LINES) == WHOLE + WHOLE


def test_the_next_file_may_have_its_columns_in_another_order() -> None:
    other = (FIXTURES / "storyA" / "csv_en" / "calls-2.csv").read_bytes()
    events = read(other, SETTINGS, "csv_en").events
    assert taken(follow(), LINES + other.split(b"\n")[:-1]) == WHOLE + events


def test_a_file_without_header_goes_on_behind_the_lines_that_are_skipped() -> None:
    settings = settings_of(
        """
[sources.files.pbx]
what = "calls"
header = false
skip_lines = 1
timezone = "UTC"
columns = { started = 1, manager = 2, duration = 3 }
constants = { direction = "outbound" }
"""
    )
    row = b"2026-11-17T09:00:00,anna,5"
    before = follow("pbx", settings)
    assert len(taken(before, [b"A report", row])) == 1
    after = follow("pbx", settings)
    after.restore(before.snapshot())
    assert len(taken(after, [row])) == 1


@pytest.mark.parametrize("first", [b"Other,Columns", b"PK\x03\x04", b"\xff\xfea\x00"])
def test_a_file_that_is_something_else_is_said_to_be_and_read_from_its_beginning_later(first: bytes) -> None:
    source = follow()
    assert source.take(first, 40, LATEST).events == []
    assert source.take(LINES[1], 60, LATEST).ignored == 1
    assert source.unusable.startswith("the file ")
    assert source.oldest == 40


def test_utf_16_cannot_be_followed() -> None:
    settings = settings_of(STORY.replace('encoding = "cp1251"', 'encoding = "utf-16"'))
    assert "cannot be followed" in follow("csv_ru", settings).unusable


def test_a_position_of_another_release_is_refused() -> None:
    with pytest.raises(ValueError, match="another release"):
        follow().restore(b"\x00")


def test_a_header_that_the_mapping_does_not_fit_any_more_is_told() -> None:
    source = follow()
    source.restore(b'{"header":["Old"]}')
    assert 'has no column "Call ID"' in source.unusable
