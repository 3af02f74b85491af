"""A listener that was restarted: its stored events and the list of channels give the same legs."""

from __future__ import annotations

from msgspec import UNSET
from msgspec.structs import replace

from streams.contract.events import CallEnded, CallStarted, Event, ManagerPresence
from streams.sources.asterisk import Asterisk
from tests.streams.asterisk_pbx import CUSTOMER, LEAD, TRUNK, Ch, Pbx, ends, queue_call, talking
from tests.streams.asterisk_sessions import brief, is_idle, translator_of


def restarted(stored: list[Event]) -> Asterisk:
    """A new translator with the events that an earlier one stored."""
    translator = translator_of()
    translator.recall(stored)
    return translator


def listed(pbx: Pbx, translator: Asterisk, *channels: Ch, application: str = "AppDial") -> list[Event]:
    since = len(pbx.events)
    pbx.listing(*channels, application=application)
    return pbx.play(translator, since)


def test_a_call_in_progress_goes_on_with_all_its_talk_and_nothing_is_written_twice() -> None:
    pbx = Pbx()
    customer, phone = talking(pbx)
    stored = pbx.play(translator_of())
    pbx.wait(15)
    translator = restarted(stored)
    assert listed(pbx, translator, customer, phone) == []
    pbx.wait(20)
    since = len(pbx.events)
    pbx.hangup(customer, phone)
    events = pbx.play(translator, since)
    assert is_idle(translator)
    (leg,) = [event for event in events if isinstance(event, CallEnded)]
    assert (leg.manager, leg.talk_ms, leg.lead, leg.ended_by) == ("101", 65_000, LEAD, "hangup")
    assert (leg.started_at, leg.answered_at) == (ends_of_whole(pbx)["101"].started_at, stored[-1].at)
    assert sure(leg) == ends_of_whole(pbx)["101"]


def sure(end: CallEnded) -> CallEnded:
    """Return an uncertain end as a certain one: it is uncertain only because of a gap."""
    assert end.uncertain is True
    assert ":uncertain:" in end.id
    return replace(end, uncertain=UNSET, id=end.id.replace(":uncertain:", ":ended:"))


def ends_of_whole(pbx: Pbx) -> dict[str, CallEnded]:
    """The ends of the same session for a listener without a gap."""
    return ends(pbx.play(translator_of()))


def test_an_outbound_call_that_rings_goes_on_and_is_answered_once() -> None:
    pbx = Pbx()
    phone = pbx.caller("PJSIP/101", CUSTOMER, "101")
    far = pbx.ring(phone, TRUNK)
    stored = pbx.play(translator_of())
    pbx.wait(5)
    translator = restarted(stored)
    assert listed(pbx, translator, phone, far, application="Dial") == []
    since = len(pbx.events)
    pbx.answer(phone, far)
    pbx.wait(10)
    pbx.hangup(far, phone)
    events = stored + pbx.play(translator, since)
    assert brief(events) == brief(pbx.play(translator_of()))
    assert sure(ends(events)["101"]) == ends_of_whole(pbx)["101"]


def test_an_inbound_call_that_rings_goes_on() -> None:
    pbx = Pbx()
    customer = queue_call(pbx)
    phone = pbx.ring(customer, "PJSIP/101")
    stored = pbx.play(translator_of())
    translator = restarted(stored)
    assert listed(pbx, translator, customer, phone, application="Queue") == []
    since = len(pbx.events)
    pbx.answer(customer, phone)
    pbx.wait(10)
    pbx.hangup(customer, phone)
    *events, end = stored + pbx.play(translator, since)
    assert isinstance(end, CallEnded)
    assert [*events, sure(end)] == pbx.play(translator_of())


def test_a_leg_whose_channels_are_gone_ends_by_timeout_under_an_id_of_its_own() -> None:
    pbx = Pbx()
    talking(pbx)
    stored = pbx.play(translator_of())
    pbx.wait(20)
    (end,) = listed(pbx, restarted(stored))
    assert isinstance(end, CallEnded)
    assert (end.ended_by, end.disposition, end.talk_ms, end.lead) == ("timeout", "answered", 50_000, LEAD)
    assert end.id not in {event.id for event in stored}
    assert end.id.endswith(":timeout:1")


