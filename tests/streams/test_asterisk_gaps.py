"""Gaps of the link, made on a small PBX."""

from __future__ import annotations

from streams.contract.events import CallEnded
from tests.streams.asterisk_pbx import CUSTOMER, LEAD, TRUNK, Pbx, ends, played, queue_call, talking
from tests.streams.asterisk_sessions import assert_sound, brief, is_idle, translator_of


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
    translator = translator_of()
    events = pbx.play(translator, joined)
    assert is_idle(translator)
    assert_sound(events)
    leg = ends(events)["101"]
    assert (leg.direction, leg.disposition, leg.lead) == ("inbound", "answered", LEAD)
    assert (leg.started_at, leg.talk_ms) == (1_700_000_000_000, 40_000)


def test_what_lived_through_a_gap_ends_uncertain_and_what_began_after_it_does_not() -> None:
    pbx = Pbx()
    known = talking(pbx)  # 101
    ringing = pbx.caller(TRUNK, "0201234567", "+31611111111")
    rung = pbx.ring(ringing, "PJSIP/102")
    translator = translator_of()
    pbx.play(translator)
    since = len(pbx.events)
    pbx.answer(ringing, rung)
    new = pbx.caller(TRUNK, "0201234567", "+31622222222")
    phone = pbx.ring(new, "PJSIP/103")
    pbx.answer(new, phone)
    pbx.wait(60)
    del pbx.events[since:]  # no listener
    translator.begin_connection()
    pbx.listing(*known, ringing, rung, new, phone)
    late = pbx.caller(TRUNK, "0201234567", "+31633333333")
    other = pbx.ring(late, "PJSIP/104")
    pbx.answer(late, other)
    pbx.wait(40)
    for call in ((late, other), (ringing, rung), known, (new, phone)):
        pbx.hangup(*call)
    found = ends(pbx.play(translator, since))
    assert is_idle(translator)
    assert {name: (leg.uncertain is True, leg.talk_ms, leg.ended_by) for name, leg in found.items()} == {
        "101": (True, 130_000, "hangup"),
        "102": (True, 40_000, "hangup"),
        "103": (True, 40_000, "hangup"),
        "104": (False, 40_000, "hangup"),
    }
    for leg in found.values():
        assert (":uncertain:" in leg.id) is (leg.uncertain is True)  # the id of the exact end stays free


def test_a_manager_who_lived_through_a_gap_is_certain_again_with_the_next_call() -> None:
    pbx = Pbx()
    translator = translator_of()
    customer, phone = talking(pbx)
    pbx.play(translator)
    since = len(pbx.events)
    translator.begin_connection()
    pbx.listing(customer, phone)
    second = pbx.caller("PJSIP/101", "+31644444444", "101")
    far = pbx.ring(second, TRUNK)
    pbx.answer(second, far)
    pbx.wait(5)
    pbx.hangup(customer, phone)
    pbx.hangup(second, far)
    found = [event for event in pbx.play(translator, since) if isinstance(event, CallEnded)]
    assert [event.uncertain is True for event in found] == [True, False]


def test_an_outbound_call_that_was_ringing_before_the_first_event_is_taken_up() -> None:
    pbx = Pbx()
    phone = pbx.caller("PJSIP/101", CUSTOMER, "101")
    far = pbx.ring(phone, TRUNK)
    joined = len(pbx.events)
    pbx.listing(phone, far, application="Dial")
    pbx.answer(phone, far)
    pbx.wait(10)
    pbx.hangup(far, phone)
    translator = translator_of()
    events = pbx.play(translator, joined)
    assert is_idle(translator)
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
    events = pbx.play(translator_of(), joined)
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
    translator = translator_of()
    events = pbx.play(translator, joined)
    assert is_idle(translator)
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
    leg = ends(pbx.play(translator_of(), joined))["101"]
    assert (leg.direction, leg.disposition, leg.lead) == ("outbound", "no_answer", LEAD)


def test_a_dial_whose_beginning_was_not_seen_is_taken_up_at_its_end() -> None:
    pbx = Pbx()
    phone = pbx.caller("PJSIP/101", CUSTOMER, "101")
    far = pbx.ring(phone, TRUNK)
    joined = len(pbx.events)
    pbx.end_dial(phone, far, "BUSY")
    pbx.hangup(far, phone, cause=17)
    assert [line.partition(" ")[2] for line in brief(pbx.play(translator_of(), joined))] == ["101 outbound busy lead"]


