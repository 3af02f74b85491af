"""A worker does not continue tables that other settings made, unless an operator accepts that."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from msgspec.structs import replace

from agents.kafka import admin, settings_log
from agents.kafka.clients import KafkaUnusableError
from agents.kafka.settings_log import Agreed, MeaningChangedError, agree
from streams.contract import topics
from streams.settings.settings import Kafka, Settings, load
from tests.broker.in_process import Start, send, settings_for, wait_until
from tests.broker.installation import Installation
from tests.kafka_fixture import consume

pytestmark = [pytest.mark.broker, pytest.mark.no_cover, pytest.mark.timeout(180)]


@pytest.fixture
async def settings(settings: Settings) -> Settings:
    await admin.create(settings.kafka)  # waits until the brokers have them
    return settings


def agreements(settings: Settings) -> int:
    return len(consume(settings.kafka.bootstrap, topics.settings_log(settings.kafka.group).name))


def otherwise(settings: Settings, **thresholds: int) -> Settings:
    return replace(settings, thresholds=replace(settings.thresholds, **thresholds))


def roster(settings: Settings, text: str) -> Settings:
    return replace(settings, managers=load(text, {}).managers)


async def test_the_first_worker_writes_down_its_settings_and_others_agree(settings: Settings) -> None:
    await agree(settings)
    await agree(settings)
    await agree(otherwise(settings, work_block_ms=10_000_000))  # only read
    assert agreements(settings) == 1


async def test_other_settings_are_refused_until_they_are_accepted_and_then_the_old_ones_are(settings: Settings) -> None:
    await agree(settings)
    changed = otherwise(settings, short_ms=90_000)
    for _ in range(2):
        with pytest.raises(MeaningChangedError, match=re.escape('thresholds.short: "2m" -> "90s"')):
            await agree(changed)
    assert (await agree(changed, accept=True)).named_facts, "the facts carry the name as before"
    assert (await agree(changed)).named_facts
    with pytest.raises(MeaningChangedError, match=re.escape('thresholds.short: "90s" -> "2m"')):
        await agree(settings)
    assert agreements(settings) == 2


async def test_rows_that_cannot_be_gone_on_with_are_refused_whatever_is_accepted(settings: Settings) -> None:
    await agree(settings)
    with pytest.raises(MeaningChangedError, match=r"thresholds\.histogram"):
        await agree(replace(settings, thresholds=replace(settings.thresholds, histogram_ms=(60_000,))), accept=True)


async def test_another_group_has_tables_of_its_own(settings: Settings, bootstrap: str, tmp_path: Path) -> None:
    await agree(settings)
    other = otherwise(settings_for(bootstrap, tmp_path), short_ms=90_000)
    with pytest.raises(KafkaUnusableError, match="callpulse topics create"):
        await agree(other)


async def test_who_is_new_on_the_roster_is_written_down_without_a_word(settings: Settings) -> None:
    await agree(settings)
    grown = roster(settings, '[[managers]]\nid = "anna"\ntimezone = "Asia/Tokyo"')
    await agree(grown)
    with pytest.raises(MeaningChangedError, match=re.escape('managers.anna.timezone: "Asia/Tokyo" -> "Asia/Seoul"')):
        await agree(roster(settings, '[[managers]]\nid = "anna"\ntimezone = "Asia/Seoul"'))
    await agree(grown)
    assert agreements(settings) == 2


async def test_of_workers_that_start_at_the_same_time_with_different_settings_one_kind_goes_on(
    settings: Settings,
) -> None:
    kinds = [settings, otherwise(settings, short_ms=90_000), otherwise(settings, short_ms=91_000)]
    done = await asyncio.gather(*(agree(kinds[number % 3]) for number in range(9)), return_exceptions=True)
    assert {type(one) for one in done} == {Agreed, MeaningChangedError}
    assert len({number % 3 for number, one in enumerate(done) if isinstance(one, Agreed)}) == 1


async def test_a_worker_that_was_overtaken_before_it_could_write_does_not_go_on(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = settings_log._write

    async def overtaken(kafka: Kafka, value: bytes) -> None:
        monkeypatch.setattr(settings_log, "_write", write)
        await agree(settings)
        await write(kafka, value)

    monkeypatch.setattr(settings_log, "_write", overtaken)
    with pytest.raises(MeaningChangedError):
        await agree(otherwise(settings, short_ms=90_000))
    await agree(settings)
    assert agreements(settings) == 2  # of which the second does not count


async def test_tables_of_an_earlier_release_are_taken_as_made_by_the_settings_of_the_first_start(
    start: Start, settings: Settings
) -> None:
    worker = await start(settings)  # without the command, and so without a settings log
    await send(settings, range(40))
    await wait_until(lambda: worker.calls() == 40, "all is folded")
    await worker.stop()
    assert not (await agree(otherwise(settings, short_ms=90_000))).named_facts, "facts without a mark are on their way"
    with pytest.raises(MeaningChangedError):
        await agree(settings)


def ready_and_stopped(process: subprocess.Popen[bytes], url: str) -> None:
    """Wait until the worker is ready, and end it in good order."""
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(f"{url}/-/ready", timeout=5).close()  # noqa: S310 - the worker's own address
            break
        except urllib.error.HTTPError:
            assert time.monotonic() < deadline, "not ready"
            time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


@pytest.mark.parametrize("store", ["rocksdb", "memory"])
def test_the_command_refuses_says_why_and_goes_on_when_told(bootstrap: str, tmp_path: Path, store: str) -> None:
    callpulse = Installation(bootstrap, tmp_path)
    callpulse.environment["CALLPULSE_WORKER__STORE"] = store
    assert callpulse("topics", "create").returncode == 0
    with callpulse.worker(is_measured=True) as worker:
        ready_and_stopped(*worker)
    callpulse.environment["CALLPULSE_THRESHOLDS__SHORT"] = "90s"
    callpulse.environment["CALLPULSE_RESULTS__STUCK_AFTER"] = "6"
    refused = callpulse("worker")
    assert refused.returncode == 2
    assert 'thresholds.short: "2m" -> "90s"' in refused.stderr
    assert "results.stuck_after: 5 -> 6" in refused.stderr
    assert "docs/operations.md" in refused.stderr
    assert "Traceback" not in refused.stderr
    with callpulse.worker("--accept-settings-change", is_measured=True) as worker:
        ready_and_stopped(*worker)
    with callpulse.worker(is_measured=True) as worker:
        ready_and_stopped(*worker)
