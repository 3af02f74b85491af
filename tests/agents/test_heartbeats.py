"""An agent dates its sources by the newest event of a batch, at any place in the batch."""

from __future__ import annotations

from itertools import permutations
from typing import NamedTuple

import pytest
from faust.types import TP

from agents.calls import CallsAgent
from agents.crm import CrmAgent
from agents.delivery.intake import Intake
from agents.delivery.outbox import Outbox
from streams.contract import events
from streams.contract.events import CallsEvent, CrmEvents, LeadConsulted
from tests.agents.stand_in import ended, stand_in

AT = 1_795_435_200_000
TIMES = (AT, AT + 60_000, AT + 30_000)


class Arrived(NamedTuple):
    """A record in the form of the client."""

    key: bytes
    value: bytes
    offset: int
    timestamp: int
    headers: tuple[tuple[str, bytes], ...] = ()


def consulted(lead: str, at: int) -> LeadConsulted:
    return LeadConsulted(v=1, id=f"consulted-{at}", at=at, source="crm", lead=lead, mentor="boris")


@pytest.mark.parametrize("topic", ["calls", "crm"])
@pytest.mark.parametrize("times", [*permutations(TIMES)], ids=str)
def test_a_source_is_as_fresh_as_its_newest_event_of_a_batch_in_whatever_order(
    topic: str, times: tuple[int, ...]
) -> None:
    parts = stand_in().own(0, 1, 2, 3)
    outbox = Outbox(lambda: None, parts.failures.append)
    intake = Intake(
        topic,
        outbox=outbox,
        metrics=parts.metrics,
        partition_for=parts.partition_for,
        rejected="rejected",
        key_rule="the key is the manager or the lead",
    )
    agent: CallsAgent | CrmAgent
    happened: list[CallsEvent | CrmEvents]
    if topic == "calls":
        table = parts.tables["managers"]
        agent = CallsAgent(parts.settings, table, intake, outbox, parts.partition_for, "contacts", "speech")
        key, happened = b"anna", [ended("anna", at, call=f"c-{at}") for at in times]
    else:
        agent = CrmAgent(parts.settings, intake, outbox, parts.partition_for, "contacts")
        key, happened = b"lead-1", [consulted("lead-1", at) for at in times]
    source = happened[0].source
    records = [Arrived(key, events.encode(event), offset, event.at) for offset, event in enumerate(happened, start=1)]
    agent.fold(TP(topic, parts.partition_for(key)), records)
    registry = parts.metrics.registry
    newest = max(times) / 1000
    assert registry.get_sample_value("callpulse_source_heartbeat_timestamp_seconds", {"source": source}) == newest
    assert registry.get_sample_value("callpulse_newest_event_timestamp_seconds", {"topic": topic}) == newest
