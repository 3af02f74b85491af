"""`callpulse forget` on real Kafka: a lead with calls, a deal and transcripts is gone, other leads are untouched."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from agents.kafka.forgetting import Kept, ask
from agents.kafka.settings_log import agree
from agents.state import expiry
from streams.contract import topics
from streams.contract.events import CallEnded, Event
from streams.contract.facts import GROUP, deal_key
from streams.contract.features import HEADER
from streams.settings.settings import Settings
from streams.tables.transcript.row import row_key
from tests.broker import command_line
from tests.broker.in_process import Start, Worker, settings_text, wait_until
from tests.broker.leads_fixture import all_folded, deal, linked, send_events
from tests.broker.test_speech import Said, ended, send, sums_of, with_speech
from tests.kafka_fixture import consume

pytestmark = [pytest.mark.broker, pytest.mark.timeout(180)]
LEAD, OTHER, OLD = "lead-7", "lead-8", "phone:7"
OURS, OTHERS = (7, 12, 17, 22), (8, 13, 18, 23)
DEAL = deal_key("crm", "deal-lead-7")


class CommandLine:
    """`callpulse forget` with the settings of the test."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        config = folder / "callpulse.toml"
        config.write_text(settings_text(settings.kafka.bootstrap, folder, group=settings.kafka.group), "utf-8")
        self._environment = {"PATH": os.environ["PATH"], "CALLPULSE_CONFIG": str(config)}

    async def forget(self, *words: str, code: int = 0) -> tuple[dict[str, Any], str]:
        """Return the report and the messages beside it."""
        done = await asyncio.to_thread(command_line.run, "forget", *words, "--json", environment=self._environment)
        assert done.returncode == code, done.stderr
        return msgspec.json.decode(done.stdout) if done.stdout else {}, done.stderr

    async def shown(self, *words: str) -> str:
        """Return the output for people."""
        done = await asyncio.to_thread(command_line.run, "forget", *words, environment=self._environment)
        assert done.returncode == 0, done.stderr
        return done.stdout


def story() -> list[Event]:
    said = {number: Said(number, random.Random(number)) for number in (*OURS, *OTHERS)}
    made: list[Event] = [event for each in said.values() for event in each.events()]
    made += [replace(said[number].leg(), lead=LEAD if number in OURS[:3] else OLD) for number in OURS]
    made += [replace(said[number].leg(), lead=OTHER) for number in OTHERS]
    return [*made, *(replace(ended(number), id=f"again-{number}") for number in said)]


def kept(worker: Worker, table: str) -> set[str]:
    return {key.decode() for key, _ in worker.rows(table)}


def listed(worker: Worker) -> set[str]:
    return {lead for _, row in worker.rows("outcomes") for lead in row.state.attention}


def figures(worker: Worker) -> dict[str, Any]:
    outcomes = {key: dict(row.state.steps) for key, row in worker.rows("outcomes")}
    return {"calls": worker.calls(), "outcomes": outcomes, "heard": sums_of(worker)}


async def last_values(settings: Settings, table: str) -> dict[str, bytes | None]:
    topic = topics.changelog(table, settings.kafka.group).name
    records = await asyncio.to_thread(consume, settings.kafka.bootstrap, topic)
    return {record.key.decode(): record.value for record in records if record.key}


async def settled(worker: Worker) -> None:
    await all_folded(worker)
    await asyncio.sleep(0.5)  # facts go on from topic to topic
    await all_folded(worker)
    await worker.parts.state.run_checkpoint()
    await worker.parts.outbox.drain()


