"""Calls that no recording holds, made on a small PBX: what their legs are."""

from __future__ import annotations

from typing import Any

import pytest

from streams.contract.events import CallAnswered, CallEnded, CallStarted, CallTransferred, Event, ManagerPresence
from streams.phone_numbers import lead_key
from streams.sources.asterisk import Rule
from tests.streams.asterisk_pbx import Pbx
from tests.streams.asterisk_sessions import SECRET, answered, assert_sound, brief, machine, started

TRUNK = "PJSIP/provider-trunk"
CUSTOMER = "+31612345678"
LEAD = lead_key(CUSTOMER, SECRET)


def played(pbx: Pbx, **settings: object) -> list[Event]:
    """Play the whole session; the machine must be empty after it, and every leg must have ended once."""
    tracker = machine(**settings)
    events = pbx.play(tracker)
    assert tracker.is_idle
    assert_sound(events)
    return events


def ends(events: list[Event]) -> dict[str, CallEnded]:
    return {event.manager: event for event in events if isinstance(event, CallEnded)}


# -- one call


def test_an_inbound_call_is_timed_by_the_timestamps_of_the_manager_interface() -> None:
    #  0 s call, 2 s ring, 10 s answer, 70 s hangup
    pbx = Pbx()
    customer = pbx.caller(TRUNK, "0201234567", CUSTOMER)
    pbx.wait(2)
    phone = pbx.ring(customer, "PJSIP/101")
    pbx.wait(8)
    pbx.answer(customer, phone)
    pbx.wait(60)
    pbx.hangup(phone, customer)
    events = played(pbx)
    leg = ends(events)["101"]
    assert (leg.direction, leg.disposition, leg.lead) == ("inbound", "answered", LEAD)
    assert leg.started_at == 1_700_000_002_000
    assert leg.answered_at == 1_700_000_010_000
    assert leg.at == 1_700_000_070_000
    assert leg.talk_ms == 60_000
    assert [type(event) for event in events] == [CallStarted, CallAnswered, CallEnded]


def test_without_timestamps_the_time_of_receipt_counts() -> None:
    pbx = Pbx(timestamps=False)
    customer = pbx.caller(TRUNK, "0201234567", CUSTOMER)
    pbx.ring(customer, "PJSIP/101")
    tracker = machine()
    events = [found for event in pbx.events for found in tracker.feed(event, 1_800_000_000_123)]
    assert events[0].at == 1_800_000_000_123


@pytest.mark.parametrize("stamp", ["", "soon", "nan", "inf", "-1", "0", "1e400", "17000000000000"])
def test_a_timestamp_that_cannot_be_is_passed_over(stamp: str) -> None:
    pbx = Pbx(timestamps=False)
    customer = pbx.caller(TRUNK, "0201234567", CUSTOMER)
    pbx.ring(customer, "PJSIP/101")
    tracker = machine()
    events = [found for event in pbx.events for found in tracker.feed(event | {"Timestamp": stamp}, 1_800_000_000_123)]
    assert events[0].at == 1_800_000_000_123


def test_an_outbound_call_has_its_lead_from_what_was_sent_to_the_trunk() -> None:
    pbx = Pbx()
    phone = pbx.caller("PJSIP/101", f"9{CUSTOMER[1:]}", "101")  # 9 for an outside line
    far = pbx.ring(phone, TRUNK, dial_string=f"provider-trunk/sip:{CUSTOMER}@sip.example.org")
    pbx.answer(phone, far)
    pbx.hangup(far, phone)
    events = played(pbx)
    assert brief(events)[0].endswith("101 outbound answered lead")
    assert {event.lead for event in events if isinstance(event, CallEnded)} == {LEAD}


def test_a_trunk_that_fails_over_is_one_outbound_leg() -> None:
    pbx = Pbx()
    phone = pbx.caller("PJSIP/101", CUSTOMER, "101")
    first = pbx.channel(TRUNK, parent=phone, num=CUSTOMER)
    pbx.dial(phone, first)
    pbx.end_dial(phone, first, "CONGESTION")
    pbx.hangup(first, cause=34)
    far = pbx.ring(phone, "PJSIP/other-trunk", num=CUSTOMER)
    pbx.answer(phone, far)
    pbx.hangup(far, phone)
    events = played(pbx)
    assert [line.partition(" ")[2] for line in brief(events)] == ["101 outbound answered lead"]


@pytest.mark.parametrize(
    ("status", "cause", "disposition"),
    [
        ("BUSY", 17, "busy"),
        ("NOANSWER", 16, "no_answer"),
        ("CANCEL", 0, "canceled"),
        ("CONGESTION", 34, "failed"),
        ("CHANUNAVAIL", 20, "failed"),
    ],
)
def test_an_outbound_call_that_is_not_answered_ends_as_its_dial_did(status: str, cause: int, disposition: str) -> None:
    pbx = Pbx()
    phone = pbx.caller("PJSIP/101", CUSTOMER, "101")
    far = pbx.ring(phone, TRUNK)
    pbx.end_dial(phone, far, status)
    pbx.hangup(far, phone, cause=cause)
    assert ends(played(pbx))["101"].disposition == disposition


def test_a_number_that_could_not_even_be_dialled_is_a_failed_call() -> None:
    # No channel to the trunk could be made, so Asterisk reports no dial at all.
    pbx = Pbx()
    phone = pbx.caller("PJSIP/101", CUSTOMER, "101")
    pbx.hangup(phone, cause=34)
    leg = ends(played(pbx))["101"]
    assert (leg.direction, leg.disposition, leg.lead) == ("outbound", "failed", LEAD)


def test_a_dial_that_never_got_to_a_telephone_is_a_failed_call() -> None:
    pbx = Pbx()
    phone = pbx.caller("PJSIP/101", "102", "101")
    one, two = pbx.local("102@phones", phone)
    pbx.dial(phone, one)
    pbx.wait(1)
    pbx.end_dial(phone, one, "CHANUNAVAIL")
    pbx.hangup(one, two, phone)
    leg = ends(played(pbx))["101"]
    assert (leg.direction, leg.disposition, leg.at - leg.started_at) == ("outbound", "failed", 1000)


def test_an_announcement_behind_a_local_channel_is_no_call() -> None:
    pbx = Pbx()
    phone = pbx.caller("PJSIP/101", "8500", "101")
    one, two = pbx.local("time@announcements", phone)
    pbx.dial(phone, one)
    pbx.answer(phone, one)
    pbx.hangup(one, two, phone)
    assert played(pbx) == []


