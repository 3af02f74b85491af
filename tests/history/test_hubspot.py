"""A simulated department in an account of HubSpot: the polled deals give the same tables as the events.

The webhooks only ring. `UNTOLD` are the losses of an account about a deal; the calls are those of a telephone system.
"""

from __future__ import annotations

import base64
import hmac
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from typing import Any, Final

import msgspec
import pytest
from msgspec.structs import replace

from streams.contract.decoding import Decoder
from streams.contract.events import DealStageChanged, Event, LeadLinked, encode
from streams.settings.settings import Settings, load
from streams.simulator import Department, FaultRates, Record, simulate
from streams.simulator.rendering.history import History, copied
from streams.simulator.rendering.hubspot import HubSpot, email_of
from streams.simulator.rendering.phone_book import PhoneBook
from streams.simulator.truth.figures import Figures
from streams.sources.directory import matched
from streams.sources.frame import Request
from streams.sources.hubspot.hook import HubspotHook
from streams.sources.hubspot.poll import HubspotPoll
from streams.sources.polls import Ask, Asking, Found, Response
from streams.sources.registry import SOURCES
from streams.units import DAY_MS, HOUR_MS, MINUTE_MS
from tests.history import changes
from tests.history.departments import MONDAY_MS, SECRET, differences
from tests.streams.folded import Folded

KEY: Final = "a-client-secret"
SETTINGS: Final = f"""
[privacy]
lead_secret = "{SECRET.decode()}"
region = "DE"
[sources.hubspot]
token = "a-private-app"
client_secret = "{KEY}"
since = "30d"
[sources.hubspot.stages]
"""
UNTOLD: Final = {"product": None, "channel": None, "client_type": None}
"""Fields of an event for which a deal has no known property."""


@dataclass(frozen=True)
class Seen:
    """The simulated records, the account with them, and the moments at which polls and webhooks end."""

    settings: Settings
    account: HubSpot
    book: PhoneBook
    calls: History
    events: list[Event]
    end_ms: int


def seen(days: int, managers: int = 6) -> Seen:
    """Some days of a department, whose CRM has taken nothing yet."""
    department = Department.make(7, managers, 1)
    book = PhoneBook(department.settings.managers)
    account = HubSpot(department.settings.managers, department.settings.results.stages, book)
    settings = load(roster(department) + SETTINGS + account.stages(), {}, SOURCES)
    end_ms = MONDAY_MS + (days - 1) * DAY_MS + 18 * HOUR_MS
    records = list(simulate(department, MONDAY_MS, end_ms, faults=FaultRates.none(), crm=True))
    decoder: Decoder[Event] = Decoder("crm")
    told = [event for one in records if one.topic == "crm" and isinstance(event := decoder.decode(one.value), Event)]
    shown = [one for one in told if isinstance(one, DealStageChanged | LeadLinked)]
    events: list[Event] = sorted(shown, key=lambda one: one.at)
    return Seen(settings, account, book, History.of(records), events, max(end_ms, events[-1].at) + HOUR_MS)


def roster(department: Department) -> str:
    lines: list[str] = []
    for line in department.text.splitlines():
        manager = line.removeprefix('id = "').removesuffix('"')
        lines.append(line)
        if line.startswith('id = "') and manager in department.settings.managers:
            lines.append(f'identities = {{ email = "{email_of(manager)}" }}')
    return "\n".join([*lines, ""])


def conduct(steps: Asking[Any], account: HubSpot, now_ms: int) -> tuple[list[Event], bytes, Any]:
    """Conduct a poll of the account; return its events, its last cursor and its result."""
    events: list[Event] = []
    response, cursor = None, b""
    while True:
        try:
            step = steps.send(response)
        except StopIteration as end:
            return events, cursor, end.value
        response = None
        if isinstance(step, Ask):
            said = msgspec.json.decode(msgspec.json.encode(step.json or {}))
            body = msgspec.json.encode(account.answer(step.path, step.query, said))
            response = Response(status=200, headers={}, body=body, at_ms=now_ms)
        elif isinstance(step, Found):
            assert step.translation.refused == []
            events += step.translation.events
            cursor = step.cursor


def polled(of: Seen, every_ms: int) -> list[Event]:
    """The events of all polls, while the account takes what happens. It is polled in the end in any case."""
    poll = HubspotPoll(of.settings)
    owners = conduct(poll.listed(), of.account, MONDAY_MS)[2]
    poll.people.learn("hubspot", matched(poll.people, "hubspot", owners).managers)
    events, cursor, waiting = list[Event](), b"", list(reversed(of.events))
    for now_ms in [*range(MONDAY_MS, of.end_ms, every_ms), of.end_ms]:
        while waiting and waiting[-1].at <= now_ms:
            of.account.take(waiting.pop())
        found, cursor, _ = conduct(poll.poll(cursor, now_ms), of.account, now_ms)
        events += found
    return events


