"""The bytes of the manager interface, and recordings of it."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.sources.asterisk import AmiParser, BadLine, read_recording, replay
from streams.sources.asterisk.wire import LONGEST_LINE
from tests.examples import examples
from tests.streams.asterisk_sessions import FOLDER, NAMES, recorded

STREAM = (
    b"Asterisk Call Manager/9.0.0\r\n"
    b"Response: Success\r\nMessage: Authentication accepted\r\n\r\n"
    b'Event: Newchannel\r\nChannel: PJSIP/101-00000001\r\nCallerIDName: Caf\xe9: the "bar"\r\n'
    b"Uniqueid: 1700000000.1\r\n\r\n"
    b"Event: Hangup\r\nUniqueid: 1700000000.1\r\nCause-txt: \r\nChanVariable: a=1\r\nChanVariable: b=2\r\n\r\n"
)
MESSAGES = [
    {"Response": "Success", "Message": "Authentication accepted"},
    {
        "Event": "Newchannel",
        "Channel": "PJSIP/101-00000001",
        "CallerIDName": 'Caf�: the "bar"',
        "Uniqueid": "1700000000.1",
    },
    {"Event": "Hangup", "Uniqueid": "1700000000.1", "Cause-txt": "", "ChanVariable": "a=1\nb=2"},
]


def test_the_stream_is_read_message_by_message() -> None:
    assert AmiParser().feed(STREAM) == MESSAGES


@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_how_the_stream_is_cut_into_pieces_does_not_matter(cuts: list[int]) -> None:
    parser = AmiParser()
    places = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[a:b] for a, b in pairwise(places)]
    assert [message for piece in pieces for message in parser.feed(piece)] == MESSAGES
    assert parser.finish() == []


def test_lines_may_end_in_a_newline_alone() -> None:
    assert AmiParser().feed(STREAM.replace(b"\r\n", b"\n")) == MESSAGES


def test_a_line_without_a_colon_is_reported_and_the_message_goes_on() -> None:
    read = AmiParser().feed(b"Event: Hangup\r\nthis is no header\r\nUniqueid: 1.1\r\n\r\n")
    assert read == [BadLine("no_colon", 2, "a line is `Name: value`"), {"Event": "Hangup", "Uniqueid": "1.1"}]


def test_a_line_that_never_ends_is_thrown_away_and_reported_once() -> None:
    parser = AmiParser()
    read = [found for _ in range(100) for found in parser.feed(b"x" * 4096)]
    assert [found.reason for found in read if isinstance(found, BadLine)] == ["too_long"]
    assert parser.feed(b"\r\nEvent: Hangup\r\n\r\n") == [{"Event": "Hangup"}]


def test_a_line_that_is_too_long_in_one_piece_is_reported() -> None:
    read = AmiParser().feed(b"a: " + b"x" * LONGEST_LINE + b"\nEvent: Hangup\n\n")
    assert [getattr(found, "reason", found) for found in read] == ["too_long", {"Event": "Hangup"}]


def test_a_message_without_an_end_does_not_grow_for_ever() -> None:
    parser = AmiParser()
    read = [found for number in range(5000) for found in parser.feed(b"h%d: x\n" % number)]
    assert [found.reason for found in read if isinstance(found, BadLine)] == ["too_many_lines"]
    (event,) = parser.feed(b"\n")
    assert isinstance(event, dict)
    assert len(event) == 2000


def test_what_a_command_printed_is_no_bad_line() -> None:
    read = AmiParser().feed(
        b"Response: Follows\r\nPrivilege: Command\r\nno colon here\n--END COMMAND--\r\n\r\nEvent: Hangup\r\n\r\n"
    )
    assert read[-1] == {"Event": "Hangup"}
    assert not any(isinstance(found, BadLine) for found in read)


def test_a_stream_that_ends_in_the_middle_says_so_and_the_next_connection_begins_anew() -> None:
    parser = AmiParser()
    parser.feed(b"Event: Hangup\r\nUniq")
    assert [found.reason for found in parser.finish() if isinstance(found, BadLine)] == ["cut_off"]
    assert parser.feed(b"Event: Hangup\r\n\r\n") == [{"Event": "Hangup"}]


@examples(200)
@given(st.lists(st.binary(max_size=80), max_size=8))
def test_any_bytes_are_read_without_an_error(pieces: list[bytes]) -> None:
    parser = AmiParser()
    for piece in pieces:
        parser.feed(piece)
    parser.finish()


@examples(200)
@given(
    st.one_of(
        st.binary(max_size=200), st.builds(lambda s: s.encode("utf-8", "replace"), st.text(alphabet='[{"}]:,aE1 \n'))
    )
)
def test_any_file_is_read_without_an_error(data: bytes) -> None:
    list(read_recording(data))


@pytest.mark.parametrize("name", NAMES)
def test_a_session_gives_the_same_events_from_every_form_of_recording(name: str) -> None:
    events = recorded(name)
    wire = b"".join(
        b"".join(f"{key}: {value}\r\n".encode() for key, value in event.items()) + b"\r\n" for event in events
    )
    lines = b"\n".join(json.dumps(event).encode() for event in events)
    expected = list(replay(events))
    for form in ((FOLDER / f"{name}.json").read_bytes(), wire, lines):
        assert list(replay(event for event in read_recording(form) if isinstance(event, dict))) == expected


@pytest.mark.parametrize(
    ("data", "reasons"),
    [
        (b"[{]", ["not_json"]),
        (b'[1, "x", {}, {"Event": 3}]', ["not_an_event"] * 4),
        (b'{"Event": "Hangup"}\nnonsense\n{"a": 1}\n', ["not_json", "not_an_event"]),
        (b"[" * 100_000, ["not_json"]),
        (b"", []),
        (b"hello\n", ["no_colon"]),
    ],
)
def test_what_is_no_recording_is_reported(data: bytes, reasons: list[str]) -> None:
    assert [found.reason for found in read_recording(data) if isinstance(found, BadLine)] == reasons


def test_numbers_in_a_recording_are_text() -> None:
    assert list(read_recording(b'[{"Event": "Hangup", "Cause": 16, "Uniqueid": null}]')) == [
        {"Event": "Hangup", "Cause": "16", "Uniqueid": ""}
    ]