@pytest.mark.parametrize("exten", ["*97", "s", "h", "8500", ""])
def test_a_feature_code_is_no_call(exten: str) -> None:
    pbx = Pbx()
    phone = pbx.caller("PJSIP/101", exten, "101")
    pbx.state(phone, 6)
    pbx.hangup(phone)
    assert played(pbx) == []


def test_an_internal_call_has_two_legs_and_no_lead() -> None:
    pbx = Pbx()
    one = pbx.caller("PJSIP/101", "102", "101")
    two = pbx.ring(one, "PJSIP/102")
    pbx.answer(one, two)
    pbx.hangup(one, two)
    events = played(pbx)
    assert sorted(line.partition(" ")[2] for line in brief(events)) == ["101 outbound answered", "102 inbound answered"]


def test_a_withheld_number_is_no_lead() -> None:
    pbx = Pbx()
    customer = pbx.caller(TRUNK, "0201234567", "anonymous")
    phone = pbx.ring(customer, "PJSIP/101", num="0201234567")
    pbx.answer(customer, phone)
    pbx.hangup(customer, phone)
    leg = ends(played(pbx))["101"]
    assert (leg.direction, leg.lead) == ("inbound", None)


def test_hold_is_no_end_of_the_talk() -> None:
    pbx = Pbx()
    customer = pbx.caller(TRUNK, "0201234567", CUSTOMER)
    phone = pbx.ring(customer, "PJSIP/101")
    pbx.answer(customer, phone)
    pbx.wait(10)
    pbx.emit("Hold", phone.fields())
    pbx.wait(20)
    pbx.emit("Unhold", phone.fields())
    pbx.wait(5)
    pbx.hangup(customer, phone)
    assert ends(played(pbx))["101"].talk_ms == 35_000


def test_a_redirect_between_bridges_takes_only_the_gap_from_the_talk() -> None:
    pbx = Pbx()
    customer = pbx.caller(TRUNK, "0201234567", CUSTOMER)
    phone = pbx.ring(customer, "PJSIP/101")
    pbx.answer(customer, phone, "one")
    pbx.wait(10)
    pbx.leave(customer)
    pbx.wait(7)  # the customer hears music in a parking lot
    pbx.enter(customer, "one")
    pbx.wait(10)
    pbx.hangup(customer, phone)
    assert ends(played(pbx))["101"].talk_ms == 20_000


# -- nobody answers


def test_a_missed_call_is_a_leg_of_the_telephone_that_rang_and_of_the_queue_pseudo_manager() -> None:
    pbx = Pbx()
    customer = pbx.caller(TRUNK, "0201234567", CUSTOMER)
    phone = pbx.ring(customer, "PJSIP/101")
    pbx.wait(20)
    pbx.end_dial(customer, phone, "NOANSWER")
    pbx.hangup(phone, customer)
    legs = ends(played(pbx))
    assert {name: leg.disposition for name, leg in legs.items()} == {"101": "no_answer", "queue:inbound": "no_answer"}
    assert legs["queue:inbound"].lead == LEAD


def test_a_call_that_goes_to_voicemail_says_so() -> None:
    pbx = Pbx()
    customer = pbx.caller(TRUNK, "0201234567", CUSTOMER)
    phone = pbx.ring(customer, "PJSIP/101")
    pbx.end_dial(customer, phone, "NOANSWER")
    pbx.hangup(phone)
    pbx.state(customer, 6)
    pbx.emit("Newexten", customer.fields(), Application="VoiceMail", AppData="101@default,u")
    pbx.hangup(customer)
    legs = ends(played(pbx))
    assert {name: leg.disposition for name, leg in legs.items()} == {"101": "no_answer", "queue:inbound": "voicemail"}


def test_other_applications_are_no_voicemail() -> None:
    pbx = Pbx()
    customer = pbx.caller(TRUNK, "0201234567", CUSTOMER)
    pbx.emit("Newexten", customer.fields(), Application="Playback", AppData="welcome")
    pbx.hangup(customer)
    assert ends(played(pbx))["queue:inbound"].disposition == "no_answer"


def test_a_colleague_who_leaves_a_message_has_a_leg_that_ended_in_voicemail() -> None:
    pbx = Pbx()
    one = pbx.caller("PJSIP/101", "102", "101")
    two = pbx.ring(one, "PJSIP/102")
    pbx.end_dial(one, two, "NOANSWER")
    pbx.hangup(two)
    pbx.emit("Newexten", one.fields(), Application="VoiceMail", AppData="102")
    pbx.state(one, 6)
    pbx.hangup(one)
    assert {name: leg.disposition for name, leg in ends(played(pbx)).items()} == {
        "101": "voicemail",
        "102": "no_answer",
    }


# -- queues


def queue_call(pbx: Pbx, queue: str = "sales") -> Any:
    customer = pbx.caller(TRUNK, "0201234567", CUSTOMER)
    pbx.state(customer, 6)
    pbx.emit("QueueCallerJoin", customer.fields(), Queue=queue, Position="1", Count="1")
    return customer


def test_a_queue_with_three_members_has_a_leg_for_each_and_one_answer() -> None:
    pbx = Pbx()
    customer = queue_call(pbx)
    phones = [pbx.ring(customer, f"PJSIP/10{n}") for n in (1, 2, 3)]
    pbx.wait(4)
    pbx.state(phones[1], 6)
    for other in (phones[0], phones[2]):
        pbx.end_dial(customer, other, "CANCEL")
        pbx.hangup(other, cause=26)
    pbx.emit("QueueCallerLeave", customer.fields(), Queue="sales", Position="1", Count="0")
    pbx.emit(
        "AgentConnect",
        customer.fields(),
        phones[1].fields("Dest"),
        Queue="sales",
        MemberName="Bea",
        Interface="PJSIP/102",
    )
    pbx.answer(customer, phones[1])
    pbx.wait(30)
    pbx.hangup(phones[1], customer)
    events = played(pbx)
    assert {name: leg.disposition for name, leg in ends(events).items()} == {
        "101": "canceled",
        "102": "answered",
        "103": "canceled",
    }
    assert {event.queue for event in events if isinstance(event, CallStarted)} == {"sales"}
    assert ends(events)["102"].talk_ms == 30_000


def test_a_member_who_lets_it_ring_and_answers_the_second_time_has_the_leg_twice_and_the_answer_once() -> None:
    pbx = Pbx()
    customer = queue_call(pbx)
    phone = pbx.ring(customer, "PJSIP/101")
    pbx.wait(15)
    pbx.end_dial(customer, phone, "NOANSWER")
    pbx.hangup(phone)
    pbx.wait(5)
    phone = pbx.ring(customer, "PJSIP/101")
    pbx.answer(customer, phone)
    pbx.hangup(customer, phone)
    events = played(pbx)
    assert [line.split()[1:4] for line in brief(events)] == [
        ["101", "inbound", "no_answer"],
        ["101", "inbound", "answered"],
    ]
    assert len(answered(events)) == 1


