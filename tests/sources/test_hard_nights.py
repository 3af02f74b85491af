"""Nights on which the clocks change, calls over midnight with a restart of the gateway, and other rare cases."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from streams.contract.events import Event
from streams.settings.settings import Settings, load
from streams.sources.aircall.hook import AircallHook
from streams.sources.aircall.join import AircallJoin
from streams.sources.frame import Hook, Join, Request
from streams.sources.mango.hook import MangoHook
from streams.sources.mango.join import MangoJoin
from streams.sources.megafon.hook import MegafonHook
from streams.sources.megafon.join import MegafonJoin
from streams.sources.registry import SOURCES
from streams.sources.ringcentral.hook import RingCentralHook
from streams.sources.ringcentral.join import RingCentralJoin
from streams.sources.zadarma.hook import ZadarmaHook
from streams.sources.zadarma.join import ZadarmaJoin
from tests.sources import test_aircall, test_mango, test_megafon, test_ringcentral, test_zadarma
from tests.sources.signed import Form, aircall, mango, megafon, ringcentral, zadarma
from tests.sources.story import TOKEN, FoundLeg, Gateway, legs_of, rows_of

BERLIN = 'timezone = "Europe/Berlin"'


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


class Pbx:
    """A system, and the gateway that it posts to."""

    def __init__(self, system: str, settings: str) -> None:
        signed = {
            "aircall": aircall,
            "mango": mango,
            "zadarma": zadarma,
            "megafon": megafon,
            "ringcentral": ringcentral,
        }
        self.signed = signed[system]
        parts: dict[str, tuple[Callable[[Settings], Hook], Callable[[Settings], Join]]] = {
            "aircall": (AircallHook, AircallJoin),
            "mango": (MangoHook, MangoJoin),
            "ringcentral": (RingCentralHook, RingCentralJoin),
            "zadarma": (ZadarmaHook, ZadarmaJoin),
            "megafon": (MegafonHook, MegafonJoin),
        }
        self.gateway = Gateway(system, load(settings, {}, SOURCES), *parts[system])
        self.events: list[Event] = []
        self.reasons: list[str] = []

    def post(self, moment: str, form: Form, path: str = "") -> None:
        body, headers = self.signed(form)
        url = f"https://callpulse.example/hooks/x/{TOKEN}{path}"
        request = Request(method="POST", url=url, query="", headers=headers, body=body, received_at_ms=at(moment))
        result = self.gateway.deliver(request)
        assert result is not None
        self.events += result.events
        self.reasons += [one.reason for one in result.refused]

    def restart(self) -> None:
        self.gateway = self.gateway.restarted()

    def leg(self, call: str, manager: str) -> FoundLeg:
        self.events += self.gateway.joined(2**42).events
        return legs_of(self.events)[call, manager]


def out(event: str, begun: str, **more: str) -> Form:
    form = {
        "event": event,
        "call_start": begun,
        "pbx_call_id": "out_1",
        "caller_id": "493012345678",
        "destination": "4930123450",
        "internal": "201",
    }
    return form | more


@pytest.mark.parametrize(
    ("begin", "end", "begun"),
    [
        ("2026-10-25T00:30:01", "2026-10-25T00:40:00", "2026-10-25T00:30:00"),  # summer time
        ("2026-10-25T01:30:01", "2026-10-25T01:40:00", "2026-10-25T01:30:00"),  # an hour later, the same local time
        ("2026-10-25T00:30:01", "2026-10-25T01:45:00", "2026-10-25T00:30:00"),  # ends behind the second such time
    ],
)
@pytest.mark.parametrize("has_start", [True, False])
def test_the_receipt_says_which_of_two_equal_local_times_a_call_began_at(
    begin: str, end: str, begun: str, *, has_start: bool
) -> None:
    pbx = Pbx("zadarma", test_zadarma.SETTINGS.replace('timezone = "Europe/Moscow"', BERLIN))
    if has_start:
        pbx.post(begin, out("NOTIFY_OUT_START", "2026-10-25 02:30:00"))
        pbx.restart()
    seconds = (at(end) - at(begin)) // 1000
    pbx.post(end, out("NOTIFY_OUT_END", "2026-10-25 02:30:00", duration=str(seconds - 10), disposition="answered"))
    leg = pbx.leg("out_1", "vera.lisina")
    assert (leg.ended, leg.talk_ms) == (at(end), (seconds - 10) * 1000)
    assert leg.started == at(begun)


def test_a_local_time_that_never_was_is_refused_and_harms_nothing() -> None:
    pbx = Pbx("zadarma", test_zadarma.SETTINGS.replace('timezone = "Europe/Moscow"', BERLIN))
    pbx.post("2026-03-29T01:30:00", out("NOTIFY_OUT_START", "2026-03-29 02:30:00"))
    assert (pbx.reasons, pbx.events) == (["invalid_time"], [])


@pytest.mark.parametrize(("heard", "start"), [("00:41:00", "00:30:00"), ("01:41:00", "01:30:00")])
def test_a_pbx_with_local_times_is_read_in_its_zone_also_in_the_hour_that_comes_twice(heard: str, start: str) -> None:
    pbx = Pbx("megafon", test_megafon.SETTINGS + BERLIN)
    form = {
        "cmd": "history",
        "type": "out",
        "status": "Success",
        "phone": "+4930123450",
        "user": "vera",
        "start": "20261025T023000Z",
        "duration": "600",
        "wait": "10",
        "callid": "77",
    }
    pbx.post(f"2026-10-25T{heard}", form)
    leg = pbx.leg("77", "vera.lisina")
    assert (leg.started, leg.ended) == (at(f"2026-10-25T{start}"), at(f"2026-10-25T{start}") + 610_000)


def aircall_call(event: str, moment: str, begun: str, **moments: str) -> Form:
    form: Form = {"id": 7, "direction": "outbound", "user": {"id": 795718}, "raw_digits": "+7 495 000-01-01"}
    form |= {"event": f"call.{event}", "timestamp": at(moment) // 1000, "started_at": at(begun) // 1000}
    return form | {name: at(text) // 1000 for name, text in moments.items()}


NIGHTS = pytest.mark.parametrize(
    ("begun", "answered", "ended"),
    [
        ("2026-10-25T00:30:00", "2026-10-25T00:30:10", "2026-10-25T01:45:00"),  # over the hour that comes twice
        ("2026-03-29T00:30:00", "2026-03-29T00:30:10", "2026-03-29T01:45:00"),  # over the hour that is left out
        ("2026-11-17T20:58:00", "2026-11-17T20:58:10", "2026-11-17T21:03:10"),  # over midnight
    ],
)


@NIGHTS
def test_a_call_of_aircall_goes_on_over_the_night_and_over_restarts(begun: str, answered: str, ended: str) -> None:
    pbx = Pbx("aircall", test_aircall.SETTINGS.replace('privacy.region = "RU"', f'privacy.region = "RU"\n{BERLIN}'))
    pbx.post(begun, aircall_call("created", begun, begun))
    pbx.restart()
    pbx.post(answered, aircall_call("answered", answered, begun, answered_at=answered))
    pbx.restart()
    over = aircall_call("ended", ended, begun, answered_at=answered, ended_at=ended)
    pbx.post(ended, over)  # `call.hungup` never came
    pbx.restart()
    pbx.post(ended, over)
    leg = pbx.leg("7", "vera.lisina")
    assert (leg.started, leg.answered, leg.ended) == (at(begun), at(answered), at(ended))
    assert (leg.talk_ms, leg.disposition, pbx.reasons) == (at(ended) - at(answered), "answered", [])


@NIGHTS
def test_a_call_of_ringcentral_goes_on_over_the_night_and_over_restarts(begun: str, answered: str, ended: str) -> None:
    pbx = Pbx(
        "ringcentral", test_ringcentral.SETTINGS.replace('privacy.region = "RU"', f'privacy.region = "RU"\n{BERLIN}')
    )
    party: Form = {"telephonySessionId": "s-7", "id": "p-1", "direction": "Outbound", "extensionId": "464505208276"}
    party |= {"from": {"extensionId": "464505208276"}, "to": {"phoneNumber": "+74950000101"}}
    for sequence, moment, code in ((1, begun, "Setup"), (2, answered, "Answered"), (4, ended, "Disconnected")):
        for _ in range(2):
            pbx.post(moment, {**party, "sequence": sequence, "code": code, "timestamp": f"{moment}Z"})
            pbx.restart()
    leg = pbx.leg("s-7", "vera.lisina")
    assert (leg.started, leg.answered, leg.ended) == (at(begun), at(answered), at(ended))
    assert (leg.talk_ms, leg.disposition, pbx.reasons) == (at(ended) - at(answered), "answered", [])


def mango_state(leg: str, second: int, seq: int, state: str, **more: object) -> Form:
    form: Form = {
        "entry_id": "ZW50cnk=",
        "call_id": leg,
        "timestamp": second,
        "seq": seq,
        "call_state": state,
        "location": "abonent",
        "from": {"extension": "201", "number": "sip:1@x"},
        "to": {"number": "74950000101"},
    }
    return form | more


def test_a_call_over_midnight_goes_on_over_a_restart_of_the_gateway_and_of_the_pbx() -> None:
    pbx = Pbx("mango", test_mango.SETTINGS)
    first = at("2026-11-17T20:58:00") // 1000
    pbx.post("2026-11-17T20:58:01", mango_state("a", first, 1, "Appeared"), "/events/call")
    pbx.restart()
    pbx.post("2026-11-17T20:58:11", mango_state("a", first + 10, 2, "Connected"), "/events/call")
    pbx.restart()
    # The PBX was restarted, too: the state at the end never comes, the summary does.
    summary = {
        "entry_id": "ZW50cnk=",
        "call_direction": 2,
        "from": {"extension": "201"},
        "to": {"number": "74950000101"},
        "create_time": first,
        "forward_time": first,
        "talk_time": first + 10,
        "end_time": first + 310,
        "entry_result": 1,
    }
    pbx.post("2026-11-17T21:03:11", summary, "/events/summary")
    pbx.restart()
    pbx.post("2026-11-17T21:03:41", summary, "/events/summary")
    leg = pbx.leg("ZW50cnk=", "vera.lisina")
    assert (leg.started, leg.answered, leg.ended) == (first * 1000, first * 1000 + 10_000, first * 1000 + 310_000)
    assert (leg.talk_ms, leg.disposition, pbx.reasons) == (300_000, "answered", [])


def test_an_outbound_call_of_mango_that_is_transferred_stays_outbound() -> None:
    pbx = Pbx("mango", test_mango.SETTINGS)
    first = at("2026-11-17T10:00:00") // 1000
    pbx.post("2026-11-17T10:00:01", mango_state("a", first, 1, "Appeared"))
    pbx.post("2026-11-17T10:00:11", mango_state("a", first + 10, 2, "Connected"))
    other = {
        "from": {"number": "74950000101", "taken_from_call_id": "a"},
        "to": {"extension": "202", "number": "sip:2@x"},
        "transfer": "blind",
    }
    pbx.post("2026-11-17T10:01:00", mango_state("b", first + 60, 1, "Appeared", **other))
    pbx.post("2026-11-17T10:01:00", mango_state("a", first + 60, 3, "Disconnected", disconnect_reason=1110))
    pbx.post("2026-11-17T10:01:10", mango_state("b", first + 70, 2, "Connected", **other))
    pbx.post("2026-11-17T10:02:00", mango_state("b", first + 120, 3, "Disconnected", disconnect_reason=1110, **other))
    one, two = pbx.leg("ZW50cnk=", "vera.lisina"), pbx.leg("ZW50cnk=", "gleb.ostrov")
    assert (one.talk_ms, one.transfers) == (50_000, (("gleb.ostrov", "blind"),))
    assert (two.talk_ms, two.direction, two.lead) == (50_000, "outbound", one.lead)


@pytest.mark.parametrize(("ahead", "reasons"), [("", ["future"]), ('clock_ahead = "3h"', [])])
def test_a_clock_that_is_hours_ahead_is_refused_until_it_is_set(ahead: str, reasons: list[str]) -> None:
    pbx = Pbx("mango", test_mango.SETTINGS + ahead)
    second = at("2026-11-17T13:00:00") // 1000
    pbx.post("2026-11-17T10:00:01", mango_state("a", second, 1, "Appeared"))
    assert pbx.reasons == reasons
    if not reasons:
        assert pbx.leg("ZW50cnk=", "vera.lisina").started == at("2026-11-17T10:00:00")


def test_a_short_call_of_megafon_whose_states_are_received_behind_its_end_is_over() -> None:
    pbx = Pbx("megafon", test_megafon.SETTINGS)
    common = {"phone": "+74950000101", "user": "vera", "ext": "201", "callid": "9"}
    pbx.post("2026-11-17T10:00:02.400", {"cmd": "event", "type": "OUTGOING", "direction": "out", **common})
    record = {"cmd": "history", "type": "out", "status": "Cancel", "start": "20261117T100001Z", "wait": "1", **common}
    pbx.post("2026-11-17T10:00:03", record)
    leg = pbx.leg("9", "vera.lisina")
    assert (leg.disposition, leg.talk_ms, leg.started) == ("canceled", 0, at("2026-11-17T10:00:01"))
    assert rows_of(pbx.events)["vera.lisina"].live.open == {}


def test_an_inbound_call_of_zadarma_that_only_its_menu_answered_is_missed_after_a_moment() -> None:
    pbx = Pbx("zadarma", test_zadarma.SETTINGS)
    form = {
        "event": "NOTIFY_END",
        "call_start": "2026-11-17 13:00:00",
        "pbx_call_id": "in_1",
        "caller_id": "74950000101",
        "called_did": "74950001100",
        "duration": "30",
        "disposition": "answered",
    }
    pbx.post("2026-11-17T10:00:40", form)
    assert pbx.events == []
    assert pbx.leg("in_1", "queue:inbound").disposition == "no_answer"


def test_an_inbound_call_of_megafon_that_a_manager_refused_is_busy_once_its_record_says_so() -> None:
    pbx = Pbx("megafon", test_megafon.SETTINGS)
    common = {"phone": "+74950000101", "user": "vera", "ext": "201", "callid": "9"}
    pbx.post("2026-11-17T10:00:01", {"cmd": "event", "type": "INCOMING", "direction": "in", **common})
    pbx.post("2026-11-17T10:00:05", {"cmd": "event", "type": "CANCELLED", "direction": "in", **common})
    assert pbx.leg("9", "vera.lisina").disposition == "no_answer"
    record = {"cmd": "history", "type": "in", "status": "Busy", "start": "20261117T100001Z", "wait": "4", **common}
    pbx.post("2026-11-17T10:00:06", record)
    leg = pbx.leg("9", "vera.lisina")
    assert (leg.disposition, leg.talk_ms, leg.ended_by) == ("busy", 0, "hangup")