async def test_a_lead_is_forgotten_with_its_deal_and_transcripts_and_stays_so(
    start: Start, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "EMPTIED_KEPT_MS", 500)
    settings = with_speech(settings)
    command = CommandLine(settings, tmp_path)
    worker = await start(settings)
    await send_events(settings, [deal(-10, LEAD, "presentation", manager="m002"), linked(1, LEAD, OLD)])
    await send(settings, story())
    await settled(worker)
    before, others = figures(worker), dict(worker.rows("leads"))[OTHER.encode()].state.packed()
    calls = {row_key("m002", f"c{number}").decode() for number in OURS}
    assert {LEAD, OLD, DEAL} <= kept(worker, "leads")
    assert calls <= kept(worker, "transcripts")
    assert listed(worker) == {LEAD, OTHER}

    report, _ = await command.forget(LEAD, "--dry-run")
    assert report["rows"] == {"leads": 3, "transcripts": 4, "outcomes": 1, "managers": 1}
    assert (report["known"], report["asked"], report["deals"], report["linked_keys"]) == (True, False, 1, 1)
    assert {"calls", "crm", "contacts", "features", "outcomes", "speech"} == {
        each["topic"] for each in report["topics"]
    }
    shown = await command.shown(OLD, "--dry-run")  # the old key means the same lead
    assert "would be removed" in shown
    assert "phone:7" not in shown
    assert LEAD in kept(worker, "leads"), "a dry run changes nothing"

    report, _ = await command.forget(LEAD)
    assert report["asked"]
    await wait_until(
        lambda: not ({LEAD, OLD, DEAL} & kept(worker, "leads") or calls & kept(worker, "transcripts")),
        "the rows are removed",
    )
    await settled(worker)
    assert listed(worker) == {OTHER}
    assert figures(worker) == before
    assert dict(worker.rows("leads"))[OTHER.encode()].state.packed() == others
    leads, transcripts = await last_values(settings, "leads"), await last_values(settings, "transcripts")
    assert [leads[key] for key in (LEAD, OLD, DEAL)] == [None] * 3
    assert [transcripts[key] for key in sorted(calls)] == [None] * 4
    for key, value in {**leads, **transcripts, **await last_values(settings, "outcomes")}.items():
        assert LEAD.encode() not in (value or b""), key

    await worker.crash()
    worker = await start(settings)
    await settled(worker)
    assert not {LEAD, OLD, DEAL} & kept(worker, "leads")
    assert not calls & kept(worker, "transcripts")
    assert figures(worker) == before
    report, _ = await command.forget(LEAD)
    assert (report["rows"]["leads"], report["rows"]["transcripts"], report["asked"]) == (0, 0, False)
    assert report["topics"]
    _, said = await command.forget("lead-nobody", code=1)
    assert "unknown" in said

    later = replace(Said(27, random.Random(1)).leg(), lead=LEAD)
    assert isinstance(later, CallEnded)
    await send(settings, [later])
    await settled(worker)
    assert [leg.call for leg in dict(worker.rows("leads"))[LEAD.encode()].state.legs] == ["c27"]
    assert figures(worker)["calls"] == before["calls"] + 1


async def test_a_crash_after_the_request_changes_nothing(
    start: Start, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker ends between any two steps; the records that it reads again are counted, or forgotten."""
    monkeypatch.setattr(expiry, "EMPTIED_KEPT_MS", 1_500)
    settings = with_speech(settings)
    command = CommandLine(settings, tmp_path)
    worker = await start(settings)
    await send_events(settings, [deal(-10, LEAD, "won", manager="m002")])
    await send(settings, story())
    await settled(worker)
    before = figures(worker)
    await command.forget(LEAD)
    chance = random.Random(5)
    for _ in range(3):
        await asyncio.sleep(chance.random())
        await worker.crash()
        worker = await start(settings)
    await wait_until(lambda: not {LEAD, DEAL} & kept(worker, "leads"), "the rows are removed")
    await settled(worker)
    assert figures(worker) == before


@pytest.mark.parametrize("marked", [False, True])
async def test_the_request_names_the_group_where_its_facts_do(settings: Settings, *, marked: bool) -> None:
    kafka = settings.kafka
    if marked:
        await agree(settings)  # as the first worker of a new group does
    await ask(kafka, Kept(keys=[LEAD], deals=[], calls=[("m002", "c7")], lists=0, recent=0, records=[]))
    group = [(GROUP, kafka.group.encode())] if marked else []
    for topic, key, more in ((topics.CONTACTS, LEAD, []), (topics.SPEECH, "m002", [(HEADER, b"1")])):
        (record,) = await asyncio.to_thread(consume, kafka.bootstrap, kafka.topic_prefix + topic.name)
        assert (record.key, list(record.headers)) == (key.encode(), [*group, *more])