def test_a_member_behind_a_local_channel_who_does_not_answer_in_time_did_not_answer() -> None:
    # In front of the Local channel the dial ends NOANSWER; behind it, CANCEL.
    pbx = Pbx()
    customer = queue_call(pbx)
    one, two = pbx.local("101@agents", customer)
    pbx.dial(customer, one)
    phone = pbx.ring(two, "PJSIP/101")
    pbx.wait(15)
    pbx.end_dial(customer, one, "NOANSWER")
    pbx.hangup(one)
    pbx.end_dial(two, phone, "CANCEL")
    pbx.hangup(phone, two)
    pbx.emit("QueueCallerAbandon", customer.fields(), Queue="sales", HoldTime="15")
    pbx.hangup(customer)
    assert {name: leg.disposition for name, leg in ends(played(pbx)).items()} == {
        "101": "no_answer",
        "queue:sales": "no_answer",
    }


def test_a_caller_who_gives_up_in_the_queue_is_a_leg_of_the_queue_alone_if_nobody_was_rung() -> None:
    pbx = Pbx()
    customer = queue_call(pbx, "support")
    pbx.wait(90)
    pbx.emit("QueueCallerAbandon", customer.fields(), Queue="support", HoldTime="90")
    pbx.hangup(customer)
    events = played(pbx)
    leg = ends(events)["queue:support"]
    assert leg.at - leg.started_at == 90_000
    assert started(events) == [("1", "queue:support")]


def test_a_queue_that_is_named_like_a_number_is_not_published_as_one() -> None:
    pbx = Pbx()
    customer = queue_call(pbx, "0201234567")
    pbx.hangup(customer)
    assert "0201234567" not in str(played(pbx))


def test_a_member_can_be_mapped_by_the_name_in_the_queue() -> None:
    pbx = Pbx()
    customer = queue_call(pbx)
    one, two = pbx.local("7@agents", customer)
    pbx.dial(customer, one)
    pbx.emit(
        "AgentCalled",
        customer.fields(),
        one.fields("Dest"),
        Queue="sales",
        MemberName="Anna",
        Interface="Local/7@agents",
    )
    phone = pbx.ring(two, TRUNK, dial_string="+31687654321@provider-trunk")
    pbx.state(phone, 6)
    pbx.enter(phone, "x")
    pbx.enter(two, "x")
    pbx.enter(one, "y")
    pbx.enter(customer, "y")
    pbx.hangup(phone, two, one, customer)
    events = played(pbx, rules=(Rule(by="member", pattern="Anna", manager="anna"),))
    assert [line.partition(" ")[2] for line in brief(events)] == ["anna inbound answered lead"]


def test_pauses_and_logins_of_queue_members_are_presence() -> None:
    pbx = Pbx()
    pbx.emit(
        "QueueMemberPause", Queue="sales", MemberName="101", Interface="PJSIP/101", Paused="1", PausedReason="lunch"
    )
    pbx.wait(5)
    pbx.emit("QueueMemberPause", Queue="sales", MemberName="101", Interface="PJSIP/101", Paused="0")
    pbx.emit("QueueMemberRemoved", Queue="sales", MemberName="101", Interface="PJSIP/101")
    pbx.emit("QueueMemberPause", Queue="sales", MemberName="x", Interface=TRUNK, Paused="1")
    events = played(pbx)
    assert [(e.manager, e.state, e.reason) for e in events if isinstance(e, ManagerPresence)] == [
        ("101", "paused", "lunch"),
        ("101", "available", None),
        ("101", "offline", None),
    ]


def test_presence_of_a_member_can_be_mapped_by_name_or_device() -> None:
    pbx = Pbx()
    pbx.emit("QueueMemberPause", Queue="sales", MemberName="Anna", Interface="Local/7@agents", Paused="1")
    pbx.emit("AgentLogin", Agent="1007")
    pbx.emit("AgentLogoff", Agent="1007")
    rules = (Rule(by="member", pattern="Anna|Agent/1007", manager="anna"),)
    assert [(e.manager, e.state) for e in played(pbx, rules=rules) if isinstance(e, ManagerPresence)] == [
        ("anna", "paused"),
        ("anna", "available"),
        ("anna", "offline"),
    ]
    assert played(Pbx(events=pbx.events[:1])) == []


# -- blind transfers


def talking(pbx: Pbx) -> Any:
    customer = pbx.caller(TRUNK, "0201234567", CUSTOMER)
    phone = pbx.ring(customer, "PJSIP/101")
    pbx.answer(customer, phone)
    pbx.wait(30)
    return customer, phone


def test_a_blind_transfer_to_a_group_was_received_by_who_answers() -> None:
    pbx = Pbx()
    customer, phone = talking(pbx)
    pbx.blind(phone, customer, "400")
    two, three = pbx.ring(customer, "PJSIP/102"), pbx.ring(customer, "PJSIP/103")
    pbx.wait(5)
    pbx.state(three, 6)
    pbx.end_dial(customer, two, "CANCEL")
    pbx.hangup(two, cause=26)
    pbx.answer(customer, three)
    pbx.wait(10)
    pbx.hangup(customer, three)
    events = played(pbx)
    assert [line.partition(" ")[2] for line in brief(events)] == [
        "101 inbound answered lead",
        "102 inbound canceled lead",
        "101 blind to 103",
        "103 inbound answered lead",
    ]
    handed = next(event for event in events if isinstance(event, CallTransferred))
    assert handed.at == ends(events)["101"].at == 1_700_000_030_000
    assert len({event.call for event in events if hasattr(event, "call")}) == 1


def test_a_blind_transfer_that_nobody_answers_went_to_who_was_rung_first() -> None:
    pbx = Pbx()
    customer, phone = talking(pbx)
    pbx.blind(phone, customer, "400")
    phones = [pbx.ring(customer, f"PJSIP/10{n}") for n in (2, 3)]
    for other in phones:
        pbx.end_dial(customer, other, "NOANSWER")
        pbx.hangup(other)
    pbx.hangup(customer)
    events = played(pbx)
    assert [line.partition(" ")[2] for line in brief(events)] == [
        "101 inbound answered lead",
        "102 inbound no_answer lead",
        "103 inbound no_answer lead",
        "101 blind to 102",
    ]


