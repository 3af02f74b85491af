"""A day of a department on the event socket: cut anywhere, doubled, over lost connections and restarts."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.contract.events import CallEnded, CallStarted, Event
from streams.settings.settings import Secret
from streams.sources.freeswitch import FreeSwitchHook
from streams.sources.freeswitch.access import EslAccess
from streams.sources.freeswitch.session import EslSession, Listed
from streams.sources.freeswitch.translator import FreeSwitch
from streams.sources.freeswitch.wire import LONGEST_HEADERS, EslParser, read_event
from tests.examples import examples
from tests.streams.freeswitch_cases import (
    BAD_ESL,
    CDR,
    ESL,
    NUMBERS,
    Played,
    decoded,
    deliveries,
    differences,
    joined,
    legs,
    parties,
    request,
    settings,
)

EXPECTED = decoded(ESL / "expected.json")
FIRST, SECOND = ((ESL / f"connection-{number}.bin").read_bytes() for number in (1, 2))
SIZES = decoded(ESL / "chunks.json")["connection-1.bin"]
ACCESS = EslAccess(host="pbx.example", password=Secret("ClueCon-of-the-tests"))


def story(*, sizes: Any = (65_536,), times: int = 1) -> Played:
    """The day, over its two connections."""
    played = Played()
    played.connection(FIRST, sizes, times=times)
    played.connection(SECOND, sizes, times=times)
    return played


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("sizes", [(65_536,), SIZES])
def test_the_story_gives_its_legs_however_it_is_cut(sizes: Any, times: int) -> None:
    played = story(sizes=sizes, times=times)
    assert (differences(played.events, EXPECTED), played.refused) == ([], [])
    assert len(played.translator) == 0
    assert not any(number in repr(played.events) for number in NUMBERS)


def test_starts_and_answers_come_when_they_happen() -> None:
    """And they say what the ends say: each leg but the queue's has a start of its own, at the same moment."""
    starts = {(e.call, e.manager): e for e in reversed(story().events) if isinstance(e, CallStarted)}
    for key, leg in legs(story().events).items():
        if not key[1].startswith("queue:"):
            start = starts[key]
            assert (start.at, start.direction, start.lead) == (leg["started_ms"], leg["direction"], leg["lead"]), key


def test_both_ways_give_the_same_ids() -> None:
    """Each repairs the other: half of the pushed events are lost, and come by the other way."""
    hook = FreeSwitchHook(settings())
    said = [hook.translate(request(CDR / one["file"])) for one in deliveries("raw")]
    posted = [event for one in said for event in one.events] + joined([held for one in said for held in one.statements])
    heard = story().events

    def ends(events: list[Event]) -> dict[str, Event]:
        return {event.id: event for event in events if isinstance(event, CallEnded) and event.ended_by == "hangup"}

    assert ends(heard).keys() == ends(posted).keys()
    truth = decoded(CDR / "expected.json")
    truth["legs"] = [leg for leg in truth["legs"] if leg["call"] != "A11"]  # its end is in err-log-dir
    for half in (0, 1):
        mixed = heard[half::2] + posted[1 - half :: 2] + heard[1 - half :: 2]
        assert [one for one in differences(mixed, truth) if "2234db58" not in one] == []


def test_a_restart_of_the_listener_goes_on_with_open_legs() -> None:
    frames = FIRST.split(b"\n\nContent-Length: ")
    for place in range(4, len(frames), 11):
        begun = Played()
        begun.connection(b"\n\nContent-Length: ".join(frames[:place]) + b"\n\n")
        again = Played(FreeSwitch(parties()))
        again.translator.recall(begun.events)
        login = FIRST[: FIRST.index(b"Content-Length: ")]
        rest = b"".join(b"Content-Length: " + frame + b"\n\n" for frame in frames[place:])
        again.connection(login + rest)
        again.connection(SECOND)
        found = legs([*begun.events, *again.events])
        assert {leg: one["ended_by"] for leg, one in found.items()}.keys() == legs(story().events).keys(), place
        assert [leg for leg, one in found.items() if one["ended_by"] != "hangup"] == [
            ("2234db58-ce62-4573-8038-e55e17c5cab4", "gleb.ostrov")
        ], place


