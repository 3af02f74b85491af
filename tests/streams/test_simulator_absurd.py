"""Events that are allowed and make no sense are taken in and change nothing; a lead may be called without end."""

from __future__ import annotations

from decimal import Decimal

import pytest

from streams.contract.decoding import Decoder
from streams.contract.events import CrmEvents, DealStageChanged, Rejection, encode
from streams.simulator import Department, Disturbance, Record, simulate
from streams.simulator.faults.edge_cases import absurd, much_called
from streams.simulator.rng import Chance
from streams.simulator.telephony.legs import CRM_TOPIC
from streams.tables.lead.row import dump
from tests.streams.folded import Folded

DAY = 24 * 3_600_000
MONDAY = 1_763_942_400_000  # 2025-11-24T00:00:00Z


def test_absurd_events_are_allowed_and_change_no_figure() -> None:
    department = Department.make(4, 3, 1)
    clean = Disturbance.none()
    records = list(simulate(department, MONDAY, MONDAY + 2 * DAY, disturbance=clean, crm=True))
    now_ms = records[-1].due_ms
    rng = Chance(4, "odd")
    decoder: Decoder[CrmEvents] = Decoder("crm")
    odd = [absurd(rng, now_ms - 1_000) for _ in range(200)]
    assert not [event for event in odd if isinstance(decoder.decode(encode(event)), Rejection)]
    amounts = {event.amount for event in odd if isinstance(event, DealStageChanged)}
    assert amounts >= {Decimal(10) ** 15, -(Decimal(10) ** 15), Decimal(0)}  # every sort came up
    alone = Folded(department.settings, records, now_ms)
    added = [Record(CRM_TOPIC, event.lead, encode(event), now_ms) for event in odd]
    beside = Folded(department.settings, [*records, *added], now_ms)
    assert beside.crm["applied"] == alone.crm["applied"] + len(odd)
    assert beside.answers(now_ms) == alone.answers(now_ms)


@pytest.mark.slow  # the lead alone: tests/streams/test_lead.py
def test_a_lead_that_is_called_ten_thousand_times_is_counted_to_the_call_and_its_row_stays_small() -> None:
    department = Department.make(4, 1, 1)
    anna, team = next((manager.id, manager.team) for manager in department.roster().values())
    records = sorted(much_called("lead-busy", anna, MONDAY), key=lambda record: record.due_ms)
    now_ms = records[-1].due_ms
    folded = Folded(department.settings, records, now_ms)
    assert (folded.outcomes, folded.crm) == ({"applied": 10_000}, {"applied": 1_000})
    told = folded.answers(now_ms)
    assert told["calls", (anna, team, "90d", "outbound")] == 10_000
    assert told["answered_calls", (anna, team, "30d")] == 2_500
    assert told["conversations", (anna, team, "30d")] == 1_250
    assert told["follow_up_calls", (anna, team, "30d", "reminder")] == 1_000
    assert told["calls_per_lead", (anna, team, "30d")] == 10_000
    assert told["leads_stuck", (anna, team)] == 1
    assert told["leads_given", (anna, team, "90d", "cold")] == 1
    assert len(dump(folded.leads["lead-busy"])) < 20_000