def test_a_blind_transfer_to_a_telephone_that_is_not_there_ends_the_leg_and_no_more() -> None:
    pbx = Pbx()
    customer, phone = talking(pbx)
    pbx.blind(phone, customer, "404")
    pbx.hangup(customer, cause=20)
    assert [line.partition(" ")[2] for line in brief(played(pbx))] == ["101 inbound answered lead"]


def test_a_blind_transfer_out_of_the_house_is_a_leg_of_nobody_we_know() -> None:
    pbx = Pbx()
    customer, phone = talking(pbx)
    pbx.blind(phone, customer, "0687654321")
    mobile = pbx.ring(customer, TRUNK, num="+31687654321")
    pbx.answer(customer, mobile)
    pbx.wait(40)
    pbx.hangup(customer, mobile)
    events = played(pbx)
    assert [line.partition(" ")[2] for line in brief(events)] == [
        "101 inbound answered lead",
        "101 blind to outside",
        "outside inbound answered lead",
    ]
    assert ends(events)["outside"].talk_ms == 40_000


def test_two_blind_transfers_in_a_row_keep_the_call_id() -> None:
    pbx = Pbx()
    customer, one = talking(pbx)
    pbx.blind(one, customer, "102")
    two = pbx.ring(customer, "PJSIP/102")
    pbx.answer(customer, two)
    pbx.wait(5)
    pbx.blind(two, customer, "103")
    three = pbx.ring(customer, "PJSIP/103")
    pbx.answer(customer, three)
    pbx.hangup(three, customer)
    events = played(pbx)
    assert [(e.manager, e.to_manager) for e in events if isinstance(e, CallTransferred)] == [
        ("101", "102"),
        ("102", "103"),
    ]
    assert len({event.call for event in events if hasattr(event, "call")}) == 1


def test_a_transfer_that_failed_is_none() -> None:
    pbx = Pbx()
    customer, phone = talking(pbx)
    pbx.emit("BlindTransfer", phone.fields("Transferer"), customer.fields("Transferee"), Result="Fail", Extension="9")
    pbx.wait(5)
    pbx.hangup(customer, phone)
    events = played(pbx)
    assert [line.partition(" ")[2] for line in brief(events)] == ["101 inbound answered lead"]
    assert ends(events)["101"].talk_ms == 35_000


# -- attended transfers


def consulting(pbx: Pbx) -> Any:
    """101 talks with a customer, and on a second line with 102."""
    customer, phone = talking(pbx)
    line = pbx.caller("PJSIP/101", "102", "101")
    other = pbx.ring(line, "PJSIP/102")
    pbx.answer(line, other, "consult")
    pbx.wait(10)
    return customer, phone, line, other


@pytest.mark.parametrize("order", ["event first", "bridge first"])
@pytest.mark.parametrize("names", [True, False])
def test_an_attended_transfer_brings_the_other_manager_into_the_customers_call(order: str, names: bool) -> None:
    pbx = Pbx()
    customer, phone, line, other = consulting(pbx)

    def report() -> None:
        parties = {"transferee": customer, "target": other} if names else {}
        pbx.attended(phone, line, "Bridge", **parties)

    if order == "event first":
        report()
    pbx.leave(customer)
    pbx.leave(line)
    pbx.enter(customer, "consult", swap=line)
    if order == "bridge first":
        report()
    pbx.hangup(line, phone)
    pbx.wait(60)
    pbx.hangup(customer, other)
    events = played(pbx)
    call = f"{customer.uid}".rpartition(".")[2]
    consult = f"{line.uid}".rpartition(".")[2]
    assert sorted(brief(events)) == sorted(
        [
            f"{consult} 101 outbound answered",
            f"{consult} 102 inbound answered",
            f"{call} 101 attended to 102",
            f"{call} 101 inbound answered lead",
            f"{call} 102 inbound answered lead",
        ]
    )
    last = [event for event in events if isinstance(event, CallEnded)][-1]
    assert (last.manager, last.talk_ms, last.lead) == ("102", 60_000, LEAD)


def test_the_customers_call_id_stays_even_where_the_customer_is_the_target() -> None:
    # 102 calls 101, who is talking with a customer, and gets the customer.
    pbx = Pbx()
    customer, phone = talking(pbx)
    colleague = pbx.caller("PJSIP/102", "101", "102")
    second = pbx.ring(colleague, "PJSIP/101")
    pbx.answer(colleague, second, "asking")
    pbx.leave(colleague)
    pbx.leave(phone)
    pbx.enter(colleague, customer.bridge, swap=phone)
    pbx.attended(second, phone, "Bridge", transferee=colleague, target=customer)
    pbx.hangup(second, phone)
    pbx.wait(30)
    pbx.hangup(customer, colleague)
    events = played(pbx)
    call = customer.uid.rpartition(".")[2]
    assert f"{call} 101 attended to 102" in brief(events)
    assert brief(events)[-1] == f"{call} 102 inbound answered lead"


def test_an_attended_transfer_with_a_feature_code_stays_in_one_call() -> None:
    # *2: the transferer has one channel; the colleague is reached through a Local channel of the same Linkedid.
    pbx = Pbx()
    customer, phone = talking(pbx)
    pbx.leave(phone)
    one, two = pbx.local("102@from-internal", phone)
    pbx.dial(phone, one)
    other = pbx.ring(two, "PJSIP/102")
    pbx.state(other, 6)
    pbx.end_dial(two, other, "ANSWER")
    pbx.enter(other, "inner")
    pbx.enter(two, "inner")
    pbx.end_dial(phone, one, "ANSWER")
    pbx.enter(one, "outer")
    pbx.enter(phone, "outer")
    pbx.wait(10)
    pbx.attended(phone, phone, "Bridge", transferee=customer, target=one)
    pbx.leave(phone)
    pbx.enter(customer, "outer")
    pbx.hangup(phone)
    pbx.wait(20)
    pbx.hangup(customer, one, two, other)
    events = played(pbx)
    assert [line.partition(" ")[2] for line in brief(events)] == [
        "101 attended to 102",
        "101 inbound answered lead",
        "102 inbound answered lead",
    ]


def test_a_link_of_two_bridges_is_an_attended_transfer_too() -> None:
    pbx = Pbx()
    customer, phone, line, other = consulting(pbx)
    one, two = pbx.local("_attended@transfer", phone)
    pbx.attended(phone, line, "Link", transferee=customer, target=other)
    pbx.enter(one, customer.bridge, swap=phone)
    pbx.enter(two, "consult", swap=line)
    pbx.hangup(phone, line)
    pbx.wait(30)
    pbx.hangup(customer, one, two, other)
    events = played(pbx)
    assert any(line.endswith("101 attended to 102") for line in brief(events))
    assert brief(events)[-1].endswith("102 inbound answered lead")
    assert ends(events)["102"].talk_ms == 30_000


