"""The metrics of reconciliations: a worker exports those of its own managers, at the end of each scrape."""

from __future__ import annotations

from typing import Any

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from agents.worker import create_server
from streams.metrics.reconciliation import RECONCILIATION_METRICS
from streams.sources.reconciled import DayResult, Ledger
from streams.units import DAY_MS, HOUR_MS, MINUTE_MS
from tests.agents.stand_in import MONDAY_MS, NOON_MS, StandIn, stand_in

ROSTER = """
[[teams]]
id = "north"
[[teams]]
id = "south"
[[managers]]
id = "anna"
team = "north"
timezone = "Asia/Seoul"
[[managers]]
id = "carl"
team = "south"
"""
_HEARTBEAT = 12
NAMES = {metric.full_name for metric in RECONCILIATION_METRICS}
MONDAY = MONDAY_MS // DAY_MS


def result(manager: str, day: int, **more: Any) -> bytes:
    since = day * DAY_MS - (9 * HOUR_MS if manager == "anna" else 0)
    fields: dict[str, Any] = {"source": "pbx", "records": "cel", "at": since + 2 * DAY_MS, "has_records": True}
    one = DayResult(manager=manager, day=day, since=since, until=since + DAY_MS, **{**fields, **more})
    return msgspec.json.encode(one)


async def exported(of: StandIn, ledger: Ledger, now_ms: int = NOON_MS) -> dict[tuple[str, ...], float]:
    text = (await create_server(of.worker, ledger).exposition.text(now_ms)).decode()
    return {
        (sample.name.removeprefix("callpulse_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name in NAMES
    }


async def test_the_newest_day_the_final_one_and_provisional_days_of_each_manager() -> None:
    of, ledger = stand_in(ROSTER).own(0, 1, 2, 3), Ledger()
    ledger.take(result("anna", MONDAY - 2, both=7, talk_difference_ms=-1500))
    ledger.take(result("anna", MONDAY - 1, both=5, missing=2, extra=1, talk_difference_ms=2500))
    ledger.take(result("carl", MONDAY - 1, other_talk=1, both=3))
    ledger.take(result('zoe "x"', MONDAY - 1))
    found = await exported(of, ledger)
    anna, sunday_s = ("anna", "north"), (MONDAY * DAY_MS - 9 * HOUR_MS) / 1000
    assert found["provisional_days", *anna] == 1
    assert found["final_until_timestamp_seconds", *anna] == sunday_s - 86_400
    assert found["reconciled_until_timestamp_seconds", *anna, "pbx"] == sunday_s
    assert found["reconciled_talk_difference_seconds", *anna, "pbx"] == 2.5
    legs = {key[-1]: value for key, value in found.items() if key[:3] == ("reconciled_legs", *anna)}
    assert legs == {"both": 5, "missing": 2, "extra": 1, "lost_end": 0, "other_talk": 0, "other_disposition": 0}
    assert found["provisional_days", "carl", "south"] == 0
    assert found["final_until_timestamp_seconds", 'zoe "x"', "unassigned"] == MONDAY_MS / 1000
    assert len(found) == 3 * 10


async def test_only_managers_of_partitions_owned_now_and_none_once_the_session_is_over() -> None:
    of, ledger = stand_in(ROSTER), Ledger()
    ledger.take(result("anna", MONDAY - 1))
    ledger.take(result("carl", MONDAY - 1))
    mine = of.partition_for(b"anna")
    assert mine != of.partition_for(b"carl")
    assert await exported(of, ledger) == {}
    of.own(mine)
    assert {key[1] for key in await exported(of, ledger)} == {"anna"}
    of.own(0, 1, 2, 3)
    assert {key[1] for key in await exported(of, ledger)} == {"anna", "carl"}
    of.session.note(_HEARTBEAT, 0, of.now)
    of.now += 10.1
    assert await exported(of, ledger) == {}


async def test_a_scrape_shows_a_new_result_and_a_new_day() -> None:
    of, ledger = stand_in(ROSTER).own(0, 1, 2, 3), Ledger()
    exposition = create_server(of.worker, ledger).exposition

    async def provisional(now_ms: int) -> str:
        text = (await exposition.text(now_ms)).decode()
        return next((line for line in text.splitlines() if line.startswith("callpulse_provisional_days{")), "")

    assert await provisional(NOON_MS) == ""
    ledger.take(result("carl", MONDAY - 1, missing=1))
    assert (await provisional(NOON_MS)).endswith(" 1")
    ledger.take(result("carl", MONDAY - 1))
    assert (await provisional(NOON_MS)).endswith(" 0")
    assert (await provisional(MONDAY_MS + DAY_MS - MINUTE_MS)).endswith(" 0")
    assert (await provisional(MONDAY_MS + DAY_MS)).endswith(" 1")  # Monday is not reconciled
