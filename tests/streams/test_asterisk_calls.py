"""Calls that are in no recording, made on a small PBX: their legs."""

from __future__ import annotations

import pytest

from streams.contract.events import CallAnswered, CallEnded, CallStarted
from streams.sources.asterisk import Rule
from tests.streams.asterisk_pbx import CUSTOMER, LEAD, TRUNK, Pbx, ends, played
from tests.streams.asterisk_sessions import brief, translator_of


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
    translator = translator_of()
    events = [found for event in pbx.events for found in translator.feed(event, 1_800_000_000_123)]
    assert events[0].at == 1_800_000_000_123


@pytest.mark.parametrize("stamp", ["", "soon", "nan", "inf", "-1", "0", "1e400", "17000000000000"])
def test_a_timestamp_that_cannot_be_is_passed_over(stamp: str) -> None:
    pbx = Pbx(timestamps=False)
    customer = pbx.caller(TRUNK, "0201234567", CUSTOMER)
    pbx.ring(customer, "PJSIP/101")
    translator = translator_of()
    events = [
        found for event in pbx.events for found in translator.feed(event | {"Timestamp": stamp}, 1_800_000_000_123)
    ]
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


# -- unanswered calls
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
    translator = translator_of()
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
        events = pbx.play(translator)
        pbx.events.clear()
        most = max(most, len(translator._conversations.by_linkedid))
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


def test_the_lead_of_a_call_that_found_no_trunk_has_no_dial_prefix() -> None:
    pbx = Pbx()
    phone = pbx.caller("PJSIP/101", f"0{CUSTOMER.removeprefix('+')}", "101")
    pbx.emit("Newexten", phone.fields(), Application="Dial", AppData=f"PJSIP/{CUSTOMER}@nowhere,40,T")
    pbx.hangup(phone, cause=34)
    leg = ends(played(pbx))["101"]
    assert (leg.disposition, leg.lead) == ("failed", LEAD)