def test_three_in_a_call_are_no_transfer() -> None:
    pbx = Pbx()
    customer, phone, line, other = consulting(pbx)
    pbx.attended(phone, line, "Threeway", transferee=customer, target=other)
    pbx.leave(line)
    pbx.leave(other)
    pbx.enter(other, customer.bridge)
    pbx.hangup(line)
    pbx.wait(20)
    pbx.hangup(customer, phone, other)
    events = played(pbx)
    assert not any(isinstance(event, CallTransferred) for event in events)
    assert ends(events)["101"].talk_ms == 60_000
    assert ends(events)["101"].lead == ends(events)["102"].lead == LEAD


@pytest.mark.parametrize("how", ["answered", "refused", "given up"])
def test_a_blonde_transfer_leaves_the_ringing_telephone_to_the_customer(how: str) -> None:
    pbx = Pbx()
    customer, phone = talking(pbx)
    line = pbx.caller("PJSIP/101", "102", "101")
    other = pbx.ring(line, "PJSIP/102")
    pbx.attended(phone, line, "App", transferee=customer)
    pbx.leave(phone)
    pbx.leave(customer)
    pbx.hangup(phone)
    pbx.end_dial(line, other, "NOANSWER")
    pbx.dial(customer, other)
    pbx.hangup(line)
    pbx.wait(5)
    if how == "answered":
        pbx.answer(customer, other)
    else:
        pbx.end_dial(customer, other, "BUSY" if how == "refused" else "CANCEL")
    pbx.wait(10)
    pbx.hangup(other, customer, cause=17 if how == "refused" else 16)
    events = played(pbx)
    assert any(line.endswith("101 blind to 102") for line in brief(events))
    assert ends(events)["102"].disposition == {"answered": "answered", "refused": "busy", "given up": "canceled"}[how]
    assert ends(events)["102"].lead == LEAD


# -- pickup, forwarding, conference


@pytest.mark.parametrize("says_pickup", [True, False])
def test_who_picks_a_call_up_answers_it(says_pickup: bool) -> None:
    pbx = Pbx()
    customer = pbx.caller(TRUNK, "0201234567", CUSTOMER)
    rung = pbx.ring(customer, "PJSIP/101")
    picker = pbx.caller("PJSIP/102", "*8101", "102")
    if says_pickup:
        pbx.emit("Pickup", picker.fields(), rung.fields("Target"))
    pbx.state(picker, 6)
    pbx.end_dial(customer, rung, "CANCEL")
    pbx.dial(customer, picker)
    pbx.hangup(rung, cause=26)
    pbx.end_dial(customer, picker, "ANSWER")
    pbx.state(customer, 6)
    pbx.enter(picker, "b")
    pbx.enter(customer, "b")
    pbx.wait(9)
    pbx.hangup(customer, picker)
    events = played(pbx)
    assert [line.partition(" ")[2] for line in brief(events)] == [
        "101 inbound canceled lead",
        "102 inbound answered lead",
    ]
    assert len({event.call for event in events if hasattr(event, "call")}) == 1


def test_a_pickup_that_is_only_said_by_its_own_event_is_a_leg() -> None:
    pbx = Pbx()
    customer = pbx.caller(TRUNK, "0201234567", CUSTOMER)
    rung = pbx.ring(customer, "PJSIP/101")
    picker = pbx.caller("PJSIP/102", "*8101", "102")
    pbx.state(picker, 6)
    pbx.wait(1)
    pbx.emit("Pickup", picker.fields(), rung.fields("Target"))
    pbx.wait(1)
    pbx.enter(picker, "b")
    pbx.enter(customer, "b")
    pbx.hangup(rung, customer, picker)
    assert ends(played(pbx))["102"].started_at == 1_700_000_001_000


def test_a_telephone_that_forwards_to_a_mobile_leaves_the_call_to_nobody_we_know_or_to_whom_a_rule_names() -> None:
    def session() -> Pbx:
        pbx = Pbx()
        customer = pbx.caller(TRUNK, "0201234567", CUSTOMER)
        phone = pbx.channel("PJSIP/101", parent=customer)
        pbx.dial(customer, phone)
        pbx.emit("DialEnd", customer.fields(), phone.fields("Dest"), DialStatus="CANCEL", Forward="0687654321")
        mobile = pbx.channel(TRUNK, parent=customer, num="0687654321")
        pbx.dial(customer, mobile, "+31687654321@provider-trunk")
        pbx.hangup(phone)
        pbx.state(mobile, 5)
        pbx.answer(customer, mobile)
        pbx.hangup(customer, mobile)
        return pbx

    assert [line.partition(" ")[2] for line in brief(played(session()))] == ["outside inbound answered lead"]
    rules = (Rule(by="number", pattern=r"\+31687654321", manager="anna"),)
    assert [line.partition(" ")[2] for line in brief(played(session(), rules=rules))] == ["anna inbound answered lead"]


def test_two_telephones_of_one_manager_are_one_leg() -> None:
    pbx = Pbx()
    customer = pbx.caller(TRUNK, "0201234567", CUSTOMER)
    desk, soft = pbx.ring(customer, "PJSIP/101"), pbx.ring(customer, "PJSIP/9101")
    pbx.state(desk, 6)
    pbx.end_dial(customer, soft, "CANCEL")
    pbx.hangup(soft, cause=26)
    pbx.answer(customer, desk)
    pbx.hangup(desk, customer)
    events = played(pbx, rules=(Rule(by="endpoint", pattern=r"9?(\d{3})", manager=r"\1"),))
    assert [line.partition(" ")[2] for line in brief(events)] == ["101 inbound answered lead"]


def test_a_conference_is_one_call_whose_members_talk_while_they_are_two() -> None:
    pbx = Pbx()
    one = pbx.caller("PJSIP/101", "8000", "101")
    pbx.state(one, 6)
    pbx.enter(one, "conf")
    pbx.wait(5)
    two = pbx.caller("PJSIP/102", "8000", "102")
    pbx.state(two, 6)
    pbx.enter(two, "conf")
    pbx.wait(10)
    three = pbx.caller("PJSIP/103", "8000", "103")
    pbx.state(three, 6)
    pbx.enter(three, "conf")
    pbx.wait(10)
    pbx.hangup(two)
    pbx.wait(10)
    pbx.hangup(three)
    pbx.wait(10)
    pbx.hangup(one)
    events = played(pbx)
    assert {name: leg.talk_ms for name, leg in ends(events).items()} == {"101": 30_000, "102": 20_000, "103": 20_000}
    assert len({event.call for event in events if hasattr(event, "call")}) == 1


