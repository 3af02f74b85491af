"""Queues and presence, made on a small PBX."""

from __future__ import annotations

from typing import Any

from streams.contract.events import CallStarted, ManagerPresence
from streams.sources.asterisk import Rule
from tests.streams.asterisk_pbx import TRUNK, Pbx, ends, played, queue_call
from tests.streams.asterisk_sessions import answered, brief, started


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


def states(pbx: Pbx, **settings: Any) -> list[tuple[str, str]]:
    return [(e.manager, e.state) for e in played(pbx, **settings) if isinstance(e, ManagerPresence)]


def member(pbx: Pbx, event: str, queue: str, paused: str = "0", reason: str = "", **more: str) -> None:
    """Let an event name 101 as a member of a queue."""
    fields = {"MemberName": "Anna", "Interface": "PJSIP/101", "PausedReason": reason} | more
    pbx.emit(event, Queue=queue, Paused=paused, **fields)
    pbx.wait(1)


def test_presence_of_a_member_can_be_mapped_by_name_or_device() -> None:
    rules = (Rule(by="member", pattern="Anna|Agent/1007", manager="anna"),)
    pbx = Pbx()
    pbx.emit("AgentLogin", Agent="1007")
    pbx.emit("AgentLogoff", Agent="1007")
    pbx.emit("QueueMemberPause", Queue="sales", MemberName="Anna", Interface="Local/7@agents", Paused="1")
    assert states(pbx, rules=rules) == [("anna", "available"), ("anna", "offline"), ("anna", "paused")]


def test_leaving_one_of_several_queues_changes_nothing_and_leaving_the_last_is_offline() -> None:
    pbx = Pbx()
    member(pbx, "QueueMemberAdded", "sales")
    member(pbx, "QueueMemberAdded", "renewals")
    member(pbx, "QueueMemberRemoved", "sales")
    member(pbx, "QueueMemberRemoved", "renewals")
    assert states(pbx) == [("101", "available"), ("101", "offline")]


def test_a_pause_ends_when_it_is_taken_back_and_not_when_another_queue_is_joined() -> None:
    pbx = Pbx()
    member(pbx, "QueueMemberAdded", "sales")
    member(pbx, "QueueMemberPause", "sales", "1", "lunch")
    member(pbx, "QueueMemberAdded", "vip")
    member(pbx, "QueueMemberPause", "sales")
    events = [event for event in played(pbx) if isinstance(event, ManagerPresence)]
    assert [(event.state, event.reason) for event in events] == [
        ("available", None),
        ("paused", "lunch"),
        ("available", None),
    ]


def test_a_pause_in_all_queues_is_one_pause() -> None:
    pbx = Pbx()
    for queue in ("sales", "linear"):
        member(pbx, "QueueMemberPause", queue, "1", "lunch")
    for queue in ("sales", "linear"):
        member(pbx, "QueueMemberPause", queue)
    assert states(pbx) == [("101", "paused"), ("101", "available")]


def test_a_manager_with_two_devices_is_offline_when_both_have_left() -> None:
    rules = (Rule(by="member", pattern="Anna", manager="anna"),)
    pbx = Pbx()
    for device in ("PJSIP/101", "PJSIP/201"):
        member(pbx, "QueueMemberAdded", "sales", Interface=device)
    for device in ("PJSIP/101", "PJSIP/201"):
        member(pbx, "QueueMemberRemoved", "sales", Interface=device)
    assert states(pbx, rules=rules) == [("anna", "available"), ("anna", "offline")]


def test_an_agent_who_logs_off_is_offline_although_still_a_member_of_queues() -> None:
    pbx = Pbx()
    pbx.emit("QueueMemberAdded", Queue="sales", MemberName="301", Interface="Agent/301", Paused="0")
    for event in ("AgentLogin", "AgentLogoff", "AgentLogin"):
        pbx.wait(1)
        pbx.emit(event, Agent="301")
    assert states(pbx) == [("301", "available"), ("301", "offline"), ("301", "available")]


def test_a_list_of_queues_says_who_left_while_nobody_listened() -> None:
    pbx = Pbx()
    member(pbx, "QueueMemberAdded", "sales")
    member(pbx, "QueueMemberAdded", "vip")
    pbx.emit("QueueMember", Queue="sales", Name="Anna", Location="PJSIP/101", Paused="1", PausedReason="lunch")
    pbx.emit("QueueStatusComplete", EventList="Complete", ListItems="1")
    assert states(pbx) == [("101", "available"), ("101", "paused")]
    member(pbx, "QueueMemberRemoved", "sales")
    assert states(pbx)[-1] == ("101", "offline")


def test_a_list_of_queues_at_the_start_is_no_change() -> None:
    pbx = Pbx()
    pbx.emit("QueueMember", Queue="sales", Name="Anna", Location="PJSIP/101", Paused="0")
    pbx.emit("QueueMember", Queue="vip", Name="Anna", Location="PJSIP/101", Paused="0")
    pbx.emit("QueueStatusComplete", EventList="Complete", ListItems="2")
    member(pbx, "QueueMemberRemoved", "vip")
    assert states(pbx) == []