def test_a_leg_that_ended_before_the_start_stays_ended() -> None:
    pbx = Pbx()
    customer, phone = talking(pbx)
    pbx.hangup(customer, phone)
    assert listed(pbx, restarted(pbx.play(translator_of()))) == []


def test_nothing_ends_before_the_list_is_complete() -> None:
    pbx = Pbx()
    customer, phone = talking(pbx)
    stored = pbx.play(translator_of())
    translator = restarted(stored)
    since = len(pbx.events)
    other = pbx.caller(TRUNK, "0201234567", "+31611111111")
    pbx.listing(customer, phone, other)
    events = pbx.play(translator, since)
    assert [event for event in events if isinstance(event, CallEnded)] == []


def test_a_hangup_before_the_list_is_that_of_the_leg_that_is_remembered() -> None:
    """The events of the new connection may come before the answer to the question for the list."""
    pbx = Pbx()
    customer, phone = talking(pbx)
    translator = restarted(pbx.play(translator_of()))
    since = len(pbx.events)
    pbx.hangup(customer, phone)
    pbx.listing()
    (end,) = pbx.play(translator, since)
    assert isinstance(end, CallEnded)
    assert (end.manager, end.disposition, end.talk_ms) == ("101", "answered", 30_000)


def test_ids_go_on_where_they_ended() -> None:
    """A leg that begins again after the start must not have the ids of the leg before."""
    pbx = Pbx()
    customer = queue_call(pbx)
    phone = pbx.ring(customer, "PJSIP/101")
    pbx.end_dial(customer, phone, "NOANSWER")
    pbx.hangup(phone)
    pbx.wait(5)
    stored = pbx.play(translator_of())
    translator = restarted(stored)
    stored = stored + listed(pbx, translator, customer, application="Queue")
    since = len(pbx.events)
    again = pbx.ring(customer, "PJSIP/101")
    pbx.answer(customer, again)
    pbx.hangup(customer, again)
    events = stored + pbx.play(translator, since)
    assert len({event.id for event in events}) == len(events)
    assert brief(events) == brief(pbx.play(translator_of()))


def test_a_caller_who_had_talked_before_the_start_is_not_missed() -> None:
    pbx = Pbx()
    customer, phone = talking(pbx)
    stored = pbx.play(translator_of())
    pbx.blind(phone, customer, "700")
    translator = restarted(stored)
    found = listed(pbx, translator, customer, application="Queue")
    since = len(pbx.events)
    pbx.hangup(customer)
    found += pbx.play(translator, since)
    assert not [event for event in found if isinstance(event, CallStarted)]


def test_a_queue_that_a_caller_waits_in_is_known_from_its_list() -> None:
    pbx = Pbx()
    customer = queue_call(pbx)
    translator = restarted([])
    listed(pbx, translator, customer, application="Queue")
    since = len(pbx.events)
    pbx.emit("QueueEntry", Queue="sales", Position="1", Channel=customer.name, Uniqueid=customer.uid)
    pbx.hangup(customer)
    assert [line.partition(" ")[2] for line in brief(pbx.play(translator, since))] == [
        "queue:sales inbound no_answer lead"
    ]


def test_a_presence_that_changed_meanwhile_is_written() -> None:
    def member(paused: str) -> dict[str, str]:
        return {"Event": "QueueMember", "Queue": "sales", "Name": "101", "Location": "PJSIP/101", "Paused": paused}

    translator = translator_of()
    stored = translator.feed({**member("1"), "Event": "QueueMemberPause", "Interface": "PJSIP/101"}, 1_700_000_000_000)
    assert [event.state for event in stored if isinstance(event, ManagerPresence)] == ["paused"]
    same, other = restarted(stored), restarted(stored)
    assert same.feed(member("1"), 1_700_000_060_000) == []
    (event,) = other.feed(member("0"), 1_700_000_060_000)
    assert isinstance(event, ManagerPresence)
    assert event.state == "available"


def test_events_of_other_sources_and_ids_of_other_forms_are_left_out() -> None:
    pbx = Pbx()
    talking(pbx)
    stored = pbx.play(translator_of(source="other"))
    assert listed(pbx, restarted(stored)) == []