def test_a_new_core_ends_the_calls_of_the_old_one() -> None:
    played = Played()
    begin = FIRST[: FIRST.index(b"CHANNEL_HANGUP")].rpartition(b"Content-Length: ")[0]
    played.connection(begin)
    old = b"1f111c37-ea56-42a7-8871-6e0f5b5492ed"
    played.connection(SECOND.replace(old, b"a" * 8 + old[8:]))
    (leg,) = (leg for (_, manager), leg in legs(played.events).items() if manager == "vera.lisina")
    assert (leg["ended_by"], leg["disposition"]) == ("timeout", "answered")


def test_a_call_is_taken_up_from_the_list_of_channels() -> None:
    """Its end is exact nevertheless: the last event of a channel has all of its moments."""
    frames = FIRST.split(b"\n\nContent-Length: ")
    login = FIRST[: FIRST.index(b"Content-Length: ")]
    at = next(number for number, frame in enumerate(frames) if b"CHANNEL_HANGUP" in frame)
    rows = [
        {
            "uuid": "866a287f-9c93-475b-9376-894293724208",
            "direction": "inbound",
            "created_epoch": "1794895331",
            "name": "sofia/internal/201@pbx.romashka.example",
            "cid_num": "201",
            "dest": "84950000101",
            "context": "default",
            "callstate": "ACTIVE",
            "call_uuid": "866a287f-9c93-475b-9376-894293724208",
        },
        {
            "uuid": "d2a95bd3-cfb2-4315-87a4-367bbd0f6f07",
            "direction": "outbound",
            "created_epoch": "1794895331",
            "name": "sofia/external/84950000101@trunk-msk",
            "cid_num": "+74950001100",
            "dest": "84950000101",
            "context": "default",
            "callstate": "ACTIVE",
            "call_uuid": "866a287f-9c93-475b-9376-894293724208",
        },
    ]
    body = msgspec.json.encode({"row_count": 2, "rows": rows})
    listed = b"Content-Type: api/response\nContent-Length: %d\n\n" % len(body) + body
    played = Played()
    played.connection(login + listed + b"".join(b"Content-Length: " + frame + b"\n\n" for frame in frames[at:]))
    assert [type(event).__name__ for event in played.events[:2]] == ["CallStarted", "CallAnswered"]
    assert legs(played.events)["866a287f-9c93-475b-9376-894293724208", "vera.lisina"]["talk_s"] == 316.22


def test_rows_that_make_no_sense_are_left_out() -> None:
    translator = FreeSwitch(parties())
    rows: list[dict[str, object]] = [
        {},
        {"uuid": 7},
        {"uuid": "x", "created_epoch": "9" * 30},
        {"uuid": "y", "name": []},
    ]
    assert translator.take(Listed(rows, 0), 1_795_000_000_000).events == []
    assert translator.settle(1_795_000_100_000) == []


def test_bad_streams_get_their_class_and_harm_nothing() -> None:
    """All of them come to one translator, and the story after them."""
    index, translator, events = decoded(BAD_ESL / "index.json"), FreeSwitch(parties()), []
    for case in index["cases"]:
        if case["file"].endswith(".json"):
            continue
        data = (BAD_ESL / case["file"]).read_bytes()
        for sizes in ((65_536,), (1,), SIZES) if len(data) < 5_000 else ((65_536,), (1_000,)):
            played = Played(translator)
            session = played.connection(data, sizes)
            events += played.events
            is_read = bool(played.events) or played.ignored > 0
            got = "refused" if session.error else "accepted" if is_read and not played.refused else "ignored"
            expect = case["expect"]
            assert got in {expect["class"], *expect.get("class_any", ())}, (case["file"], sizes, got)
            assert not any(number in repr((played.events, played.refused)) for number in NUMBERS), case["file"]
    played = Played(translator)
    played.connection(FIRST)
    played.connection(SECOND)
    assert differences(drop(events + played.events), EXPECTED) == []


def drop(events: list[Event]) -> list[Event]:
    """The events without those of the call in the bad streams."""
    return [event for event in events if "524bfbd7" not in event.id]


def session(**access: Any) -> EslSession:
    """A session that is logged in."""
    made = EslSession(msgspec.structs.replace(ACCESS, **access))
    made.receive(b"Content-Type: auth/request\n\n", 0)
    made.receive(b"Content-Type: command/reply\nReply-Text: +OK accepted\n\n", 0)
    return made


