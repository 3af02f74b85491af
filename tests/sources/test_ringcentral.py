"""RingCentral: the story of a day, in every order, the handshake, and inputs that are wrong."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.contract.events import CallEnded, Event
from streams.settings.access import hashed
from streams.settings.settings import Settings, load
from streams.sources.frame import Request
from streams.sources.registry import SOURCES
from streams.sources.ringcentral.hook import RingCentralHook
from streams.sources.ringcentral.join import RingCentralJoin
from streams.tables.manager.results import result_of
from tests.gateway.raw_http import exchange
from tests.gateway.served import serving
from tests.sources.bad import answered, index_of
from tests.sources.story import (
    FIXTURES,
    TOKEN,
    FoundLeg,
    Gateway,
    HookStory,
    keys_of,
    legs_of,
    roster,
    rows_of,
)

VERA, GLEB, RIMMA = "vera.lisina", "gleb.ostrov", "rimma.zueva"
IDS: Final = {VERA: "464505208276", GLEB: "449490196395", RIMMA: "456821511728"}
QUEUE: Final = "400600"
CUSTOMER: Final = {"phoneNumber": "+74950000101"}
CALL: Final = "s-1"
START_MS: Final = 1_794_906_000_000


def settings_text(token: str, more: str = "") -> str:
    return (
        roster("ringcentral")
        + f"""
[sources.ringcentral]
tokens = ["{hashed(TOKEN)}"]
verification_token = "{token}"
{more}
"""
    )


SETTINGS = settings_text(keys_of("ringcentral")["validation_token"])
STORY = HookStory("ringcentral", load(SETTINGS, {}, SOURCES), RingCentralHook, RingCentralJoin)


def test_the_story_comes_out_as_it_happened() -> None:
    STORY.assert_as_expected()


def test_no_order_repeat_or_restart_changes_a_leg() -> None:
    for order in (*STORY.orders(5), [*STORY.deliveries, *STORY.deliveries]):
        assert STORY.differences(STORY.play(order)) == []
    for order in (STORY.deliveries, next(STORY.orders())):
        assert STORY.differences(STORY.play(order, restarts=True)) == []


REASONS = {
    "27-nan.http": "not_json",
    "28-number-1e400.http": "invalid_field",
    "30-nested-1000-deep.http": "not_json",  # it is no object
}


async def test_a_wrong_input_gets_its_answer_and_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = settings_text(index_of("ringcentral")["keys"]["validation_token"])
    assert await answered("ringcentral", wrong, RingCentralHook, RingCentralJoin, reasons=REASONS) == []
    assert "4950000101" not in caplog.text


async def test_the_handshake_is_answered_with_its_token_and_little_else() -> None:
    data = (FIXTURES / "storyA/ringcentral/deliveries-setup/001-validation.http").read_bytes()
    path = keys_of("ringcentral")["path"].encode()
    data = data.replace(path, f"/hooks/ringcentral/{TOKEN}".encode(), 1)
    async with serving(SETTINGS, hooks={"ringcentral": RingCentralHook}) as served:
        answer = await exchange(served.url, data)
        assert answer.status == 200
        assert answer.headers["Validation-Token"] == keys_of("ringcentral")["validation_token"]
        assert len(answer.body) + sum(len(name) + len(value) + 4 for name, value in answer.headers.items()) < 1024
        assert (served.sink.statements, served.sink.refused) == ([], [])


@pytest.mark.parametrize(("header", "is_taken"), [("verification-token", True), ("x-token", False)])
def test_the_token_may_come_in_the_newer_header(header: str, *, is_taken: bool) -> None:
    request = STORY.deliveries[0].request
    headers = {header: request.headers["validation-token"]}
    again = Request(**{name: getattr(request, name) for name in request.__struct_fields__} | {"headers": headers})
    assert RingCentralHook(STORY.settings).is_authentic(again) is is_taken


# -- sessions that are not in the story


@cache
def settings_of(more: str) -> Settings:
    return load(SETTINGS + more, {}, SOURCES)


class Session:
    """A session in the form of RingCentral. Moments are seconds from its start."""

    def __init__(self, more: str = "") -> None:
        self.gateway = Gateway("ringcentral", settings_of(more), RingCentralHook, RingCentralJoin)
        self.sequence = 0
        self.events: list[Event] = []
        self.refused: list[Any] = []

    def request(self, party: int, owner: str, code: str, second: float, **more: Any) -> Request:
        """Return the next post of RingCentral."""
        self.sequence += 1
        direction = more.pop("direction", "Inbound")
        own, other = {"extensionId": IDS.get(owner, owner)}, more.pop("other", CUSTOMER)
        sides = {"from": own, "to": other} if direction == "Outbound" else {"from": other, "to": more.pop("to", own)}
        status = {"code": code, "reason": more.pop("reason", None), "peerId": more.pop("peer", None)}
        said = {"extensionId": IDS.get(owner, owner), "id": f"p-{party}", "direction": direction, "status": status}
        at_ms = START_MS + round(second * 1000)
        timestamp = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat()
        body = {"sequence": self.sequence, "telephonySessionId": CALL, "parties": [said | sides | more]}
        return Request(
            method="POST",
            url=f"https://callpulse.example/hooks/ringcentral/{TOKEN}",
            query="",
            headers={"validation-token": keys_of("ringcentral")["validation_token"]},
            body=json.dumps({"timestamp": timestamp, "body": body}).encode(),
            received_at_ms=at_ms + 100,
        )

    def take(self, requests: Iterable[Request]) -> Session:
        for request in requests:
            result = self.gateway.deliver(request)
            assert result is not None
            self.events += result.events
            self.refused += result.refused
        return self

    def say(self, party: int, owner: str, code: str, second: float, **more: Any) -> Session:
        return self.take([self.request(party, owner, code, second, **more)])

    def counted(self) -> dict[str, Any]:
        """Return the result of the call's leg in the row of each manager."""
        self.events += self.gateway.joined(2**42).events
        found = {}
        for manager, row in rows_of(self.events).items():
            held = row.live.open.get(CALL) or row.past.get(CALL)
            result = None if held is None else result_of(held)
            found[manager] = None if result is None else result.packed()[:7]
        return found

    def legs(self) -> dict[str, FoundLeg]:
        self.events += self.gateway.joined(2**42).events
        return {manager: leg for (_, manager), leg in legs_of(self.events).items()}

    def ends(self, manager: str) -> list[CallEnded]:
        self.events += self.gateway.joined(2**42).events
        return [one for one in self.events if isinstance(one, CallEnded) and one.manager == manager]


