"""A day of a department as records of mod_json_cdr: in any order, doubled, over restarts, in any rendering."""

from __future__ import annotations

import base64
import json
import random
import sys
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.contract.events import CallEnded, CallTransferred, Event
from streams.sources.frame import KeptStatement, Statement, Translation
from streams.sources.freeswitch import FreeSwitchHook, FreeSwitchJoin
from streams.sources.freeswitch.hook import translated
from streams.sources.freeswitch.legs import Legs
from tests.examples import examples
from tests.streams.freeswitch_cases import (
    BAD_CDR,
    CDR,
    NUMBERS,
    decoded,
    deliveries,
    differences,
    joined,
    parties,
    request,
    settings,
)

EXPECTED = decoded(CDR / "expected.json")
BASIC = EXPECTED["settings"]["basic_auth"]
FOLDER = sorted((CDR / "err-log-dir").iterdir())
BASE = json.loads((BAD_CDR / "01-sound.http").read_bytes().partition(b"\r\n\r\n")[2])
UUID = BASE["variables"]["uuid"]
TRUNK = "sofia/external/84950000101@trunk-msk"


def posted(hook: FreeSwitchHook, requests: Iterable[dict[str, Any]]) -> list[Event]:
    """The events of authentic requests, and those of their join."""
    events, statements = [], []
    for one in requests:
        asked = request(CDR / one["file"], one["received_at_ms"])
        assert hook.is_authentic(asked)
        translation = hook.translate(asked)
        assert translation.refused == []
        events += translation.events
        statements += translation.statements
    return events + joined(statements)


def from_folder() -> list[Event]:
    """The events of the files that could not be posted."""
    made = Legs(parties())
    return [event for path in FOLDER for event in translated(made, path.read_bytes()).events]


@pytest.mark.parametrize("variant", ["raw", "form", "base64"])
def test_the_story_gives_its_legs_in_any_order_and_doubled(variant: str) -> None:
    asked = deliveries(variant)
    rest = from_folder() if variant == "raw" else []
    for seed in range(6):
        order = asked if seed == 0 else asked * 2
        if seed:
            random.Random(seed).shuffle(order := list(order))
        events = posted(FreeSwitchHook(settings(BASIC)), order)
        assert differences(events + rest, EXPECTED) == [], seed


def one_by_one(order: Iterable[dict[str, Any]]) -> tuple[list[Event], list[Statement]]:
    """Return the events of the records if each comes to another process."""
    events, statements = from_folder(), []
    for one in order:
        translation = FreeSwitchHook(settings(BASIC)).translate(request(CDR / one["file"], 0))
        events += translation.events
        statements += translation.statements
    return events, statements


def test_records_that_come_to_other_processes_are_joined() -> None:
    """Without the join, data in two records is known to the second, or from the pick-up on."""
    for seed in range(2):
        order = deliveries("raw") * 2
        random.Random(seed).shuffle(order)
        events, statements = one_by_one(order)
        assert differences(events, EXPECTED, slack_ms=999) == []
        assert differences(events, EXPECTED) != []
        assert not any(number.encode() in said.body for number in NUMBERS for said in statements)
        for call in {said.call for said in statements}:
            kept = [KeptStatement(0, said.body) for said in statements if said.call == call]
            together = FreeSwitchJoin().join(kept, 0)
            assert together == FreeSwitchJoin().join([*reversed(kept), KeptStatement(0, b"{}")], 1)
            events += together.events
        assert differences(events, EXPECTED) == []


def test_events_hold_no_number() -> None:
    said = repr(posted(FreeSwitchHook(settings(BASIC)), deliveries("raw")) + from_folder())
    assert not any(number in said for number in NUMBERS)


@pytest.mark.parametrize(
    ("header", "is_authentic"),
    [
        ("", False),
        ("Basic", False),
        ("Basic ZnMtYTp3cm9uZw==", False),
        ("Bearer ZnMtYTo2YWQ5ZGM3ZWU5OWUyM2E2YzM1Zg==", False),
        ("Basic \xff", False),
        ("basic ZnMtYTo2YWQ5ZGM3ZWU5OWUyM2E2YzM1Zg==", True),
    ],
)
def test_the_password_is_asked_for_where_one_is_set(header: str, is_authentic: bool) -> None:
    asked = request(BAD_CDR / "52-no-authentication.http")
    asked = msgspec.structs.replace(asked, headers={**asked.headers, "authorization": header})
    assert FreeSwitchHook(settings(BASIC)).is_authentic(asked) is is_authentic
    assert FreeSwitchHook(settings()).is_authentic(asked)