def test_a_conference_that_never_ends_does_not_grow() -> None:
    pbx = Pbx()
    tracker = machine()
    member = None
    most = 0
    for number in range(200):
        joining = pbx.caller(f"PJSIP/{100 + number % 50}", "8000", "100")
        pbx.state(joining, 6)
        pbx.enter(joining, "conf")
        if member is not None:
            pbx.hangup(member)
        pbx.wait(60)
        member = joining
        events = pbx.play(tracker)
        pbx.events.clear()
        most = max(most, len(tracker._ledger.conversations))
        calls = {event.call for event in events if isinstance(event, CallStarted)}
        assert calls <= {"1700000000.1"}
    assert most <= 20


def test_a_recorder_in_the_bridge_is_nobody() -> None:
    pbx = Pbx()
    phone = pbx.caller("PJSIP/101", "8000", "101")
    pbx.state(phone, 6)
    pbx.enter(phone, "conf")
    announcer = pbx.channel("CBAnn/conf", state=6)
    pbx.enter(announcer, "conf")
    pbx.hangup(announcer, phone)
    assert played(pbx) == []


# -- calls that the PBX places


def test_a_call_that_the_pbx_places_for_a_manager_is_outbound_and_answered_by_the_far_end() -> None:
    pbx = Pbx()
    phone = pbx.channel("PJSIP/101", num=CUSTOMER)
    pbx.dial(None, phone, "101")
    pbx.state(phone, 5)
    pbx.wait(3)
    pbx.state(phone, 6)
    pbx.end_dial(None, phone, "ANSWER")
    phone.exten = CUSTOMER
    pbx.wait(1)
    far = pbx.ring(phone, TRUNK, num=CUSTOMER)
    pbx.wait(6)
    pbx.answer(phone, far)
    pbx.wait(20)
    pbx.hangup(far, phone)
    events = played(pbx)
    assert [line.partition(" ")[2] for line in brief(events)] == ["101 outbound answered lead"]
    leg = ends(events)["101"]
    assert (leg.answered_at or 0) - leg.started_at == 6_000
    assert leg.talk_ms == 20_000
    assert leg.lead == LEAD


def test_a_manager_who_does_not_take_the_call_that_the_pbx_places_has_called_nobody() -> None:
    pbx = Pbx()
    phone = pbx.channel("PJSIP/101", num=CUSTOMER)
    pbx.dial(None, phone, "101")
    pbx.state(phone, 5)
    pbx.end_dial(None, phone, "BUSY")
    pbx.hangup(phone, cause=17)
    assert played(pbx) == []


def test_a_call_that_the_pbx_places_to_two_telephones_of_a_manager_is_one_call_to_the_customer() -> None:
    pbx = Pbx()
    one, two = pbx.local("101@click")
    pbx.dial(None, one)
    desk, soft = pbx.ring(two, "PJSIP/101"), pbx.ring(two, "PJSIP/102")
    pbx.state(desk, 6)
    pbx.end_dial(two, soft, "CANCEL")
    pbx.hangup(soft, cause=26)
    pbx.end_dial(two, desk, "ANSWER")
    pbx.enter(desk, "a")
    pbx.enter(two, "a")
    pbx.end_dial(None, one, "ANSWER")
    far = pbx.ring(one, TRUNK, num=CUSTOMER)
    pbx.end_dial(one, far, "BUSY")
    pbx.hangup(far, one, two, desk, cause=17)
    assert [line.partition(" ")[2] for line in brief(played(pbx))] == ["101 outbound busy lead"]


def test_the_far_end_may_be_dialled_before_the_caller_is_seen_to_have_picked_up() -> None:
    # Two channels have their own threads in Asterisk, so their events may overtake each other.
    pbx = Pbx()
    one, two = pbx.local("101@click")
    pbx.dial(None, one)
    phone = pbx.ring(two, "PJSIP/101")
    pbx.end_dial(None, one, "ANSWER")
    far = pbx.ring(one, TRUNK, num=CUSTOMER)
    pbx.state(phone, 6)
    pbx.end_dial(two, phone, "ANSWER")
    pbx.end_dial(one, far, "BUSY")
    pbx.hangup(far, one, two, phone, cause=17)
    assert [line.partition(" ")[2] for line in brief(played(pbx))] == ["101 outbound busy lead"]


def test_a_first_party_that_is_seen_to_ring_before_it_is_seen_to_be_dialled_is_the_caller_all_the_same() -> None:
    pbx = Pbx()
    one, two = pbx.local("101@click")
    pbx.dial(None, one)
    phone = pbx.channel("PJSIP/101", parent=two)
    made = pbx.events.pop()
    pbx.state(phone, 5)
    pbx.events.append(made)
    pbx.dial(two, phone)
    pbx.end_dial(two, phone, "CANCEL")
    pbx.hangup(phone, one, two)
    assert played(pbx) == []


def test_a_customer_whom_the_pbx_calls_first_is_the_lead_of_the_manager_it_rings_next() -> None:
    # "Call me now" on a web page, or a dialler that hands over who answers.
    pbx = Pbx()
    one, two = pbx.local("callme@click")
    pbx.dial(None, one)
    customer = pbx.ring(two, TRUNK, num=CUSTOMER)
    pbx.state(customer, 6)
    pbx.end_dial(two, customer, "ANSWER")
    pbx.enter(customer, "a")
    pbx.enter(two, "a")
    pbx.end_dial(None, one, "ANSWER")
    phone = pbx.ring(one, "PJSIP/101")
    pbx.answer(one, phone)
    pbx.wait(12)
    pbx.hangup(phone, one, two, customer)
    events = played(pbx)
    assert [line.partition(" ")[2] for line in brief(events)] == ["101 inbound answered lead"]
    assert (ends(events)["101"].lead, ends(events)["101"].talk_ms) == (LEAD, 12_000)


def test_a_manager_whom_an_application_brings_to_a_waiting_caller_has_an_inbound_leg() -> None:
    # An application of its own (ARI): each party has its own Linkedid until it puts them into one bridge.
    pbx = Pbx()
    customer = pbx.caller(TRUNK, "0201234567", CUSTOMER)
    pbx.state(customer, 6)
    pbx.wait(20)
    phone = pbx.channel("PJSIP/101")
    pbx.dial(None, phone)
    pbx.state(phone, 5)
    pbx.wait(5)
    pbx.state(phone, 6)
    pbx.enter(customer, "app")
    pbx.enter(phone, "app")
    pbx.wait(30)
    pbx.hangup(customer, phone)
    leg = ends(played(pbx))["101"]
    assert (leg.direction, leg.lead, leg.talk_ms) == ("inbound", LEAD, 30_000)
    assert leg.started_at == 1_700_000_020_000