def test_a_call_that_goes_to_voicemail_was_not_answered() -> None:
    legs = Session().say(1, VERA, "Proceeding", 0).say(1, VERA, "VoiceMail", 20).say(1, VERA, "Disconnected", 50).legs()
    assert set(legs) == {VERA}
    assert (legs[VERA].disposition, legs[VERA].talk_ms) == ("no_answer", 0)


def test_a_call_that_a_queue_missed_has_its_name() -> None:
    shown = {"primary": {"type": "QueueName", "value": "Sales line"}}
    queue = {"extensionId": QUEUE, "phoneNumber": "+74950001100"}
    said: dict[str, Any] = {"to": queue, "queueCall": True, "uiCallInfo": shown}
    session = Session().say(1, VERA, "Proceeding", 0, **said)
    session.say(1, VERA, "Disconnected", 20, missedCall=True, **said)
    assert set(session.legs()) == {VERA, "queue:Sales line"}
    named = Session(f'queues = {{ "{QUEUE}" = "sales" }}\n').say(1, QUEUE, "Setup", 0)
    named.say(1, QUEUE, "Disconnected", 30, reason="NoAnswer")
    assert set(named.legs()) == {"queue:sales"}


def test_a_queue_that_rings_at_one_telephone_after_the_other_has_missed_nothing_yet() -> None:
    session = Session().say(1, VERA, "Proceeding", 0, queueCall=True)
    session.say(1, VERA, "Disconnected", 15, queueCall=True, missedCall=True)
    session.say(2, GLEB, "Proceeding", 18, queueCall=True).say(2, GLEB, "Answered", 22, queueCall=True)
    assert set(session.say(2, GLEB, "Disconnected", 60, queueCall=True).legs()) == {VERA, GLEB}


def test_a_telephone_alone_that_rings_in_vain_is_no_queue() -> None:
    legs = Session().say(1, VERA, "Proceeding", 0).say(1, VERA, "Disconnected", 20, missedCall=True).legs()
    assert set(legs) == {VERA}


def test_a_call_between_colleagues_is_internal() -> None:
    session = Session().say(1, VERA, "Setup", 0, direction="Outbound", other={"extensionId": IDS[GLEB]})
    session.say(2, GLEB, "Proceeding", 1, other={"extensionId": IDS[VERA]})
    session.say(2, GLEB, "Answered", 5, other={"extensionId": IDS[VERA]})
    session.say(2, GLEB, "Disconnected", 30, other={"extensionId": IDS[VERA]})
    session.say(1, VERA, "Disconnected", 30, direction="Outbound", other={"extensionId": IDS[GLEB]})
    assert session.legs() == {}
    assert {one.internal for one in session.ends(VERA) + session.ends(GLEB)} == {True}