def test_bad_records_get_their_class_and_harm_nothing() -> None:
    index = decoded(BAD_CDR / "index.json")
    hook = FreeSwitchHook(settings(index["keys"]["basic_auth"]))
    http = {"method-get", "method-put", "content-length-too-long", "content-encoding-unknown"}  # the server's
    for case in index["cases"]:
        name, expect = case["file"], case["expect"]
        if name.endswith(".json") or name.partition("-")[2].removesuffix(".http") in http:
            continue
        asked = request(BAD_CDR / name, index["received_at_ms"])
        translation = hook.translate(asked) if hook.is_authentic(asked) else None
        got = "refused" if translation is None else "accepted" if translation.events else "ignored"
        assert got in {expect["class"], *expect.get("class_any", ())}, name
        if got == "ignored" and "reason" in expect:
            assert translation is not None
            # From 3.12 on Python reads more levels than this input has, so it is refused for its type.
            anyway = {"not_json"} if "deep" in name and sys.version_info >= (3, 12) else set()
            (refused,) = translation.refused
            assert refused.reason in {expect["reason"], *anyway}, name
        assert not any(number in repr(translation) for number in NUMBERS), name
    asked = request(BAD_CDR / "01-sound.http")
    assert len(hook.translate(asked).events) == 1


def record(callflow: Any = (), **variables: Any) -> Translation:
    """Return the translation of a sound record with these variables changed; None: the variable is missing."""
    held = BASE["variables"] | {"callflow": None} | variables
    document = BASE | {"variables": {name: value for name, value in held.items() if value is not None}}
    return translated(Legs(parties()), json.dumps(document | {"callflow": callflow}).encode())


def ended(**variables: Any) -> CallEnded:
    """The one leg of a record."""
    (event,) = record(**variables).events
    assert isinstance(event, CallEnded)
    return event


RANG = {"direction": "outbound", "originator": "an-originator", "sip_from_user": "84950000101", "answer_uepoch": "0"}


@pytest.mark.parametrize(
    ("cause", "outbound", "inbound"),
    [
        ("USER_BUSY", "busy", "busy"),
        ("CALL_REJECTED", "busy", "busy"),
        ("NO_ANSWER", "no_answer", "no_answer"),
        ("ALLOTTED_TIMEOUT", "no_answer", "no_answer"),
        ("ORIGINATOR_CANCEL", "canceled", "canceled"),
        ("LOSE_RACE", "canceled", "canceled"),
        ("NORMAL_TEMPORARY_FAILURE", "failed", "failed"),
        ("A_CAUSE_OF_TOMORROW", "failed", "failed"),
    ],
)
def test_dispositions_come_from_the_cause(cause: str, outbound: str, inbound: str) -> None:
    assert ended(answer_uepoch="0", hangup_cause=cause).disposition == outbound
    made = ended(**RANG, hangup_cause=cause, progress_uepoch="1794999905000000")
    assert (made.disposition, made.direction, made.talk_ms) == (inbound, "inbound", 0)


def test_the_result_of_the_dial_goes_before_the_cause_of_the_callers_hangup() -> None:
    assert ended(answer_uepoch="0", originate_disposition="USER_BUSY").disposition == "busy"
    assert ended(originate_disposition="SUCCESS").disposition == "answered"


def test_a_telephone_that_did_not_ring_has_no_leg() -> None:
    for cause in ("USER_NOT_REGISTERED", "SUBSCRIBER_ABSENT", "USER_BUSY", "CALL_REJECTED"):
        assert record(**RANG, hangup_cause=cause, progress_uepoch="0").events == [], cause


def test_a_telephone_that_was_picked_up_and_not_connected_did_not_answer() -> None:
    picked_up = RANG | {"answer_uepoch": "1794999910000000", "bridge_uepoch": "0"}
    assert ended(**picked_up).disposition == "no_answer"
    assert ended(**picked_up, hangup_cause="LOSE_RACE").disposition == "canceled"


def test_the_direction_is_that_of_who_is_internal() -> None:
    assert ended().direction == "outbound"  # and FreeSWITCH calls the channel inbound
    assert ended(**RANG, progress_uepoch="1794999905000000").direction == "inbound"
    missed = ended(channel_name=TRUNK, sip_from_user="84950000101", answer_uepoch="0", bridge_uepoch="0")
    assert (missed.manager, missed.direction, missed.disposition) == ("queue:inbound", "inbound", "no_answer")


def test_talk_begins_when_the_far_end_is_there() -> None:
    """A click-to-dial is answered by its own manager first, and early media bridges before the answer."""
    assert ended(bridge_uepoch="1794999940000000").talk_ms == 30_000
    assert ended(bridge_uepoch="1794999905000000").talk_ms == 60_000
    assert ended(bridge_uepoch="0").talk_ms == 0


