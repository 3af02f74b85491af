"""`callpulse rebuild` with other settings: every figure is as if they had always applied; the metrics have no gap."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Self

import orjson
import pytest

from streams.settings.settings import load
from tests.faults.department import Installation, chosen_seed, managers_in
from tests.faults.odd_ways import send_oddly
from tests.faults.workers import ROOT, WorkerProcess
from tests.kafka_fixture import eventually
from tests.oracle.chaos import Chaos
from tests.oracle.names import GLIDING

pytestmark = [pytest.mark.broker, pytest.mark.slow, pytest.mark.timeout(600)]

OLD = '[thresholds]\nconversation = "1m"\n[results]\nmentor_after = 3\n'
NEW = '[thresholds]\nconversation = "2m"\n[results]\nmentor_after = 2\n'


def command(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `callpulse` as a person would."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("CALLPULSE_")}
    return subprocess.run(
        [sys.executable, "-m", "agents.cli", *arguments, "--config", str(config)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


class Scraping:
    """Scrapes all running workers repeatedly, as Prometheus does, on a thread of its own."""

    def __init__(self, place: Installation, managers: set[str]) -> None:
        self._place = place
        self._managers = managers
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.rounds = 0
        self.missing: list[set[str]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)

    def _run(self) -> None:
        while not self._stop.wait(0.1):
            # The worker that stops last is scraped first: it may be gone when the round ends.
            found: set[str] = set()
            for worker in self._place.alive:
                scrape = worker.scrape(timeout_s=5)
                found |= managers_in(scrape.text) if scrape is not None else set()
            self.rounds += 1
            if missing := self._managers - found:
                self.missing.append(missing)


def test_tables_made_anew_by_other_settings_are_those_of_a_fresh_replay(bootstrap: str, tmp_path: Path) -> None:
    with Installation(bootstrap, tmp_path, chosen_seed(11), managers=6, more=OLD) as place:
        old = place.start("old")
        place.feed(place.history(3, intensity=0.4)).join()
        place.assert_exact()
        changed = tmp_path / "new.toml"
        changed.write_text(place.config.read_text().replace(OLD, NEW))

        managers = {record.key.decode() for record in place.raw() if record.topic == "calls" and record.key}
        shown = managers_in(place.scrapes()[0].text) & managers
        with Scraping(place, shown) as scraping:
            group = f"{place.group}-new"
            done = command(changed, "rebuild", "--json", "--group", group, old.url)
            assert done.returncode == 0, done.stderr
            report: dict[str, Any] = orjson.loads(done.stdout)
            final = tmp_path / "final.toml"
            final.write_text(changed.read_text().replace(f'group = "{place.group}"', f'group = "{group}"'))
            new = place.workers["new"] = WorkerProcess("new", final, tmp_path / "new.log")
            eventually(lambda: new.ready, within_s=60, what="the new worker is ready")
            assert old.terminate() == 0
            rounds = scraping.rounds
            eventually(lambda: scraping.rounds > rounds + 2, what="further scrapes")
        assert scraping.missing == []
        assert (report["group"], report["replaces"], report["compared"]) == (group, place.group, True)
        assert len(report["changed_settings"]) == 2
        metrics = {difference["metric"] for difference in report["differences"]}
        assert "callpulse_conversations" in metrics, report
        place.settings, place.group = load(final.read_text(), {}), group
        place.assert_exact()

        again = command(final, "rebuild", "--group", place.group, new.url)
        assert again.returncode == 2
        assert "must have another name" in again.stderr


def test_what_came_by_odd_ways_counts_once_before_and_after_a_rebuild(bootstrap: str, tmp_path: Path) -> None:
    """Events in senseless combinations: internal calls, returned calls, deals under several leads and of two CRMs.

    Some are in wrong partitions, so the rebuild sends them on a second time; some are in transactions that are aborted.
    """
    with Installation(bootstrap, tmp_path, chosen_seed(12), managers=6) as place:
        zones = {manager.id: manager.timezone for manager in place.settings.managers.values()}
        chaos = Chaos(seed=chosen_seed(12), now_ms=int(time.time() * 1000), roster=zones, leads=120, days=80.0)
        events = chaos.events()
        records = [
            (topic, event["manager" if topic == "calls" else "lead"].encode(), orjson.dumps(event))
            for event in events
            for topic in ["calls" if "direction" in event or "to_manager" in event else "crm"]
        ]
        strays = send_oddly(place.settings.kafka, records, chosen_seed(12))
        old = place.start("old")
        old.await_url()
        before = place.assert_exact()
        assert strays > 20
        group = f"{place.group}-2"
        done = command(place.config, "rebuild", "--json", "--group", group, old.url)
        assert done.returncode == 0, done.stderr
        differing = {difference["metric"] for difference in orjson.loads(done.stdout)["differences"]}
        assert differing <= GLIDING, "figures that move with the clock are read at two moments"
        final = tmp_path / "final.toml"
        final.write_text(place.config.read_text().replace(f'group = "{place.group}"', f'group = "{group}"'))
        assert old.terminate() == 0
        place.start_by("new", final)
        after = place.assert_exact()
        assert after.unique == before.unique
        sent_on = after.records + after.crm - after.own - (before.records + before.crm - before.own)
        assert sent_on == strays, "the rebuild sent every stray on again"
        kinds = {event["type"] for event in events}
        assert kinds >= {"deal.deleted", "lead.linked", "call.transferred"}
        assert any(event.get("internal") for event in events)