def test_an_outbound_call_that_is_transferred_stays_outbound_and_has_its_lead() -> None:
    session = (
        Session().say(1, VERA, "Setup", 0, direction="Outbound").say(1, VERA, "Answered", 10, direction="Outbound")
    )
    session.say(1, VERA, "Disconnected", 60, direction="Outbound", reason="BlindTransfer")
    session.say(2, GLEB, "Proceeding", 60.3, other={"extensionId": IDS[VERA]})
    session.say(2, GLEB, "Answered", 66, other={"extensionId": IDS[VERA]})
    session.say(2, GLEB, "Disconnected", 126, other={"extensionId": IDS[VERA]})
    legs = session.legs()
    assert legs[VERA].transfers == ((GLEB, "blind"),)
    assert (legs[VERA].talk_ms, legs[GLEB].talk_ms) == (50_000, 60_000)
    assert (legs[GLEB].direction, legs[GLEB].lead) == ("outbound", legs[VERA].lead)


@pytest.mark.parametrize(
    ("reason", "disposition"),
    [("TargetBusy", "busy"), ("Cancelled", "canceled"), ("NoAnswer", "no_answer"), ("InvalidNumber", "failed")],
)
def test_a_reason_says_how_an_outbound_call_ended(reason: str, disposition: str) -> None:
    session = Session().say(1, VERA, "Setup", 0, direction="Outbound")
    assert (
        session.say(1, VERA, "Disconnected", 9, direction="Outbound", reason=reason).legs()[VERA].disposition
        == disposition
    )


@pytest.mark.parametrize("number", ["anonymous", "", "Restricted", None])
def test_a_withheld_caller_is_no_lead(number: str | None) -> None:
    other = {"phoneNumber": number}
    session = Session().say(1, VERA, "Answered", 5, other=other).say(1, VERA, "Disconnected", 65, other=other)
    assert (session.legs()[VERA].lead, session.legs()[VERA].talk_ms) == (None, 60_000)


def test_hold_is_talk_and_an_end_without_an_answer_is_uncertain() -> None:
    held = Session().say(1, VERA, "Answered", 5).say(1, VERA, "Hold", 20).say(1, VERA, "Answered", 30)
    assert held.say(1, VERA, "Disconnected", 65).legs()[VERA].talk_ms == 60_000
    lost = Session().say(1, VERA, "Proceeding", 0).say(1, VERA, "Disconnected", 65)
    assert [one.uncertain for one in lost.ends(VERA)] == [True]


def test_parties_of_nobody_and_faxes_are_ignored_and_a_party_that_cannot_be_read_is_refused() -> None:
    session = Session().say(1, "", "Setup", 0).say(2, VERA, "FaxReceive", 1)
    assert (session.legs(), session.refused) == ({}, [])
    session.say(3, VERA, "Disconnected", 1, reason="+79161234567", peer={"telephonySessionId": "+79161234567"})
    assert not [one for _, one in session.gateway.statements if b"9161234567" in one.body]
    session.say(3, VERA, "Dancing", 1)
    assert [one.reason for one in session.refused] == ["unknown_type"]


@st.composite
def sessions(draw: st.DrawFn) -> list[Request]:
    """A call that rings at some telephones, is answered or not, perhaps transferred, and ends or not."""
    session, second = Session(), itertools.count(0, draw(st.integers(1, 9)))
    names = draw(st.permutations(list(IDS)))[: draw(st.integers(1, 3))]
    told = [session.request(number, name, "Proceeding", next(second)) for number, name in enumerate(names)]
    if draw(st.booleans()):
        told.append(session.request(0, names[0], "Answered", next(second)))
        reason = draw(st.sampled_from([None, "BlindTransfer", "AttendedTransfer"]))
        others = [*enumerate(names)][1:]
        told += [session.request(n, name, "Disconnected", next(second), reason="AgentAnswered") for n, name in others]
        told.append(session.request(0, names[0], "Disconnected", next(second), reason=reason))
        if reason is not None:
            told += [
                session.request(9, RIMMA, code, next(second)) for code in ("Proceeding", "Answered", "Disconnected")
            ]
    elif draw(st.booleans()):
        told += [session.request(n, one, "Disconnected", next(second), missedCall=True) for n, one in enumerate(names)]
    return told[: draw(st.integers(1, len(told)))]


@given(sessions(), st.randoms())
def test_no_order_of_notifications_changes_what_counts(told: list[Request], random: Any) -> None:
    shuffled = told * 2
    random.shuffle(shuffled)
    assert Session().take(shuffled).counted() == Session().take(told).counted()