def test_a_call_to_a_colleague_is_internal_and_one_to_a_feature_code_is_none() -> None:
    for number in ("202", "600", "anna", "*97"):
        assert record(sip_to_user=number, bridge_uepoch="0").events == []  # no telephone was dialled
    (event,) = record(sip_to_user="202", bridge_uepoch="0", originated_legs="ARRAY::b;Outbound Call;202").events
    assert isinstance(event, CallEnded)
    assert (event.internal, event.lead) == (True, None)


def test_voicemail_of_a_caller() -> None:
    made = ended(channel_name=TRUNK, sip_from_user="84950000101", bridge_uepoch="0", last_app="voicemail")
    assert (made.disposition, made.talk_ms) == ("voicemail", 0)


def test_a_withheld_caller_is_no_lead_and_no_colleague() -> None:
    made = ended(**RANG | {"sip_from_user": "anonymous"}, progress_uepoch="1794999905000000")
    assert (made.lead, made.internal) == (None, made.internal)
    assert not made.internal


def test_strangers_inside_are_kept_under_the_name_of_the_source() -> None:
    assert ended(channel_name="sofia/internal/277@x").manager == "freeswitch:277"


@pytest.mark.parametrize(
    ("way", "is_outside"),
    [
        ({}, False),
        ({"sip_gateway_name": "msk"}, True),
        ({"channel_name": "sofia/external/201@x"}, True),
        ({"channel_name": "sofia/internal/201@trunk-msk"}, True),
        ({"channel_name": "loopback/201-a"}, True),
    ],
    ids=["telephone", "gateway", "profile", "host", "loopback"],
)
def test_a_channel_to_the_outside_is_no_telephone_whatever_its_user(way: dict[str, str], is_outside: bool) -> None:
    made = record(**RANG | way, progress_uepoch="1794999905000000", hangup_cause="NO_ANSWER")
    assert (made.events == []) is is_outside


def test_a_caller_in_a_context_of_trunks_is_outside_unless_it_has_logged_in() -> None:
    flow = [{"caller_profile": {"context": "public", "destination_number": "600"}}]
    (missed,) = record(flow, bridge_uepoch="0").events
    assert isinstance(missed, CallEnded)
    assert missed.manager == "queue:inbound"
    assert record(flow, bridge_uepoch="0", user_name="201").events == []  # a feature code


def test_an_older_release_writes_the_key_callflow_for_each_stretch() -> None:
    history = "1794999930:a:bl_xfer:202/default/XML"
    variables = BASE["variables"] | {
        "channel_name": TRUNK,
        "sip_from_user": "84950000101",
        "bridge_uepoch": "1794999910000000",
        "transfer_history": history,
    }
    flows = [
        {"caller_profile": {"destination_number": "202"}, "times": {"transfer_time": "0"}},
        {"caller_profile": {"destination_number": "201"}, "times": {"transfer_time": "1794999930250000"}},
    ]
    written = ",".join(f'"callflow":{json.dumps(flow)}' for flow in flows)
    made = translated(Legs(parties()), f'{{"variables":{json.dumps(variables)},{written}}}'.encode())
    (transfer,) = made.events
    assert isinstance(transfer, CallTransferred)
    assert (transfer.manager, transfer.to_manager, transfer.at) == ("vera.lisina", "gleb.ostrov", 1_794_999_930_250)


@pytest.mark.parametrize(
    ("left_at", "at"), [(930_250, 930_250), (931_050, 931_050), (932_000, 930_000), (929_900, 930_000)]
)
def test_the_moment_of_an_attended_transfer_is_that_of_the_hangup_beside_it(left_at: int, at: int) -> None:
    """The telephone of who transfers is hung up in the second of the transfer, or just after it."""
    history = "1794999930:a:att_xfer:201@x/202@x"
    customer = {"channel_name": TRUNK, "sip_from_user": "84950000101", "transfer_history": history}
    left = {**RANG, "answer_uepoch": "1794999910000000", "end_uepoch": f"1794999{left_at}000"}
    memory = Legs(parties())
    for order in (1, -1):
        bodies = [BASE | {"variables": BASE["variables"] | held} for held in (left | {"uuid": "t"}, customer)][::order]
        bodies[0 if order == 1 else 1]["variables"]["hangup_cause"] = "ATTENDED_TRANSFER"
        legs_made = [event for body in bodies for event in translated(memory, json.dumps(body).encode()).events]
        received = [one for one in legs_made if isinstance(one, CallEnded) and one.manager == "gleb.ostrov"]
        assert received[-1].started_at == 1_794_999_000_000 + at
        memory = Legs(parties())


def test_an_agent_whom_a_queue_rang_has_the_call_of_the_caller() -> None:
    made = ended(**RANG | {"originator": None}, progress_uepoch="1794999905000000", cc_member_session_uuid="a-caller")
    assert made.call == "a-caller"


