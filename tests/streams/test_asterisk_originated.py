"""Calls that the PBX itself places, made on a small PBX."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from streams.contract.events import CallEnded
from streams.phone_numbers import lead_key
from tests.streams.asterisk_pbx import CUSTOMER, LEAD, TRUNK, Ch, Pbx, ends, played, talking
from tests.streams.asterisk_sessions import SECRET, brief


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
    # "Call me now" on a web page, or a dialler that hands answered calls over.
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


# -- agents who stay connected


def pool(pbx: Pbx, agent: Ch, number: str, seconds: int) -> None:
    """Give a caller of a queue to an agent of an agent pool, who goes back to the pool after the talk."""
    customer = pbx.caller(TRUNK, "0201234567", number)
    pbx.emit("QueueCallerJoin", customer.fields(), Queue="front")
    one, two = pbx.local("301@agentring", customer)
    pbx.dial(customer, one)
    pbx.leave(agent)
    pbx.wait(3)
    pbx.enter(two, f"agent-{number}")
    pbx.enter(agent, f"agent-{number}")
    pbx.end_dial(customer, one, "ANSWER")
    pbx.enter(one, f"queue-{number}")
    pbx.enter(customer, f"queue-{number}")
    pbx.wait(seconds)
    pbx.hangup(customer, one, two)
    pbx.leave(agent)
    pbx.hold(agent)
    pbx.wait(60)


def conference(pbx: Pbx, _agent: Ch, number: str, seconds: int) -> None:
    """Bring a caller into the conference in which an agent waits."""
    customer = pbx.caller(TRUNK, "0201234567", number)
    pbx.enter(customer, "conference")
    pbx.wait(seconds)
    pbx.hangup(customer)
    pbx.wait(60)


@pytest.mark.parametrize("give", [pool, conference])
def test_each_customer_of_an_agent_who_stays_connected_is_a_call_of_its_own(
    give: Callable[[Pbx, Ch, str, int], None],
) -> None:
    pbx = Pbx()
    agent = pbx.caller("PJSIP/301", "902", "301")
    if give is pool:
        pbx.hold(agent)
    else:
        pbx.enter(agent, "conference", technology="softmix")
    pbx.wait(100)
    numbers = ("+31612345601", "+31612345602", "+31612345603")
    for number in numbers:
        give(pbx, agent, number, 120)
    pbx.hangup(agent)
    legs = [event for event in played(pbx) if isinstance(event, CallEnded)]
    assert [(leg.manager, leg.lead, leg.talk_ms) for leg in legs] == [
        ("301", lead_key(number, SECRET), 120_000) for number in numbers
    ]
    assert len({leg.call for leg in legs}) == 3
    assert all(leg.at - (leg.answered_at or 0) == 120_000 for leg in legs)


def test_a_customer_whom_a_dialler_calls_before_a_manager_is_free_is_an_outbound_call() -> None:
    pbx = Pbx()
    customer = pbx.channel(TRUNK, num=CUSTOMER)
    pbx.dial(None, customer, f"{CUSTOMER}@provider-trunk")
    pbx.wait(6)
    pbx.state(customer, 6)
    pbx.end_dial(None, customer, "ANSWER")
    pbx.emit("QueueCallerJoin", customer.fields(), Queue="outbound")
    phone = pbx.ring(customer, "PJSIP/101")
    pbx.answer(customer, phone)
    pbx.wait(30)
    pbx.hangup(phone, customer)
    leg = ends(played(pbx))["101"]
    assert (leg.direction, leg.disposition, leg.lead) == ("outbound", "answered", LEAD)


def test_a_call_that_the_pbx_places_between_two_outside_parties_is_an_outbound_call_of_the_outside_manager() -> None:
    pbx = Pbx()
    agent = pbx.channel(TRUNK, num="+31611111111")
    pbx.dial(None, agent, "+31611111111@provider-trunk")
    pbx.state(agent, 5)
    pbx.wait(3)
    pbx.state(agent, 6)
    pbx.end_dial(None, agent, "ANSWER")
    agent.exten = CUSTOMER
    far = pbx.ring(agent, TRUNK, num=CUSTOMER, dial_string=f"{CUSTOMER}@provider-trunk")
    pbx.wait(5)
    pbx.answer(agent, far)
    pbx.wait(40)
    pbx.hangup(far, agent)
    legs = [event for event in played(pbx) if isinstance(event, CallEnded)]
    assert [(leg.manager, leg.direction, leg.disposition, leg.lead, leg.talk_ms) for leg in legs] == [
        ("outside", "outbound", "answered", LEAD, 40_000)
    ]


def test_the_telephones_of_a_page_are_called() -> None:
    pbx = Pbx()
    pager = pbx.caller("PJSIP/101", "400", "101")
    phones = [pbx.channel(f"PJSIP/{number}", parent=pager, num=number) for number in ("102", "103")]
    for phone in phones:
        pbx.dial(None, phone, "x")
        pbx.state(phone, 6)
        pbx.end_dial(None, phone, "ANSWER")
        pbx.enter(phone, "page", technology="softmix")
    pbx.enter(pager, "page", technology="softmix")
    pbx.wait(4)
    pbx.hangup(pager, *phones)
    found = ends(played(pbx))
    assert {manager: leg.direction for manager, leg in found.items()} == {
        "101": "outbound",
        "102": "inbound",
        "103": "inbound",
    }
