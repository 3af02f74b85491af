"""A simulated department in a portal of Bitrix24, read by the poll and by the hook: the same calls and deals.

Compared with the events of the simulator, without the losses of a portal: milliseconds, the moment of the answer, the
queue, and whether a machine answered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest

from streams.contract.decoding import Decoder
from streams.contract.events import CallEnded, DealStageChanged, Event, LeadLinked
from streams.settings.settings import Settings, load
from streams.simulator import Department, FaultRates, Record, simulate
from streams.simulator.people.roster import BEGINNER
from streams.simulator.rendering import bitrix24_rest
from streams.simulator.rendering.bitrix24 import Bitrix24, Notice, stage_id
from streams.simulator.rendering.bitrix24_rest import Parameter
from streams.simulator.rendering.history import History
from streams.simulator.rendering.phone_book import PhoneBook
from streams.sources.bitrix24.hook import FORM, Bitrix24Hook
from streams.sources.bitrix24.poll import Bitrix24Poll
from streams.sources.directory import matched
from streams.sources.frame import Request
from streams.sources.polls import Ask, Asking, Found, Response
from streams.sources.registry import SOURCES
from streams.units import HOUR_MS
from tests.history.departments import MONDAY_MS

END_MS = MONDAY_MS + 15 * HOUR_MS
LATER_MS = END_MS + 20 * HOUR_MS
TOKEN = "an-application-token"  # noqa: S105 - of the tests
SETTINGS = f"""
[privacy]
lead_secret = "a secret of the tests, long enough"
region = "DE"
[sources.bitrix24]
webhook = "http://127.0.0.1/rest/1/code/"
application_token = "{TOKEN}"
since = "3d"
[sources.bitrix24.stages]
"""
CALL = tuple[str, str, int, int, str]


@dataclass(frozen=True)
class Seen:
    """The simulated records, the portal with them, and the events of the poll."""

    settings: Settings
    records: list[Record]
    portal: Bitrix24
    notices: list[Notice]
    events: list[Event]


def conduct(steps: Asking[Any], portal: Bitrix24) -> tuple[list[Event], bytes, Any]:
    """Conduct a poll of the portal; return its events, its last cursor and its result."""

    def run(method: str, parameters: dict[str, Parameter]) -> object:
        return bitrix24_rest.call(method, parameters, portal.rows)

    events: list[Event] = []
    response, cursor = None, b""
    while True:
        try:
            step = steps.send(response)
        except StopIteration as end:
            return events, cursor, end.value
        response = None
        if isinstance(step, Ask):
            body = msgspec.json.encode(bitrix24_rest.batch(msgspec.convert(step.json, dict[str, Any])["cmd"], run))
            response = Response(status=200, headers={}, body=body, at_ms=LATER_MS)
        elif isinstance(step, Found):
            assert step.translation.refused == []
            events += step.translation.events
            cursor = step.cursor


@cache
def seen() -> Seen:
    """A day that is polled at 15:00 and when all calls have ended."""
    invented = Department.make(7, 5, 1)
    often = {name: BEGINNER for number, name in enumerate(invented.settings.managers) if number % 2}
    department = Department.make(7, 5, 1, personalities=often)
    portal = Bitrix24(department.settings.managers, PhoneBook(department.settings.managers))
    stages = "\n".join(f'"{stage_id(stage)}" = "{stage}"' for stage in department.settings.results.stages)
    settings = load(portal.roster(department.text) + SETTINGS + stages, {}, SOURCES)
    poll = Bitrix24Poll(settings)
    poll.people.learn("bitrix24", matched(poll.people, "bitrix24", conduct(poll.listed(), portal)[2]).managers)
    decoder: Decoder[Event] = Decoder("calls", "crm")
    records = [
        record
        for record in simulate(department, MONDAY_MS, END_MS, faults=FaultRates.none(), crm=True)
        if record.due_ms <= LATER_MS
    ]
    notices, events, cursor, is_noon = [], list[Event](), b"", True
    for record in records:
        if is_noon and record.due_ms > MONDAY_MS + 12 * HOUR_MS:
            is_noon = False
            events, cursor, _ = conduct(poll.poll(b"", MONDAY_MS + 12 * HOUR_MS), portal)
        event = decoder.decode(record.value)
        assert isinstance(event, Event)
        notices += portal.take(event)
    events += conduct(poll.poll(cursor, LATER_MS), portal)[0]
    return Seen(settings, records, portal, notices, events)


def unique(events: Iterable[Event]) -> list[Event]:
    return list({event.id: event for event in events}.values())


def calls(events: Iterable[Event]) -> Counter[CALL]:
    """The calls of adapter events."""
    return Counter(
        (event.manager, event.direction, event.started_at // 1000, event.talk_ms // 1000, event.disposition)
        for event in unique(events)
        if isinstance(event, CallEnded)
    )


def test_every_call_of_the_department_is_polled_once() -> None:
    here = seen()
    legs = list(History.of(here.records).legs())
    assert len(legs) > 200
    assert any(leg.transfer_at and not leg.has_end for leg in legs)
    expected = Counter(
        (
            leg.manager if not leg.manager.startswith("queue:") else "queue:inbound",
            leg.direction,
            leg.started_at // 1000,
            leg.talk_ms // 1000,
            "answered" if leg.disposition == "voicemail" else leg.disposition,
        )
        for leg in legs
    )
    assert calls(here.events) == expected
    assert here.portal.calls == len(legs)


def test_every_change_of_a_deal_is_polled_once_with_its_last_amount_and_owner() -> None:
    here = seen()
    decoder: Decoder[Event] = Decoder("calls", "crm")
    changes = [event for one in here.records if isinstance(event := decoder.decode(one.value), DealStageChanged)]
    named = here.settings.results.stages
    theirs = {one.stage: one.stage if one.stage in named else stage_id(one.stage).casefold() for one in changes}
    found = [event for event in unique(here.events) if isinstance(event, DealStageChanged)]
    moved = Counter((one.at, one.stage) for one in found if ":stage:" in one.id)
    assert moved == Counter((one.at, theirs[one.stage]) for one in changes)
    assert len(changes) > 20
    last: dict[str, tuple[Any, ...]] = {}
    for one in changes:
        _, amount, currency, manager = last.get(one.deal, (None, None, None, None))
        priced = (amount, currency) if one.amount is None else (one.amount, one.currency)
        last[one.deal] = (theirs[one.stage], *priced, one.manager or manager)
    states = {one.deal: (one.stage, one.amount, one.currency, one.manager) for one in found if ":state:" in one.id}
    assert Counter(states.values()) == Counter(last.values())


def test_the_lead_of_a_deal_is_linked_to_the_number_of_its_calls() -> None:
    here = seen()
    deals = {event.lead for event in here.events if isinstance(event, DealStageChanged)}
    links = {event.old_key: event.lead for event in here.events if isinstance(event, LeadLinked)}
    called = {links.get(event.lead or "") for event in here.events if isinstance(event, CallEnded)}
    assert deals
    assert deals <= called


def test_the_outgoing_webhook_makes_the_same_events_and_rings() -> None:
    here = seen()
    hook = Bitrix24Hook(here.settings)
    poll = Bitrix24Poll(here.settings)
    hook.people.learn("bitrix24", matched(poll.people, "bitrix24", conduct(poll.listed(), here.portal)[2]).managers)
    made: list[Event] = []
    rings = 0
    for notice in here.notices:
        form = {"event": notice.event, **notice.data, "ts": str(END_MS // 1000), "auth[application_token]": TOKEN}
        request = Request(
            method="POST",
            url="",
            query="",
            headers={"content-type": FORM},
            body=urlencode(form).encode(),
            received_at_ms=END_MS,
        )
        assert hook.is_authentic(request)
        said = hook.translate(request)
        assert not said.refused
        made += said.events
        rings += said.ring
    polled = {event.id: event for event in here.events}
    assert [polled[event.id] for event in made] == made
    assert calls(made) == calls(here.events)
    assert rings == len(here.notices) - len(made) > 20


def test_a_filter_that_is_not_known_is_refused() -> None:
    for query in ("filter[!STAGE_ID]=NEW", "filter[<DATE_MODIFY]=2026-01-01T00:00:00Z", "filter[>=ID]=1"):
        with pytest.raises(ValueError, match="not known"):
            bitrix24_rest.call("crm.deal.list", bitrix24_rest.nested(query), seen().portal.rows)