def test_an_id_that_could_be_a_number_is_hashed() -> None:
    for uuid in ("+74950000101", "84950000101", "call-84950000101", "<b>84950000101"):
        assert "4950000101" not in repr(ended(uuid=uuid, call_uuid=uuid)), uuid
    assert ended(uuid="my-call-7", call_uuid=None).id == "freeswitch:my-call-7:ended"


def test_values_may_be_escaped_or_not() -> None:
    escaped = {name: quote(str(value), safe="") for name, value in BASE["variables"].items()}
    assert record(**escaped).events == record().events
    plain = ended(channel_name="sofia/internal/201@x", sip_to_user="+74950000101")
    assert plain.lead == ended(sip_to_user="84950000101").lead


FORM, BASE64 = "application/x-www-form-urlencoded", "application/x-www-form-base64-encoded"
KINDS: dict[str, Callable[[bytes], bytes]] = {
    "application/json": lambda body: body,
    FORM: lambda body: b"cdr=" + quote(body).encode(),
    f"{FORM}; charset=latin-1": lambda body: b"cdr=" + body,
    BASE64: lambda body: b"cdr=" + base64.b64encode(body),
}


def in_latin_1(kind: str, **variables: str) -> Translation:
    """Return the translation of a sound record that is not written in UTF-8."""
    document = BASE | {"variables": BASE["variables"] | {"effective_caller_id_name": "Jörg Müller"} | variables}
    body = json.dumps(document, ensure_ascii=False).encode("latin-1")
    return translated(Legs(parties()), KINDS[kind](body), kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_may_be_written_in_any_encoding(kind: str) -> None:
    found = in_latin_1(kind)
    assert found.refused == []
    assert found.events == record().events


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("uuid", "Jörg-1", "not_utf8"),
        ("call_uuid", "Jörg-1", "not_utf8"),
        ("direction", "öutbound", "unknown_type"),
        ("start_uepoch", "1794999900ö00000", "invalid_time"),
    ],
)
def test_what_figures_depend_on_may_not(kind: str, name: str, value: str, reason: str) -> None:
    assert [one.reason for one in in_latin_1(kind, **{name: value}).refused] == [reason]


def test_a_number_in_another_encoding_is_no_number() -> None:
    found = in_latin_1("application/json", channel_name=TRUNK, sip_from_user="849500ö0101", sip_to_user="201")
    assert all(getattr(event, "lead", None) is None for event in found.events)


def test_two_blind_transfers_of_one_caller() -> None:
    history = "ARRAY::1794999930:a:bl_xfer:202/default/XML|:1794999950:b:bl_xfer:203/default/XML"
    flow = [
        {"caller_profile": {"destination_number": "203"}, "times": {"transfer_time": "0"}},
        {"caller_profile": {"destination_number": "202"}, "times": {"transfer_time": "1794999950250000"}},
        {"caller_profile": {"destination_number": "201"}, "times": {"transfer_time": "1794999930250000"}},
    ]
    made = record(
        flow,
        channel_name=TRUNK,
        sip_from_user="84950000101",
        bridge_uepoch="1794999910000000",
        transfer_history=history,
    ).events
    transfers = [event for event in made if isinstance(event, CallTransferred)]
    assert [(one.manager, one.to_manager, one.at) for one in transfers] == [
        ("vera.lisina", "gleb.ostrov", 1_794_999_930_250),
        ("gleb.ostrov", "rimma.zueva", 1_794_999_950_250),
    ]
    assert len({one.id for one in transfers}) == 2


HELD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["0", "1794999910000000", "201"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(
    [*BASE["variables"], "transfer_history", "originated_legs", "bridge_uepoch", "bridge_channel", "cc_queue", "x"]
)


@pytest.mark.fuzz
@examples(300)
@given(variables=st.dictionaries(NAMES, HELD, max_size=6), flow=HELD)
def test_any_variables_are_read_without_an_exception(variables: dict[str, Any], flow: Any) -> None:
    translation = record(flow, **variables)
    assert len(translation.events) + len(translation.refused) + translation.ignored >= 1


@pytest.mark.fuzz
@examples(300)
@given(
    body=st.binary(max_size=200) | st.text(max_size=100).map(lambda text: ("cdr=" + text).encode()),
    kind=st.sampled_from(
        ["", "application/json", "application/x-www-form-urlencoded", "application/x-www-form-base64-encoded"]
    ),
)
def test_any_bytes_are_read_without_an_exception(body: bytes, kind: str) -> None:
    translation = translated(Legs(parties()), body, kind)
    assert translation.events == []
    assert len(translation.refused) == 1
