"""Events that are allowed and make no sense are taken in and change nothing; a lead may be called without end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from streams.contract.decoding import Decoder
from streams.contract.events import CallAnnotated, CallEnded, CrmEvents, DealStageChanged, Rejection, encode
from streams.simulator import Department, FaultRates, Record, simulate
from streams.simulator.faults.edge_cases import edge_case_event
from streams.simulator.rng import SeededRandom
from streams.simulator.telephony.legs import CRM_TOPIC, TOPIC
from streams.tables.lead.row import dump
from tests.streams.folded import Folded

DAY = 24 * 3_600_000
MONDAY = 1_763_942_400_000  # 2025-11-24T00:00:00Z


def much_called(
    lead: str, manager: str, start_ms: int, *, calls: int = 10_000, every_ms: int = 240_000
) -> Iterator[Record]:
    """Yield the records of a lead that is called without end: the end of each call, and a note of every tenth.

    Every fourth dial is answered, and every eighth is a conversation of two minutes. With the defaults that is four
    weeks, day and night.
    """
    for number in range(calls):
        began = start_ms + number * every_ms
        answered, talked = number % 4 == 0, number % 8 == 0
        talk_ms = 120_000 if talked else 5_000 if answered else 0
        ended = CallEnded(
            v=1,
            id=f"{lead}-{number}-e",
            at=began + 20_000 + talk_ms,
            source="pbx",
            call=f"{lead}-{number}",
            manager=manager,
            lead=lead,
            direction="outbound",
            kind="cold" if number == 0 else "repeat",
            started_at=began,
            answered_at=began + 20_000 if answered else None,
            talk_ms=talk_ms,
            disposition="answered" if answered else "no_answer",
        )
        yield Record(TOPIC, manager, encode(ended), ended.at + 50)
        if number % 10 == 0:
            note = CallAnnotated(
                v=1, id=f"{lead}-{number}-n", at=ended.at + 1_000, source="crm", lead=lead, manager=manager,
                call=ended.call, reason="reminder",
            )  # fmt: skip
            yield Record(CRM_TOPIC, lead, encode(note), note.at + 50)


def test_absurd_events_are_allowed_and_change_no_figure() -> None:
    department = Department.make(4, 3, 1)
    clean = FaultRates.none()
    records = list(simulate(department, MONDAY, MONDAY + 2 * DAY, faults=clean, crm=True))
    now_ms = records[-1].due_ms
    rng = SeededRandom(4, "odd")
    decoder: Decoder[CrmEvents] = Decoder("crm")
    odd = [edge_case_event(rng, now_ms - 1_000) for _ in range(200)]
    assert not [event for event in odd if isinstance(decoder.decode(encode(event)), Rejection)]
    amounts = {str(event.amount) for event in odd if isinstance(event, DealStageChanged)}
    assert amounts >= {f"{10**15}", f"-{10**15}", "0", "twelve", "True", "None"}  # every sort came up
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
