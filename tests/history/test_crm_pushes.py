"""A simulated department in webhooks of Pipedrive and amoCRM: their adapters give the same deals.

Their losses are left out: fractions of seconds, and in amoCRM the decimals of an amount, currencies and leads.
"""

from __future__ import annotations

import base64
from collections import Counter
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
import pytest

from streams.contract.decoding import Decoder
from streams.contract.events import DealStageChanged, Event, LeadLinked
from streams.settings.settings import load
from streams.simulator import Department, FaultRates, simulate
from streams.simulator.rendering.crm_pushes import CrmPushes
from streams.simulator.rendering.phone_book import PhoneBook
from streams.sources.amocrm.hook import FORM, AmocrmHook
from streams.sources.frame import Hook, Request
from streams.sources.pipedrive.hook import PipedriveHook
from streams.sources.registry import SOURCES
from streams.units import HOUR_MS, SECOND_MS
from tests.history.departments import MONDAY_MS

pytestmark = pytest.mark.slow

END_MS: Final = MONDAY_MS + 15 * HOUR_MS
SETTINGS: Final = """
[privacy]
lead_secret = "a secret of the tests, long enough"
region = "DE"
[sources.{name}]
{access}
[sources.{name}.stages]
{stages}
"""


@dataclass(frozen=True)
class Seen:
    """The simulated changes, and the events of each adapter from the webhooks."""

    stages: tuple[str, ...]
    changes: list[DealStageChanged]
    pipedrive: list[Event]
    amocrm: list[Event]


def heard(hook: Hook, body: bytes, headers: dict[str, str], at_ms: int) -> list[Event]:
    request = Request(method="POST", url="", query="", headers=headers, body=body, received_at_ms=at_ms)
    assert hook.is_authentic(request)
    translation = hook.translate(request)
    assert translation.refused == []
    return translation.events


@cache
def seen() -> Seen:
    """A day of a department."""
    department = Department.make(7, 6, 1)
    pushes = CrmPushes(
        department.settings.managers, department.settings.results.stages, PhoneBook(department.settings.managers)
    )

    def settings(name: str, access: str) -> Any:
        text = SETTINGS.format(name=name, access=access, stages=pushes.stages(name))
        return load(pushes.roster(department.text, name) + text, {}, SOURCES)

    first = PipedriveHook(settings("pipedrive", 'user = "u"\npassword = "p"'))
    second = AmocrmHook(settings("amocrm", ""))
    basic = {"content-type": "application/json", "authorization": f"Basic {base64.b64encode(b'u:p').decode()}"}
    decoder: Decoder[Event] = Decoder("calls", "crm")
    changes, pipedrive, amocrm = list[DealStageChanged](), list[Event](), list[Event]()
    for record in simulate(department, MONDAY_MS, END_MS, faults=FaultRates.none(), crm=True):
        event = decoder.decode(record.value)
        assert isinstance(event, Event)
        if isinstance(event, DealStageChanged):
            changes.append(event)
        bodies, forms = pushes.take(event)
        for body in bodies:
            pipedrive += heard(first, msgspec.json.encode(body), basic, event.at + SECOND_MS)
        for form in forms:
            amocrm += heard(second, urlencode(form).encode(), {"content-type": FORM}, event.at + SECOND_MS)
    return Seen(department.settings.results.stages, changes, pipedrive, amocrm)


def moved(events: list[Event]) -> Counter[tuple[int, str]]:
    """Return the moments and stages of deals; stages that the settings do not name are all alike."""
    stages = seen().stages
    once = {event.id: event for event in events}.values()
    return Counter(
        (event.at // SECOND_MS, event.stage if event.stage in stages else "other")
        for event in once
        if isinstance(event, DealStageChanged)
    )


@pytest.mark.parametrize("system", ["pipedrive", "amocrm"])
def test_every_change_of_a_deal_is_told_once_with_its_last_amount_and_owner(system: str) -> None:
    here = seen()
    events: list[Event] = getattr(here, system)
    assert moved(events) == moved(list(here.changes))
    assert len(here.changes) > 20
    assert Counter(last(events).values()) == Counter(last(list(here.changes), whole=system == "amocrm").values())


def last(events: list[Event], *, whole: bool = False) -> dict[str, tuple[Any, ...]]:
    """Return the last amount and owner of each deal."""
    found: dict[str, tuple[Any, ...]] = {}
    for event in events:
        if isinstance(event, DealStageChanged):
            amount, manager = found.get(event.deal, (None, None))
            said = event.amount or None
            if said is not None and whole:
                said = said.quantize(Decimal(1), ROUND_HALF_UP)
            found[event.deal] = (said or amount, event.manager or manager)
    return found


def test_the_person_of_a_deal_has_the_numbers_of_its_lead() -> None:
    here = seen()
    linked = {event.lead for event in here.pipedrive if isinstance(event, LeadLinked)}
    deals = {event.lead for event in here.pipedrive if isinstance(event, DealStageChanged)}
    assert deals
    assert deals <= linked
