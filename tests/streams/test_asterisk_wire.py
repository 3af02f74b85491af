"""The bytes of the manager interface, and recordings of it."""

from __future__ import annotations

import json
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.sources.asterisk import AmiParser, BadLine, RecordingClock, read_recording, replay
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


@pytest.mark.fuzz
@examples(200)
@given(st.lists(st.binary(max_size=80), max_size=8))
def test_any_bytes_are_read_without_an_error(pieces: list[bytes]) -> None:
    parser = AmiParser()
    for piece in pieces:
        parser.feed(piece)
    parser.finish()


@pytest.mark.fuzz
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
        (b'[{}, {"Event": {}}, {"a": "x"}]', ["not_an_event"] * 3),
        (b'[1, "x"]', ["not_json"]),
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


EVENTS = [{"Event": "Hangup", "Uniqueid": "1.1"}, {"Event": "Newstate", "Uniqueid": "1.2"}]
WIRE = b"Event: Hangup\r\nUniqueid: 1.1\r\n\r\nEvent: Newstate\r\nUniqueid: 1.2\r\n\r\n"
GREETING = b"Asterisk Call Manager/9.0.0\r\n"
JSON = json.dumps(EVENTS, indent=1).encode()


@pytest.mark.parametrize(
    "data",
    [
        WIRE[:-2],  # without the last empty line
        GREETING + WIRE,
        WIRE.replace(b"\r\n", b"\n"),
        WIRE.replace(b"\r\n", b"\r"),
        WIRE.replace(b"\r\n", b"  \n"),  # copied with blanks
        WIRE.replace(b"\r\n\r\n", b"\r\n"),  # without any empty line
        WIRE[:30] + GREETING + WIRE[32:],  # two recordings, glued together
        WIRE.decode().encode("utf-16"),
        b"".join(b"[2026-11-23 08:00:0%d] %s\n" % (at, line) for at, line in enumerate(WIRE.split(b"\r\n"))),
        b"".join(b"Nov %d 08:00:01 pbx ami[71]: %s\n" % (at, line) for at, line in enumerate(WIRE.split(b"\r\n"))),
        b"".join(b"1795420800.%d %s\n" % (at, line) for at, line in enumerate(WIRE.split(b"\r\n"))),
        JSON,
        JSON.replace(b" },\n {", b" }\n]\n[\n {"),  # two lists
        JSON[:-2],  # the list is not closed
        b"\n".join(json.dumps(event).encode() for event in EVENTS),
        b"\n".join(json.dumps(event, indent=1).encode() for event in EVENTS),
        b"\n".join(b"[08:00:00] " + json.dumps(event).encode() for event in EVENTS),
        json.dumps([{"response": "Success"}, *EVENTS]).encode(),
        json.dumps([{"event": event["Event"], "uniqueid": event["Uniqueid"]} for event in EVENTS]).encode(),
        json.dumps([{"Event": [event["Event"]], "Uniqueid": event["Uniqueid"]} for event in EVENTS]).encode(),
    ],
)
def test_a_recording_that_was_copied_glued_or_logged_is_read_in_full(data: bytes) -> None:
    read = [
        {name.title(): text for name, text in event.items()}
        for event in read_recording(data)
        if isinstance(event, dict)
    ]
    assert read == EVENTS
    assert not [found for found in read_recording(data) if isinstance(found, BadLine)]


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (WIRE[:-6], [5]),
        (b"Trying 127.0.0.1...\n" + WIRE, [1]),
        (JSON[:-5] + b"]", [6]),
    ],
)
def test_what_is_torn_off_is_reported_and_the_rest_is_read(data: bytes, lines: list[int]) -> None:
    read = list(read_recording(data))
    assert [found.line for found in read if isinstance(found, BadLine)] == lines
    assert next(event for event in read if isinstance(event, dict)) == EVENTS[0]


@pytest.mark.parametrize(
    "data",
    [
        b"Asterisk Call Manager/1.1\r\n" + WIRE,
        b"Asterisk Call Manager/1.3\r\n" + WIRE,
        WIRE + b"Event: Dial\nSubEvent: Begin\nChannel: SIP/1-1\n\n",
        WIRE + b"Event: Bridge\nBridgestate: Link\nChannel1: SIP/1-1\n\n",
        WIRE + b"Event: Newchannel\nChannel: SIP/1-1\nChannelState: 0\nExten: \nUniqueid: 1.1\n\n",
        b'[{"Event": "Unlink", "Channel1": "SIP/1-1"}]',
    ],
)
def test_asterisk_11_and_older_is_refused(data: bytes) -> None:
    (found,) = [found for found in read_recording(data) if isinstance(found, BadLine)]
    assert found.reason == "unsupported"
    assert "Asterisk 11 or older" in found.detail