def test_callers_who_are_parked_in_one_lot_do_not_hear_each_other() -> None:
    pbx = Pbx()
    first, phone = talking(pbx)
    second = pbx.caller(TRUNK, "0201234567", "+31611111111")
    pbx.state(second, 6)
    pbx.blind(phone, first, "700")
    for customer in (first, second):
        customer.bridge = "lot"
        pbx.emit("BridgeEnter", customer.fields(), BridgeUniqueid="lot", BridgeTechnology="holding_bridge")
    pbx.wait(20)
    pbx.leave(first)
    colleague = pbx.caller("PJSIP/102", "701", "102")
    pbx.state(colleague, 6)
    pbx.enter(colleague, "talk")
    pbx.enter(first, "talk")
    pbx.wait(15)
    pbx.hangup(first, colleague, second)
    events = played(pbx)
    legs = ends(events)
    assert {name: (leg.disposition, leg.talk_ms) for name, leg in legs.items()} == {
        "101": ("answered", 30_000),
        "102": ("answered", 15_000),
        "queue:inbound": ("no_answer", 0),
    }
    assert (legs["102"].direction, legs["102"].lead, legs["102"].call) == ("inbound", LEAD, legs["101"].call)


# -- mapping


def test_rules_are_tried_in_order_and_before_everything_else() -> None:
    pbx = Pbx()
    phone = pbx.caller("PJSIP/101", CUSTOMER, "101", account="sales-7")
    far = pbx.ring(phone, TRUNK)
    pbx.end_dial(phone, far, "BUSY")
    pbx.hangup(far, phone, cause=17)
    for rules, manager in (
        ((Rule(by="account", pattern=r"sales-(\d+)", manager=r"seller\1"),), "seller7"),
        ((Rule(by="extension", pattern="101", manager="anna"), Rule(by="account", pattern=".*", manager="no")), "anna"),
        ((Rule(by="endpoint", pattern="999", manager="no"),), "101"),
    ):
        assert list(ends(played(pbx, rules=rules))) == [manager]


def test_an_account_code_that_a_trunk_inherited_makes_no_manager_of_it() -> None:
    pbx = Pbx()
    phone = pbx.caller("PJSIP/101", CUSTOMER, "101", account="101")
    far = pbx.channel(TRUNK, parent=phone, num=CUSTOMER, account="101")
    pbx.dial(phone, far)
    pbx.answer(phone, far)
    pbx.hangup(far, phone)
    events = played(pbx, rules=(Rule(by="account", pattern=".+"),))
    assert [line.partition(" ")[2] for line in brief(events)] == ["101 outbound answered lead"]


def test_a_trunk_can_be_known_by_its_context() -> None:
    pbx = Pbx()
    customer = pbx.caller("PJSIP/12345", "0201234567", CUSTOMER, context="from-pstn")
    phone = pbx.ring(customer, "PJSIP/101")
    pbx.answer(customer, phone)
    pbx.hangup(customer, phone)
    assert [line.partition(" ")[2] for line in brief(played(pbx))] == ["101 inbound answered lead"]


def test_endpoints_with_names_are_managers_where_the_setting_says_so() -> None:
    pbx = Pbx()
    phone = pbx.caller("PJSIP/alice", "bob", "alice")
    other = pbx.ring(phone, "PJSIP/bob")
    pbx.answer(phone, other)
    pbx.hangup(phone, other)
    assert list(ends(played(pbx, unmapped="manager", manager_prefix="x-"))) == ["x-alice", "x-bob"]
    assert ends(played(pbx, internal="[a-z]+")).keys() == {"alice", "bob"}
    assert not played(pbx, outside_manager="")


# -- gaps


def test_a_call_that_was_up_before_the_first_event_is_taken_up_from_the_list_of_channels() -> None:
    pbx = Pbx()
    customer = pbx.caller(TRUNK, "0201234567", CUSTOMER)
    phone = pbx.ring(customer, "PJSIP/101")
    pbx.answer(customer, phone)
    pbx.wait(30)
    joined = len(pbx.events)
    pbx.listing(customer, phone)
    pbx.wait(40)
    pbx.hangup(customer, phone)
    tracker = machine()
    events = pbx.play(tracker, joined)
    assert tracker.is_idle
    assert_sound(events)
    leg = ends(events)["101"]
    assert (leg.direction, leg.disposition, leg.lead) == ("inbound", "answered", LEAD)
    assert (leg.started_at, leg.talk_ms) == (1_700_000_000_000, 40_000)


def test_an_outbound_call_that_was_ringing_before_the_first_event_is_taken_up() -> None:
    pbx = Pbx()
    phone = pbx.caller("PJSIP/101", CUSTOMER, "101")
    far = pbx.ring(phone, TRUNK)
    joined = len(pbx.events)
    pbx.listing(phone, far, application="Dial")
    pbx.answer(phone, far)
    pbx.wait(10)
    pbx.hangup(far, phone)
    tracker = machine()
    events = pbx.play(tracker, joined)
    assert tracker.is_idle
    assert [line.partition(" ")[2] for line in brief(events)] == ["101 outbound answered lead"]


def test_an_outbound_call_that_is_up_is_taken_up_as_outbound() -> None:
    pbx = Pbx()
    phone = pbx.caller("PJSIP/101", CUSTOMER, "101")
    far = pbx.ring(phone, TRUNK)
    pbx.answer(phone, far)
    joined = len(pbx.events)
    pbx.emit("Status", phone.fields(), BridgeID=phone.bridge, Seconds="7")
    pbx.emit("Status", far.fields(), BridgeID=far.bridge, Seconds="5")
    pbx.emit("StatusComplete", Items="2")
    pbx.wait(9)
    pbx.hangup(far, phone)
    events = pbx.play(machine(), joined)
    leg = ends(events)["101"]
    assert (leg.direction, leg.lead, leg.talk_ms) == ("outbound", LEAD, 9_000)
    assert leg.started_at == int(pbx.now) * 1000 - 9_000 - 5_000


def test_a_caller_who_was_waiting_before_the_first_event_and_gives_up_was_missed() -> None:
    pbx = Pbx()
    customer = queue_call(pbx)
    phone = pbx.ring(customer, "PJSIP/101")
    joined = len(pbx.events)
    pbx.listing(customer, phone, application="Queue")
    pbx.emit("QueueCallerAbandon", customer.fields(), Queue="sales")
    pbx.end_dial(customer, phone, "CANCEL")
    pbx.hangup(phone, customer)
    tracker = machine()
    events = pbx.play(tracker, joined)
    assert tracker.is_idle
    assert {name: leg.disposition for name, leg in ends(events).items()} == {
        "101": "canceled",
        "queue:sales": "no_answer",
    }