def known(events: Iterable[Event]) -> list[Event]:
    """Return these events without the losses of an account. A change without an owner keeps the owner of the deal."""
    owners: dict[str, str | None] = {}
    found: list[Event] = []
    for one in events:
        if isinstance(one, DealStageChanged):
            manager = owners[one.deal] = one.manager or owners.get(one.deal)
            found.append(replace(one, manager=manager, **UNTOLD))
        else:
            found.append(one)
    return found


def tables(of: Seen, calls: History, crm: Iterable[Event]) -> Figures:
    """Every exported series of every manager in the end. Leads that need attention are numbered: names are lost."""
    due_ms = of.end_ms + 400 * DAY_MS
    records = [Record("calls", event.manager, encode(event), due_ms) for event in calls.events()]
    records += [Record("crm", getattr(event, "lead", None), encode(event), due_ms) for event in crm]
    found = Folded(of.settings, records, of.end_ms).answers(of.end_ms)
    figures = {key: value for key, value in found.items() if key[0] != "lead_attention"}
    for (name, (manager, team, _, why)), value in sorted(found.items() - figures.items(), key=lambda one: one[1]):
        number = next(number for number in count() if (name, (manager, team, why, str(number))) not in figures)
        figures[name, (manager, team, why, str(number))] = value
    return figures


def compared(of: Seen, every_ms: int) -> Figures:
    """Assert that the account gives the tables of the events, and return them."""
    named = copied(of.calls)
    changes.names_of_leads(named, of.book)
    want = tables(of, of.calls, known(of.events))
    assert differences(want, tables(of, named, polled(of, every_ms))) == {}
    assert differences(want, tables(of, named, ())), "the tables depend on the deals"
    return want


def test_a_day_that_is_polled_gives_the_same_tables() -> None:
    want = compared(seen(days=1), HOUR_MS)
    assert sum(value for (name, _), value in want.items() if name == "won_deals") > 0


@pytest.mark.slow
@pytest.mark.parametrize("every_ms", [20 * MINUTE_MS, 8 * DAY_MS], ids=["often", "once"])
def test_a_week_that_is_polled_gives_the_same_tables(every_ms: int) -> None:
    """A poll of the whole week has several pages."""
    compared(seen(days=7, managers=10), every_ms)


def test_each_change_is_told_once_with_its_amount_and_owner() -> None:
    of = seen(days=1)
    found = {one.id: one for one in polled(of, HOUR_MS) if isinstance(one, DealStageChanged)}
    stages, amounts = set(of.settings.results.stages), dict[str, tuple[Any, Any]]()
    want = Counter[tuple[Any, ...]]()
    for one in known(of.events):
        if isinstance(one, DealStageChanged):
            amount = amounts[one.deal] = (
                amounts.get(one.deal, (None, None)) if one.amount is None else (one.amount, one.currency)
            )
            want[one.at, one.stage if one.stage in stages else "", one.manager, *amount] += 1
    assert len(want) > 100
    told = (
        (one.at, one.stage if one.stage in stages else "", one.manager, one.amount, one.currency)
        for one in found.values()
    )
    assert Counter(told) == want


def test_each_webhook_of_the_account_is_authentic_and_only_rings() -> None:
    of = seen(days=1)
    hook, url = HubspotHook(of.settings), "https://callpulse.example/hooks/hubspot/a-token"
    rings = 0
    for event in of.events:
        items = of.account.take(event)
        if not items:
            continue
        body, at = msgspec.json.encode(items), str(event.at + 500)
        signature = base64.b64encode(
            hmac.new(KEY.encode(), f"POST{url}".encode() + body + at.encode(), sha256).digest()
        )
        headers = {
            "content-type": "application/json",
            "x-hubspot-request-timestamp": at,
            "x-hubspot-signature-v3": signature.decode(),
        }
        request = Request(method="POST", url=url, query="", headers=headers, body=body, received_at_ms=event.at + 500)
        assert hook.is_authentic(request)
        made = hook.translate(request)
        assert (made.events, made.refused, made.ring) == ([], [], True)
        rings += 1
    assert rings > 100


def test_a_request_that_is_not_known_is_refused() -> None:
    account = seen(days=1).account
    filters = {"filterGroups": [{"filters": [{"propertyName": "amount", "operator": "GT", "value": "1"}]}], "limit": 9}
    for path in ("crm/v3/objects/deals/search", "crm/v3/objects/tickets/1/notes"):
        with pytest.raises(ValueError, match="not known"):
            account.answer(path, {}, filters)
