"""Transfers, made on a small PBX: blind, attended, and in every order of events."""

from __future__ import annotations

from typing import Any

import pytest

from streams.contract.events import CallEnded, CallTransferred
from tests.streams.asterisk_pbx import LEAD, TRUNK, Pbx, ends, played, talking
from tests.streams.asterisk_sessions import brief


# -- blind transfers
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


def consulting_by_feature_code(pbx: Pbx, phone: Any) -> tuple[Any, Any, Any]:
    """Let 101 dial 102 by Asterisk's transfer feature, while the customer waits in the bridge of the two."""
    one, two = pbx.local("102@internal", phone)
    pbx.enter(one, "consultation")
    pbx.leave(phone)
    pbx.enter(phone, "consultation")
    target = pbx.ring(two, "PJSIP/102")
    pbx.wait(2)
    return one, two, target


def test_a_consultation_by_feature_code_has_no_lead_until_the_customer_takes_part() -> None:
    pbx = Pbx()
    customer, phone = talking(pbx)[:2]
    one, two, target = consulting_by_feature_code(pbx, phone)
    pbx.answer(two, target, "answered")
    pbx.wait(3)
    pbx.hangup(target, two, one)
    pbx.hangup(customer, phone)
    found = ends(played(pbx))
    assert (found["102"].lead, found["102"].talk_ms, found["101"].lead) == (None, 3_000, LEAD)


def test_a_blonde_transfer_by_feature_code_went_to_the_one_who_answers() -> None:
    pbx = Pbx()
    customer, phone = talking(pbx)[:2]
    one, two, target = consulting_by_feature_code(pbx, phone)
    pbx.leave(phone)
    pbx.leave(one)
    pbx.enter(one, customer.bridge)
    pbx.attended(phone, phone, "Bridge", transferee=customer, target=one)
    pbx.hangup(phone)
    pbx.wait(4)
    pbx.answer(two, target, "answered")
    pbx.wait(9)
    pbx.hangup(customer, one, two, target)
    events = played(pbx)
    transfers = [(e.manager, e.to_manager, e.how) for e in events if isinstance(e, CallTransferred)]
    assert transfers == [("101", "102", "blind")]
    assert (ends(events)["102"].lead, ends(events)["102"].talk_ms) == (LEAD, 9_000)
