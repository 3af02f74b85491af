"""Deals as CRMs send them: under two leads, linked or not, and deleted."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest

from streams.contract.decoding import Decoder
from streams.contract.events import CrmEvent, CrmEvents, DealDeleted, DealStageChanged, LeadConsulted, LeadLinked
from streams.simulator import Department, FaultRates, simulate
from streams.simulator.faults.odd_deals import OddDeals
from streams.simulator.rng import SeededRandom

MONDAY = 1_763_942_400_000  # 2025-11-24T00:00:00Z
DAY = 86_400_000


def changes(deal: int, count: int = 6) -> list[CrmEvent]:
    return [
        DealStageChanged(
            v=1,
            id=f"c{deal}-{number}",
            at=MONDAY + number * 1000,
            source="crm",
            lead=f"lead-{deal}",
            deal=f"deal-{deal}",
            stage="won",
            amount=Decimal(1),
        )
        for number in range(count)
    ]


def sent(odd: OddDeals, deals: int) -> list[CrmEvent]:
    found: list[CrmEvent] = []
    for deal in range(deals):
        found += odd.events(LeadConsulted(v=1, id=f"h{deal}", at=MONDAY, source="crm", lead=f"lead-{deal}", mentor="m"))
        for event in changes(deal):
            found += odd.events(event)
    return found


def test_as_many_deals_as_asked_come_under_two_leads_in_both_orders() -> None:
    found = sent(OddDeals(SeededRandom(1), 0.3, 0.0), 400)
    leads: dict[str, list[str]] = {}
    for event in found:
        if isinstance(event, DealStageChanged):
            leads.setdefault(event.deal, []).append(event.lead)
    two = {deal: named for deal, named in leads.items() if len(set(named)) == 2}
    assert all(len(set(named)) <= 2 for named in leads.values())
    assert len(two) / len(leads) == pytest.approx(0.3, rel=0.25)
    ends_elsewhere = Counter(named[-1] == f"lead-{deal.removeprefix('deal-')}" for deal, named in two.items())
    begins_elsewhere = Counter(named[0].startswith("phone:") for named in two.values())
    assert min(ends_elsewhere.values()) > 20
    assert min(begins_elsewhere.values()) > 20
    known = [deal for deal, named in two.items() if all(lead.startswith("lead-") for lead in named)]
    linked = {event.old_key for event in found if isinstance(event, LeadLinked)}
    keys = {lead for named in leads.values() for lead in named if lead.startswith("phone:")}
    assert len(known) > 20
    assert 20 < len(linked & keys) < len(keys) - 20


def test_deals_are_deleted_as_often_as_asked_and_live_on() -> None:
    found = sent(OddDeals(SeededRandom(2), 0.0, 0.1), 300)
    deleted = [event for event in found if isinstance(event, DealDeleted)]
    assert len(deleted) / 1800 == pytest.approx(0.1, rel=0.25)
    assert all(event.at % 1000 == 0 for event in deleted)
    last = {event.deal: event for event in found if isinstance(event, DealStageChanged)}
    assert {event.at <= last[event.deal].at for event in deleted} == {True, False}


def test_with_the_rates_at_zero_nothing_changes() -> None:
    found = sent(OddDeals(SeededRandom(3), 0.0, 0.0), 5)
    expected = [event for deal in range(5) for event in changes(deal)]
    assert [event for event in found if isinstance(event, DealStageChanged)] == expected
    assert len(found) == len(expected) + 5


def test_the_same_calls_happen_and_all_else_that_the_crm_says() -> None:
    department = Department.make(1, 8, 2)
    decoder = Decoder[CrmEvents]("crm")
    found = []
    for moved, deleted in ((0.0, 0.0), (0.4, 0.1)):
        faults = FaultRates(moved_deals=moved, deleted_deals=deleted, bad=0.0)
        records = list(simulate(department, MONDAY, MONDAY + 3 * DAY, faults=faults, crm=True))
        told: Counter[str] = Counter()
        ids: set[str] = set()
        for record in records:
            event = decoder.decode(record.value) if record.topic == "crm" else None
            if isinstance(event, CrmEvent) and event.id not in ids:
                ids.add(event.id)
                told[type(event).__name__] += 1
        calls = sorted(record.value for record in records if record.topic == "calls")
        found.append((calls, told))
    assert found[0][0] == found[1][0]
    kinds = [told for _, told in found]
    assert kinds[0]["DealDeleted"] == 0 < kinds[1]["DealDeleted"]
    assert kinds[0]["DealStageChanged"] == kinds[1]["DealStageChanged"]
    assert kinds[0]["CallAnnotated"] == kinds[1]["CallAnnotated"]


def test_a_rate_that_is_no_share_is_refused() -> None:
    with pytest.raises(ValueError, match="moved_deals"):
        FaultRates(moved_deals=1.5)
    with pytest.raises(ValueError, match="deleted_deals"):
        FaultRates(deleted_deals=-0.1)
