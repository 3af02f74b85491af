"""Real bytes of each system, damaged: the intact parts are read, nothing raises, and time is linear in the size."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from functools import cache
from typing import Final, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.contract.decoding import Decoder
from streams.contract.events import CallsEvent, Event, encode
from streams.sources.asterisk import AmiParser, Asterisk, AsteriskMapping
from streams.sources.files.followed import FollowedFile
from streams.sources.files.mapping import FileMapping
from streams.sources.files.text import UnreadableFileError
from streams.sources.frame import LineSource
from streams.sources.people import People
from tests.examples import examples
from tests.streams.asterisk_sessions import is_idle
from tests.streams.files_cases import FIXTURES as EXPORTS
from tests.streams.files_cases import LATEST, SECRET, STORY, reader, settings_of
from tests.streams.records import FIXTURES, NOW_MS, lines_of
from tests.streams.test_records_knowledge import LINES, MAKERS

SETTINGS: Final = settings_of(STORY)
JSON_LINES: Final = settings_of(
    """
[sources.files.pbx]
what = "calls"
format = "json"
time = "unix"
columns = { call = "id", started = "at", direction = "direction", email = "agent.email", talk = "talk" }
"""
)
ROWS: Final = [
    json.dumps({"id": f"c-{n}", "at": 1_795_000_000 + n, "direction": "outbound", "talk": n, "agent": {"email": "a"}})
    for n in range(40)
]
FILES: Final = {
    "csv_ru": EXPORTS / "storyA" / "csv_ru" / "calls-1.csv",
    "csv_en": EXPORTS / "storyA" / "csv_en" / "calls-1.csv",
    "deals_ru": EXPORTS / "storyA" / "csv_ru" / "deals.csv",
}
CAPTURES: Final = sorted((FIXTURES / "asterisk" / "ami").glob("*.ami"))
CEL: Final = sorted((FIXTURES / "asterisk" / "cel").glob("*.csv"))
SPICE: Final = st.one_of(
    st.binary(max_size=6),
    st.sampled_from(
        (b'"', b'""', b",", b";", b"\n", b"\r\n", b"\0", b"\xff", b"\xef\xbb\xbf", b"-1", b"9" * 20, b"NaN")
    ),
    st.sampled_from((b"{", b"[[[[", b'\\"', b"1e999", b"Infinity", "٣".encode(), b"Event: ", b"|", b"NONE", b"%d")),
)
Change: TypeAlias = tuple[str, float, float, bytes]
CHANGES: Final = st.lists(
    st.tuples(
        st.sampled_from(("drop", "double", "cut", "put", "swap", "splice", "move")),
        st.floats(0, 1, exclude_max=True),
        st.floats(0, 1, exclude_max=True),
        SPICE,
    ),
    min_size=1,
    max_size=8,
)
PLACES: Final = st.floats(0, 1, exclude_max=True)
WINDOW: Final = 60


def damaged(rows: list[bytes], begin: float, changes: list[Change]) -> list[bytes]:
    """Return some rows in a row, with the changes made in them."""
    at = int(begin * len(rows))
    found = rows[at : at + WINDOW]
    for what, first, second, put in changes:
        if not found:
            break
        place, other = int(first * len(found)), int(second * len(found))
        row = found[place]
        where = int(second * (len(row) + 1))
        if what == "drop":
            del found[place]
        elif what == "double":
            found.insert(other, row)
        elif what == "cut":
            found[place] = row[:where]
        elif what == "put":
            found[place] = row[:where] + put + row[where + len(put) // 2 :]
        elif what == "swap":
            found[place], found[other] = found[other], row
        elif what == "splice":
            found[place] = row[:where] + found[other][where:]
        else:
            found.insert(other, found.pop(place))
    return found


def sound(events: Iterable[Event], shapes: Iterable[bytes]) -> None:
    """Return whether the events may be published: the contract accepts them, and they have no number of a customer."""
    decoder: Decoder[CallsEvent] = Decoder("calls")
    for event in events:
        data = encode(event)
        assert b"4950000101" not in data
        if isinstance(event, CallsEvent):
            assert decoder.decode(data) == event
    for shape in shapes:
        assert b"4950000101" not in shape


def fed(source: LineSource, lines: Iterable[bytes], now_ms: int = NOW_MS) -> None:
    events: list[Event] = []
    shapes: list[bytes] = []
    for place, line in enumerate(lines):
        done = source.take(line, place, now_ms)
        events += done.events
        shapes += [one.shape + one.detail.encode() for one in done.refused]
    events += source.quiet(now_ms)
    sound(events, shapes)
    source.restore(source.snapshot())


def followed(name: str) -> LineSource:
    settings = JSON_LINES if name == "pbx" else SETTINGS
    mapping = settings.named("files", FileMapping)[name]
    return FollowedFile(name, mapping, People.of(settings, SECRET), SECRET, 300_000)


READERS: Final[dict[str, Callable[[], LineSource]]] = {
    **MAKERS,
    **{name: lambda name=name: followed(name) for name in (*FILES, "pbx")},  # type: ignore[misc]  # the name of this turn
}


@cache
def rows_of(kind: str) -> list[bytes]:
    if kind == "pbx":
        return [row.encode() for row in ROWS]
    return LINES[kind] if kind in LINES else lines_of(FILES[kind].read_bytes())


@pytest.mark.fuzz
@pytest.mark.parametrize("kind", READERS)
@examples(30)
@given(begin=PLACES, changes=CHANGES)
def test_damaged_rows_of_a_day_are_read_or_refused(kind: str, begin: float, changes: list[Change]) -> None:
    rows = rows_of(kind)
    head = rows[:1] if kind in FILES else []
    fed(READERS[kind](), [*head, *damaged(rows, begin, changes)])


@pytest.mark.fuzz
@examples(30)
@given(place=PLACES, begin=PLACES, changes=CHANGES)
def test_damaged_calls_of_a_real_asterisk_are_read_or_refused(
    place: float, begin: float, changes: list[Change]
) -> None:
    rows = lines_of(CEL[int(place * len(CEL))].read_bytes())
    fed(READERS["cel"](), damaged(rows, begin, changes))


@pytest.mark.fuzz
@pytest.mark.parametrize("kind", READERS)
@examples(30)
@given(st.lists(st.binary(max_size=80) | SPICE, max_size=12))
def test_any_lines_are_read_or_refused(kind: str, lines: list[bytes]) -> None:
    fed(READERS[kind](), lines)


@pytest.mark.fuzz
@pytest.mark.parametrize("kind", FILES)
@examples(30)
@given(begin=PLACES, changes=CHANGES, piece=st.integers(1, 400))
def test_damaged_files_are_read_or_refused_as_a_whole(
    kind: str, begin: float, changes: list[Change], piece: int
) -> None:
    rows = rows_of(kind)
    data = b"\n".join([*rows[:1], *damaged(rows, begin, changes)])
    one = reader(SETTINGS, kind)
    said = ""
    try:
        for at in range(0, len(data), piece):
            found = one.feed(data[at : at + piece])
            sound(found.events, [refused.shape for refused in found.refused])
        sound(one.finish().events, [])
    except UnreadableFileError as error:
        said = str(error)
    assert "4950000101" not in said


@pytest.mark.fuzz
@examples(40)
@given(place=PLACES, begin=PLACES, changes=CHANGES, piece=st.integers(1, 2_000), again=st.booleans())
def test_a_damaged_session_of_a_real_asterisk_leaves_nothing_behind(
    place: float, begin: float, changes: list[Change], piece: int, again: bool
) -> None:
    messages = CAPTURES[int(place * len(CAPTURES))].read_bytes().split(b"\r\n\r\n")
    left = [message + b"\r\n\r\n" for message in damaged(messages, begin, changes)]
    data = b"".join(left)
    parser, translator = AmiParser(), Asterisk(AsteriskMapping(), SECRET)
    events: list[Event] = []
    for at in range(0, len(data), piece):
        for message in parser.feed(data[at : at + piece]):
            if isinstance(message, dict):
                events += translator.feed(message, LATEST)
        if again and at <= len(data) // 2 < at + piece:
            translator.begin_connection()
    events += translator.finish(LATEST)
    assert is_idle(translator)
    assert len({event.id for event in events}) == len(events)
    sound(events, [])


@pytest.mark.fuzz
@pytest.mark.slow
@pytest.mark.parametrize("kind", [*READERS, "ami"])
@examples(5)
@given(place=PLACES, changes=CHANGES, piece=st.lists(SPICE, min_size=1, max_size=4).map(b"".join), line=st.booleans())
def test_the_time_is_in_proportion_to_the_size(
    kind: str, place: float, changes: list[Change], piece: bytes, line: bool
) -> None:
    """Any repeated input: eight times as much takes eight times as long, and not the square of it."""
    rows = CAPTURES[0].read_bytes().split(b"\r\n\r\n") if kind == "ami" else rows_of(kind)
    row = (damaged(rows, place, changes) or [b""])[0]

    def seconds(count: int) -> float:
        if kind == "ami":
            parser, translator = AmiParser(), Asterisk(AsteriskMapping(), SECRET)
            data = (piece if line else piece + row + b"\r\n\r\n") * count
            begun = time.process_time()
            for message in parser.feed(data):
                if isinstance(message, dict):
                    translator.feed(message, LATEST)
            return time.process_time() - begun
        source = READERS[kind]()
        lines = [piece * count] if line else [row + piece] * count
        begun = time.process_time()
        for number, data in enumerate(lines):
            source.take(data, number, NOW_MS)
        source.quiet(NOW_MS)
        return time.process_time() - begun

    small, large = seconds(250), seconds(2_000)
    if large > max(0.5, 32 * small):  # the machine may have been busy
        small, large = min(seconds(250) for _ in range(3)), min(seconds(2_000) for _ in range(2))
    assert large <= max(0.5, 32 * small)