def test_a_gap_while_it_rings_closes_the_leg_as_not_answered() -> None:
    pbx = Pbx()
    customer = pbx.caller(TRUNK, "0201234567", CUSTOMER)
    pbx.ring(customer, "PJSIP/101")
    translator = translator_of()
    pbx.play(translator)
    leg = ends(translator.finish(int(pbx.now * 1000)))["101"]
    assert (leg.disposition, leg.ended_by, leg.talk_ms) == ("no_answer", "timeout", 0)


def test_a_gap_while_a_transfer_rings_says_whom_it_rang() -> None:
    pbx = Pbx()
    customer, phone = talking(pbx)
    pbx.blind(phone, customer, "102")
    pbx.ring(customer, "PJSIP/102")
    translator = translator_of()
    pbx.play(translator)
    assert [line.partition(" ")[2] for line in brief(translator.finish(int(pbx.now * 1000)))] == [
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
    translator = translator_of()
    events = pbx.play(translator, joined)
    assert is_idle(translator)
    assert_sound(events)
    assert [line.partition(" ")[2] for line in brief(events)] == ["101 inbound answered lead"]


def test_a_call_that_ended_in_a_gap_is_closed_by_the_list_and_one_that_goes_on_is_not() -> None:
    pbx = Pbx()
    gone = talking(pbx)
    customer = pbx.caller(TRUNK, "0201234567", "+31611111111")
    phone = pbx.ring(customer, "PJSIP/102")
    pbx.answer(customer, phone)
    translator = translator_of()
    events = pbx.play(translator)
    pbx.wait(60)
    since = len(pbx.events)
    pbx.listing(customer, phone)
    events += pbx.play(translator, since)
    assert brief(events) == [f"{gone[0].uid.rpartition('.')[2]} 101 inbound answered lead (timeout)"]
    pbx.wait(20)
    since = len(pbx.events)
    pbx.hangup(customer, phone)
    events += pbx.play(translator, since)
    assert is_idle(translator)
    assert_sound(events)
    assert ends(events)["102"].talk_ms == 80_000


def test_an_empty_list_closes_everything() -> None:
    pbx = Pbx()
    talking(pbx)
    pbx.listing()
    translator = translator_of()
    assert [line.partition(" ")[2] for line in brief(pbx.play(translator))] == ["101 inbound answered lead (timeout)"]
    assert is_idle(translator)


def test_a_gap_closes_open_legs_as_not_seen_and_the_real_end_comes_later_under_the_same_call() -> None:
    pbx = Pbx()
    customer, phone = talking(pbx)
    translator = translator_of()
    events = pbx.play(translator)
    events += translator.finish(int(pbx.now * 1000))
    assert is_idle(translator)
    first = ends(events)["101"]
    assert first.ended_by == "timeout"
    since = len(pbx.events)
    pbx.wait(30)
    pbx.listing(customer, phone)
    pbx.wait(30)
    pbx.hangup(customer, phone)
    second = ends(pbx.play(translator, since))["101"]
    assert (second.call, second.manager, second.ended_by) == (first.call, first.manager, "hangup")
    assert second.id != first.id


def test_a_pbx_that_shuts_down_closes_everything() -> None:
    pbx = Pbx()
    talking(pbx)
    pbx.emit("Shutdown", Shutdown="Cleanly", Restart="False")
    translator = translator_of()
    assert len(ends(pbx.play(translator))) == 1
    assert is_idle(translator)


def test_header_names_may_be_written_in_any_case() -> None:
    pbx = Pbx()
    customer, phone = talking(pbx)
    pbx.hangup(customer, phone)
    translator = translator_of()
    lower = [{key.lower(): value for key, value in event.items()} for event in pbx.events]
    assert [found for event in lower for found in translator.feed(event, 0)] == played(pbx)


def test_an_id_that_was_set_by_hand_is_not_published() -> None:
    pbx = Pbx()
    customer, phone = talking(pbx)
    pbx.hangup(customer, phone)
    renamed = [
        {key: value.replace(customer.uid, "call-0612345678") for key, value in event.items()} for event in pbx.events
    ]
    translator = translator_of()
    events = [found for event in renamed for found in translator.feed(event, 0)]
    assert events
    assert "0612345678" not in str(events)