def test_the_dialogue() -> None:
    made = EslSession(ACCESS)
    assert made.take_output() == b""
    made.receive(b"Content-Type: auth/request\n\n", 0)
    assert made.take_output() == b"auth ClueCon-of-the-tests\n\n"
    assert not made.is_up
    made.receive(b"Content-Type: command/reply\nReply-Text: +OK accepted\n\n", 0)
    sent = made.take_output().split(b"\n\n")
    assert sent[0].startswith(b"event plain CHANNEL_CREATE ")
    assert sent[1:] == [b"api show channels as json", b"api strmicroepoch", b""]
    assert (made.is_up, made.is_listed, made.waits_for_ping) == (True, False, True)
    made.receive(b"Content-Type: command/reply\nReply-Text: +OK event listener enabled plain\n\n", 0)
    (listed,) = made.receive(b'Content-Type: api/response\nContent-Length: 15\n\n{"row_count":0}', 0)
    assert listed == Listed([], 0)
    made.receive(b"Content-Type: api/response\nContent-Length: 16\n\n1795000000000000", 1_794_999_998_000)
    assert (made.is_listed, made.waits_for_ping) == (True, False)
    assert made.clock_ahead_ms == 1_795_000_000_000 - 1_794_999_998_000 // 2
    made.log_off()
    assert made.take_output() == b"exit\n\n"


def test_a_user_of_the_directory_logs_in_by_name() -> None:
    made = EslSession(msgspec.structs.replace(ACCESS, user="callpulse@pbx.example"))
    made.receive(b"Content-Type: auth/request\n\n", 0)
    assert made.take_output() == b"userauth callpulse@pbx.example:ClueCon-of-the-tests\n\n"


@pytest.mark.parametrize(
    ("data", "cause", "word"),
    [
        (b"Content-Type: text/rude-rejection\nContent-Length: 3\n\nNo.", "refused", "apply-inbound-acl"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "wrong_server", "no event socket"),
        (b"Asterisk Call Manager/9\r\n" + b"x" * LONGEST_HEADERS, "wrong_server", "no event socket"),
        (
            b"Content-Type: auth/request\n\nContent-Type: command/reply\nReply-Text: -ERR invalid\n\n",
            "refused",
            "the PBX refuses the password",
        ),
    ],
)
def test_a_refusal_says_what_to_change(data: bytes, cause: str, word: str) -> None:
    made = EslSession(ACCESS)
    made.receive(data, 0)
    assert made.error is not None
    assert made.error.cause == cause
    assert word in str(made.error)
    assert "ClueCon" not in str(made.error)
    assert made.receive(FIRST, 0) == []


def test_a_list_that_is_refused() -> None:
    made = session()
    made.receive(b"Content-Type: api/response\nContent-Length: 23\n\n-ERR permission denied\n", 0)
    assert made.denied
    made.take_output()
    made.ask_for_channels(0)
    assert made.take_output() == b""


def event(sequence: int, core: str = "c", name: str = "RE_SCHEDULE", more: str = "") -> bytes:
    """One event of the stream."""
    body = f"Event-Name: {name}\nCore-UUID: {core}\nEvent-Sequence: {sequence}\n{more}\n".encode()
    return b"Content-Length: %d\nContent-Type: text/event-plain\n\n" % len(body) + body


def test_a_hole_in_the_sequence_is_a_loss_only_where_all_events_are_asked_for() -> None:
    stream = event(10) + event(11) + event(15) + event(3, "d") + event(4, "d") + event(7, "d")
    for subscription, lost in (("calls", 0), ("all", 3 + 2)):
        made = session(subscription=subscription)
        made.receive(stream, 0)
        assert made.lost == lost


def test_a_heartbeat_that_counts_other_channels_asks_for_the_list() -> None:
    made = session()
    made.receive(b'Content-Type: api/response\nContent-Length: 15\n\n{"row_count":0}', 0)
    made.take_output()
    for _ in range(2):
        made.expect_channels(0, {"Session-Count": "2"}, 0)
        assert made.take_output() == b""
    made.expect_channels(2, {"Session-Count": "2"}, 0)
    made.expect_channels(2, {"Session-Count": "many"}, 0)
    assert made.take_output() == b""
    made.expect_channels(0, {"Session-Count": "2"}, 0)
    assert made.take_output() == b"api show channels as json\n\n"