def test_an_open_leg_ends_at_the_last_time_seen_and_not_before() -> None:
    head = b"Timestamp: %d.5\nChannel: PJSIP/%s-1\nUniqueid: 1700000000.%d\nLinkedid: 1700000000.1\n"
    data = b"Event: Newchannel\n" + head % (1_700_000_000, b"x-trunk", 1) + b"Exten: 1\nPriority: 1\n\n"
    data += b"Event: Newchannel\n" + head % (1_700_000_001, b"101", 2) + b"\n"
    data += b"Event: DialBegin\nTimestamp: 1700000001.6\nUniqueid: 1700000000.1\nDestUniqueid: 1700000000.2\n\n"
    data += b"Event: Newstate\n" + head % (1_700_000_002, b"101", 2) + b"ChannelState: 5\n\n"
    data += b"Event: Newexten\n" + head % (1_700_000_090, b"x-trunk", 1) + b"\n"
    events = list(replay(event for event in read_recording(data) if isinstance(event, dict)))
    assert events[-1].at == 1_700_000_090_500


def test_a_list_of_channels_is_dated_by_the_age_of_its_channels() -> None:
    listed = {"Event": "CoreShowChannel", "Channel": "PJSIP/101-1", "Uniqueid": "1700000000.1", "Duration": "00:02:05"}
    assert RecordingClock().read(listed) == 1_700_000_125_000


def test_an_event_without_a_time_follows_the_one_before_it() -> None:
    clock = RecordingClock()
    assert (
        clock.read({"Event": "Newstate", "Timestamp": "1700000100.25", "Uniqueid": "1700000000.1"}) == 1_700_000_100_250
    )
    assert clock.read({"Event": "CoreShowChannel", "Uniqueid": "1700000000.1"}) == 1_700_000_100_251


ODD = st.text(alphabet="Event: Response: FollowsA\r\n\t\x0b é", max_size=60).map(lambda text: text.encode())
PIECES = st.lists(
    st.one_of(
        st.sampled_from(
            [
                *(b"Event: Hangup\r\n", b"Uniqueid: 1.1\r\n", b"\r\n", b"\r\n\r\n", b"\n", b"\r", b"Event: VarSet\r\n"),
                *(b"AppData: \r\n", b"A: b: c \r\n", b"a:b: c\r\n", b"Event : X\r\n", b" Lead: x\r\n", b"event: y\r\n"),
                *(
                    b"Response: Follows\r\n",
                    b"--END COMMAND--\r\n",
                    b"no colon\r\n",
                    GREETING,
                    b"N: \xc3\r\n",
                    b": x\r\n",
                ),
            ]
        ),
        ODD,
        st.binary(max_size=12),
    ),
    max_size=30,
).map(b"".join)


@pytest.mark.fuzz
@examples(500)
@given(data=PIECES, cuts=st.lists(st.integers(0, 400), max_size=6))
def test_messages_that_are_read_as_a_whole_read_as_their_lines_one_by_one(data: bytes, cuts: list[int]) -> None:
    by_line, whole = AmiParser(), AmiParser()
    expected = [read for at in range(len(data)) for read in by_line.feed(data[at : at + 1])]
    places = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    assert [read for a, b in pairwise(places) for read in whole.feed(data[a:b])] == expected
    assert whole.finish() == by_line.finish()


def test_an_event_after_a_lost_empty_line_stays_whole_wherever_the_stream_is_cut() -> None:
    data = b"Event: Newstate\r\nEvent: Hangup\r\nUniqueid: 1.1\r\n\r\n"
    for cut in range(len(data)):
        parser = AmiParser()
        read = parser.feed(data[:cut]) + parser.feed(data[cut:])
        assert read == [{"Event": "Newstate"}, {"Event": "Hangup", "Uniqueid": "1.1"}], f"cut at {cut}"
        assert parser.finish() == []


def test_only_the_events_that_are_wanted_are_read() -> None:
    parser = AmiParser({b"hangup"})
    assert [read["Event"] for read in parser.feed(STREAM) if isinstance(read, dict) and "Event" in read] == ["Hangup"]
    assert parser.skipped == 1


@pytest.mark.parametrize(
    "unit", [b"a: b\r\n", b"\n", b"x\r\n", b"\r\n\r\n", b"Event: A\r\nB: c\r\n\r\n", b"Event: A\r\nb\r\n\r\n"]
)
def test_the_time_grows_with_the_length_and_not_faster(unit: bytes) -> None:
    def seconds(count: int) -> float:
        data = unit * count
        best = 9.0
        for _ in range(3):
            began = time.process_time()
            AmiParser().feed(data)
            best = min(best, time.process_time() - began)
        return best

    assert seconds(8_000) < 20 * seconds(1_000) + 0.05