def test_an_outbound_call_that_rang_before_the_first_event_and_is_not_answered_is_taken_up_too() -> None:
    pbx = Pbx()
    phone = pbx.caller("PJSIP/101", CUSTOMER, "101")
    far = pbx.ring(phone, TRUNK)
    joined = len(pbx.events)
    pbx.listing(phone, far, application="Dial")
    pbx.hangup(far, phone, cause=19)
    leg = ends(pbx.play(machine(), joined))["101"]
    assert (leg.direction, leg.disposition, leg.lead) == ("outbound", "no_answer", LEAD)


def test_a_dial_whose_beginning_was_not_seen_is_taken_up_at_its_end() -> None:
    pbx = Pbx()
    phone = pbx.caller("PJSIP/101", CUSTOMER, "101")
    far = pbx.ring(phone, TRUNK)
    joined = len(pbx.events)
    pbx.end_dial(phone, far, "BUSY")
    pbx.hangup(far, phone, cause=17)
    assert [line.partition(" ")[2] for line in brief(pbx.play(machine(), joined))] == ["101 outbound busy lead"]


def test_a_gap_while_it_rings_closes_the_leg_as_not_answered() -> None:
    pbx = Pbx()
    customer = pbx.caller(TRUNK, "0201234567", CUSTOMER)
    pbx.ring(customer, "PJSIP/101")
    tracker = machine()
    pbx.play(tracker)
    leg = ends(tracker.finish(int(pbx.now * 1000)))["101"]
    assert (leg.disposition, leg.ended_by, leg.talk_ms) == ("no_answer", "timeout", 0)


def test_a_gap_while_a_transfer_rings_says_whom_it_rang() -> None:
    pbx = Pbx()
    customer, phone = talking(pbx)
    pbx.blind(phone, customer, "102")
    pbx.ring(customer, "PJSIP/102")
    tracker = machine()
    pbx.play(tracker)
    assert [line.partition(" ")[2] for line in brief(tracker.finish(int(pbx.now * 1000)))] == [
        "101 blind to 102",
        "102 inbound no_answer lead (timeout)",
    ]


def test_a_hangup_whose_bridge_leave_was_lost_ends_the_talk_of_the_other() -> None:
    pbx = Pbx()
    customer, phone = talking(pbx)
    customer.bridge = ""  # so that no BridgeLeave is sent
    pbx.hangup(customer)
    pbx.wait(60)
    pbx.hangup(phone)
    assert ends(played(pbx))["101"].talk_ms == 30_000


def test_an_inbound_call_whose_ringing_is_the_first_thing_seen_is_taken_up() -> None:
    pbx = Pbx()
    customer = pbx.caller(TRUNK, "0201234567", CUSTOMER)
    phone = pbx.channel("PJSIP/101", parent=customer, num="0201234567")
    pbx.dial(customer, phone)
    joined = len(pbx.events)
    pbx.state(phone, 5)
    pbx.answer(customer, phone)
    pbx.hangup(customer, phone)
    tracker = machine()
    events = pbx.play(tracker, joined)
    assert tracker.is_idle
    assert_sound(events)
    assert [line.partition(" ")[2] for line in brief(events)] == ["101 inbound answered lead"]


def test_a_call_that_ended_in_a_gap_is_closed_by_the_list_and_one_that_goes_on_is_not() -> None:
    pbx = Pbx()
    gone = talking(pbx)
    customer = pbx.caller(TRUNK, "0201234567", "+31611111111")
    phone = pbx.ring(customer, "PJSIP/102")
    pbx.answer(customer, phone)
    tracker = machine()
    events = pbx.play(tracker)
    pbx.wait(60)
    since = len(pbx.events)
    pbx.listing(customer, phone)
    events += pbx.play(tracker, since)
    assert brief(events) == [f"{gone[0].uid.rpartition('.')[2]} 101 inbound answered lead (timeout)"]
    pbx.wait(20)
    since = len(pbx.events)
    pbx.hangup(customer, phone)
    events += pbx.play(tracker, since)
    assert tracker.is_idle
    assert_sound(events)
    assert ends(events)["102"].talk_ms == 80_000


def test_an_empty_list_closes_everything() -> None:
    pbx = Pbx()
    talking(pbx)
    pbx.listing()
    tracker = machine()
    assert [line.partition(" ")[2] for line in brief(pbx.play(tracker))] == ["101 inbound answered lead (timeout)"]
    assert tracker.is_idle


def test_a_gap_closes_open_legs_as_not_seen_and_the_real_end_comes_later_under_the_same_call() -> None:
    pbx = Pbx()
    customer, phone = talking(pbx)
    tracker = machine()
    events = pbx.play(tracker)
    events += tracker.finish(int(pbx.now * 1000))
    assert tracker.is_idle
    first = ends(events)["101"]
    assert first.ended_by == "timeout"
    since = len(pbx.events)
    pbx.wait(30)
    pbx.listing(customer, phone)
    pbx.wait(30)
    pbx.hangup(customer, phone)
    second = ends(pbx.play(tracker, since))["101"]
    assert (second.call, second.manager, second.ended_by) == (first.call, first.manager, "hangup")
    assert second.id != first.id


def test_a_pbx_that_shuts_down_closes_everything() -> None:
    pbx = Pbx()
    talking(pbx)
    pbx.emit("Shutdown", Shutdown="Cleanly", Restart="False")
    tracker = machine()
    assert len(ends(pbx.play(tracker))) == 1
    assert tracker.is_idle


def test_header_names_may_be_written_in_any_case() -> None:
    pbx = Pbx()
    customer, phone = talking(pbx)
    pbx.hangup(customer, phone)
    tracker = machine()
    lower = [{key.lower(): value for key, value in event.items()} for event in pbx.events]
    assert [found for event in lower for found in tracker.feed(event, 0)] == played(pbx)


def test_an_id_that_was_set_by_hand_is_not_published() -> None:
    pbx = Pbx()
    customer, phone = talking(pbx)
    pbx.hangup(customer, phone)
    renamed = [
        {key: value.replace(customer.uid, "call-0612345678") for key, value in event.items()} for event in pbx.events
    ]
    tracker = machine()
    events = [found for event in renamed for found in tracker.feed(event, 0)]
    assert events
    assert "0612345678" not in str(events)