def test_a_hangup_whose_last_event_does_not_come_ends_the_leg_after_a_while() -> None:
    kept = [frame for frame in FIRST.split(b"\n\nContent-Length: ") if b"HANGUP_COMPLETE" not in frame]
    played = Played()
    played.connection(b"\n\nContent-Length: ".join(kept) + b"\n\n")
    played.connection(SECOND)
    assert [one for one in differences(played.events, EXPECTED) if "transferred" not in one and "how" not in one] == []
    ends = [event for event in played.events if isinstance(event, CallEnded) and event.call.startswith("866a")]
    assert [(end.uncertain, end.id.rpartition(":")[2]) for end in ends] == [(True, "hangup")]  # a record replaces it


def test_an_attended_transfer_that_no_variable_names() -> None:
    """The two bridges show it: the receiver's leg ends with the customer's channel."""
    lines = [line for line in FIRST.split(b"\n") if b"transfer_history" not in line and b"transfer_source" not in line]
    translator, events = FreeSwitch(parties()), list[Event]()
    for message in b"\n".join(lines).split(b"\n\n"):
        if b"Event-Name: " in message:
            event = read_event(message + b"\n\n")
            assert event is not None
            for _ in range(2):  # the same bridge again is no transfer
                events += translator.take(event, int(event["Event-Date-Timestamp"]) // 1000).events
    leg = legs(events)["b54af32e-1887-4859-bd38-af818b455979", "vera.lisina"]
    assert (leg["talk_s"], leg["ended_by"], leg["direction"]) == (175.4, "hangup", "inbound")


@pytest.mark.fuzz
@examples(300)
@given(
    parts=st.lists(
        st.binary(max_size=30)
        | st.sampled_from(
            [
                *(b"Content-Length: ", b"7", b"\n\n", b"\r\n", b"Content-Type: text/event-plain\n", b"%ZZ", b": "),
                *(b"Content-Type: auth/request\n\n", b"Content-Type: command/reply\nReply-Text: +OK accepted\n\n"),
                *(b"Content-Type: api/response\n", event(1), event(2, name="CHANNEL_BRIDGE"), b'{"row_count":0}'),
            ]
        ),
        max_size=40,
    )
)
def test_any_bytes_are_read_without_an_exception_and_alike_however_they_are_cut(parts: list[bytes]) -> None:
    whole, cut = EslParser(), EslParser()
    frames = whole.feed(b"".join(parts))
    assert frames == [frame for part in parts for frame in cut.feed(part)]
    assert (whole.broken, whole.is_torn) == (cut.broken, cut.is_torn)
    played = Played()
    played.connection(FIRST[:200] + b"".join(parts))


HEADERS = st.sampled_from(
    [
        *("Unique-ID", "Event-Date-Timestamp", "Channel-Name", "Channel-Call-UUID", "Call-Direction", "Other-Type"),
        *("Other-Leg-Unique-ID", "Bridge-A-Unique-ID", "Bridge-B-Unique-ID", "Core-UUID", "Hangup-Cause"),
        *("Caller-Channel-Created-Time", "Caller-Channel-Answered-Time", "Caller-Channel-Hangup-Time"),
        *("variable_transfer_history", "variable_bridge_uepoch", "variable_cc_member_session_uuid", "Caller-Context"),
    ]
)
VALUES = st.text(max_size=6) | st.sampled_from(
    [
        *("a", "b", "inbound", "outbound", "originator", "sofia/internal/201@x", "sofia/external/84950000101@t"),
        *("1794999900000000", "1794999910000000", "0", "ARRAY::1794999905:u:att_xfer:201/202"),
    ]
)
KINDS = st.sampled_from(
    ["CREATE", "PROGRESS", "ANSWER", "BRIDGE", "HANGUP", "HANGUP_COMPLETE", "DREAM"],
).map(lambda name: f"CHANNEL_{name}")


@pytest.mark.fuzz
@examples(300)
@given(messages=st.lists(st.tuples(KINDS, st.dictionaries(HEADERS, VALUES, max_size=8)), max_size=12))
def test_any_events_in_any_order_are_read_without_an_exception(messages: list[tuple[str, dict[str, str]]]) -> None:
    translator = FreeSwitch(parties())
    base = {"Unique-ID": "a", "Event-Date-Timestamp": "1794999900000000", "Call-Direction": "inbound"}
    for number, (kind, headers) in enumerate(messages):
        translator.take({**base, **headers, "Event-Name": kind}, 1_794_999_900_000 + number)
    translator.settle(1_795_999_999_000)
    translator.finish(1_795_999_999_000)
    assert translator.finish(1_795_999_999_000) == []
