"""`leads` and `explain` with two workers and a real Kafka: the same list from either, and explained figures."""

from __future__ import annotations

import asyncio
import csv
import io
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

from agents.kafka import admin
from streams.contract import topics
from streams.settings.settings import Settings, load
from tests.broker import command_line
from tests.faults.workers import WorkerProcess
from tests.kafka_fixture import eventually, produce, unique
from tests.oracle.handmade import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    Event,
    agreed,
    consulted,
    deal,
    ended,
    linked,
    noted,
    records,
    touched,
)

pytestmark = [pytest.mark.broker, pytest.mark.slow, pytest.mark.timeout(300)]

ROOT: Final = Path(__file__).parents[2]
MANAGERS: Final = tuple(f"m{number:02d}" for number in range(12))
PROBLEMS: Final = 48
Figures = dict[tuple[str, ...], float]


def problem(manager: int, number: int, now_ms: int) -> list[Event]:
    """A lead with three to six conversations without progress."""
    name, lead = MANAGERS[manager], f"lead-{manager:02d}-{number}"
    calls = [
        ended(
            now_ms - (5 + at) * DAY - (manager * 60 + number) * MINUTE,
            f"{lead}/{at}",
            name,
            lead=lead,
            kind="cold",
            talk_ms=(60 + 30 * at) * SECOND,
            started_at=now_ms - (5 + at) * DAY - (manager * 60 + number + 5) * MINUTE,
        )
        for at in range(3 + (manager + number) % 4)
    ]
    return [*calls, noted(calls[0]["at"] + MINUTE, lead, calls[0]["call"], reason="reminder")]


def success(manager: int, now_ms: int) -> list[Event]:
    """The events of a caller who becomes a lead of the CRM, is called, gets a proposal and a message, and buys."""
    name, lead, old = MANAGERS[manager], f"crm-{manager}", f"phone:{manager:016x}"
    at = now_ms - 3 * DAY
    first = ended(at - 2 * DAY, f"{lead}/in", name, lead=old, direction="inbound", kind="inbound", talk_ms=5 * MINUTE)
    second = ended(at, f"{lead}/out", name, lead=lead, kind="targeted", talk_ms=2 * MINUTE)
    said = {"stages": ["presentation", "proposal"], "next_step": agreed(at + DAY)}
    return [
        first,
        linked(at - DAY, lead, old),
        second,
        noted(at + MINUTE, lead, second["call"], **said),
        deal(at + MINUTE, lead, "proposal", f"deal-{manager}", product="gold", channel="phone"),
        touched(at + HOUR, lead, "email"),
        deal(at + DAY, lead, "won", f"deal-{manager}", amount="1200.50", currency="EUR"),
    ]


def department(now_ms: int) -> list[Event]:
    made = [event for manager in range(12) for number in range(4) for event in problem(manager, number, now_ms)]
    made += [event for manager in range(12) for event in success(manager, now_ms)]
    made += [ended(now_ms - 5 * MINUTE, f"today-{name}", name, lead=f"new-{name}") for name in MANAGERS]
    # One lead had its consultation: it is no longer due.
    return [*made, consulted(now_ms - DAY, "lead-00-0")]


class Place:
    """Two workers that share the partitions of the test's own installation, and its command line."""

    def __init__(self, bootstrap: str, folder: Path) -> None:
        group = unique("results")
        managers = "".join(f'[[managers]]\nid = "{name}"\nteam = "t{at % 2}"\n' for at, name in enumerate(MANAGERS))
        text = f"""timezone = "UTC"
[kafka]
bootstrap = "{bootstrap}"
group = "{group}"
topic_prefix = "{group}."
session_timeout = "15s"
heartbeat_interval = "1s"
commit_interval = "200ms"
[worker]
http_port = 0
data_dir = "{folder / "data"}"
[[teams]]
id = "t0"
[[teams]]
id = "t1"
{managers}"""
        self.config = folder / "callpulse.toml"
        self.config.write_text(text, encoding="utf-8")
        self.settings: Settings = load(text, {})
        asyncio.run(admin.create(self.settings.kafka))
        for topic in (topics.CALLS, topics.CRM):
            sent = [r for r in records(department(int(time.time() * 1000))) if r.topic == topic.name]
            produce(bootstrap, self.settings.kafka.topic_prefix + topic.name, [(r.key, r.value) for r in sent])
        self.workers = [WorkerProcess(name, self.config, folder / f"{name}.log") for name in ("w1", "w2")]

    def wait(self) -> None:
        """Wait until both workers own partitions and everything is folded."""
        for worker in self.workers:
            worker.await_url()
        eventually(self._is_whole, within_s=90, every_s=0.5, what="both workers have all of it")

    def _is_whole(self) -> bool:
        if not all(worker.ready for worker in self.workers):
            return False
        sums = [self.figures(worker) for worker in self.workers]
        both = sums[0] | sums[1]
        won = sum(value for key, value in both.items() if key[0] == "won_deals" and key[-1] == "90d")
        due = sum(value for key, value in both.items() if key[0] in {"leads_consultation_due", "leads_stuck"})
        return bool(sums[0] and sums[1] and won == len(MANAGERS) and due == self.listed_by_figures)

    listed_by_figures = (PROBLEMS - 1) + sum((m + n) % 4 >= 2 for m in range(12) for n in range(4))
    """A stuck lead counts as due as well; one lead had its consultation."""

    @staticmethod
    def figures(worker: WorkerProcess) -> Figures:
        """Return the samples of managers that a worker exports, by (metric, manager, its other labels...)."""
        scrape = worker.scrape()
        found: Figures = {}
        for line in scrape.text.splitlines() if scrape is not None else ():
            if 'manager="' in line and not line.startswith("#"):
                name, _, rest = line.partition("{")
                labels, _, value = rest.rpartition("} ")
                values = [pair.partition("=")[2].strip('"') for pair in labels.split(",")]
                found[name.removeprefix("callpulse_"), values[0], *values[2:]] = float(value)
        return found

    def __call__(self, *arguments: object, config: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command on the command line."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("CALLPULSE_")}
        words = (*arguments, "--config", config or self.config)
        return command_line.run(*words, environment=environment | {"COLUMNS": "160"}, timeout_s=60)

    def json(self, *arguments: object) -> Any:
        done = self(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return orjson.loads(done.stdout)

    def close(self) -> None:
        for worker in self.workers:
            worker.kill()


@pytest.fixture(scope="module")
def place(kafka: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(kafka.bootstrap, tmp_path_factory.mktemp("results"))
    try:
        made.wait()
        yield made
    finally:
        made.close()


class TestLeads:
    def test_either_worker_gives_the_one_list_of_all(self, place: Place) -> None:
        one, other = (place.json("leads", worker.url, "--limit", 200) for worker in place.workers)
        assert one == other
        assert (one["total"], one["missing_partitions"]) == (PROBLEMS - 1, [])
        names = [lead["lead"] for lead in one["leads"]]
        every = {f"lead-{manager:02d}-{number}" for manager in range(12) for number in range(4)} - {"lead-00-0"}
        assert (len(names), set(names)) == (PROBLEMS - 1, every)
        assert {lead["manager"] for lead in one["leads"]} == set(MANAGERS)
        for worker in place.workers:  # neither worker has all of them by itself
            assert 0 < sum(key[0] == "calls_in_progress" for key in place.figures(worker)) < len(MANAGERS)

    def test_it_says_of_each_lead_what_a_supervisor_must_know(self, place: Place) -> None:
        found = place.json("leads", place.workers[0].url, "--manager", "m03", "--why", "stuck")
        assert [lead["lead"] for lead in found["leads"]] == ["lead-03-0", "lead-03-3"]
        assert found["leads"][0] == {
            "team": "t1",
            "manager": "m03",
            "lead": "lead-03-0",
            "why": "stuck",
            "without_progress": 6,
            "attempts": 6,
            "reason": "reminder",
            "stage": "none",
            "days_in_stage": found["leads"][0]["days_in_stage"],
        }
        assert found["leads"][0]["days_in_stage"] in {10, 11}

    def test_the_list_is_what_the_figures_count(self, place: Place) -> None:
        found = place.json("leads", place.workers[1].url, "--limit", 200, "--why", "stuck")
        figures = place.figures(place.workers[0]) | place.figures(place.workers[1])
        assert found["total"] == sum(value for key, value in figures.items() if key[0] == "leads_stuck")

    def test_text_and_csv_tell_the_same(self, place: Place) -> None:
        url = place.workers[0].url
        found = place.json("leads", url, "--limit", 200)["leads"]
        done = place("leads", url, "--csv", "--limit", 200)
        assert (done.returncode, done.stderr) == (0, "")
        rows = list(csv.DictReader(io.StringIO(done.stdout)))
        assert rows == [{name: str(value) for name, value in lead.items()} for lead in found]
        shown = place("leads", url, "--limit", 200)
        assert shown.returncode == 0
        assert f"{len(found)} of {len(found)} leads that need help" in shown.stdout
        assert [word for word in shown.stdout.split() if word.startswith("lead-")] == [lead["lead"] for lead in found]
        assert "stuck: bring in somebody else" in shown.stdout

    def test_a_short_list_is_the_beginning_of_the_long_one(self, place: Place) -> None:
        url = place.workers[1].url
        found = place.json("leads", url, "--limit", 200)["leads"]
        assert place.json("leads", url, "--limit", 5)["leads"] == found[:5]

    def test_nobody_in_need_is_told_as_such(self, place: Place) -> None:
        done = place("leads", place.workers[0].url, "--manager", "nobody")
        assert (done.returncode, done.stdout.strip()) == (0, "No lead needs help now.")


class TestExplain:
    @pytest.mark.parametrize("window", [None, "1h", "7d", "90d", "previous"])
    def test_every_figure_is_what_the_worker_exports(self, place: Place, window: str | None) -> None:
        manager = "m05"
        (worker,) = [worker for worker in place.workers if ("on_shift", manager) in place.figures(worker)]
        before = place.figures(worker)
        found = place.json("explain", manager, *(["--window", window] if window else []))
        after = place.figures(worker)
        compared = 0
        for explanation in found:
            name = explanation["metric"]
            assert window in {None, explanation["window"]}
            for label, value in explanation["figures"].items():
                of = [
                    key for key in before if key[:2] == (name, manager) and is_of(key[2:], explanation["window"], label)
                ]
                if value is None:
                    assert of == []
                elif before[of[0]] == after.get(of[0]):  # otherwise the clock has moved on meanwhile
                    assert value == pytest.approx(before[of[0]]), (name, label)
                    compared += 1
        assert compared >= {None: 60, "1h": 4, "7d": 8, "90d": 20, "previous": 0}[window]

    @pytest.mark.parametrize(
        ("metric", "window", "counted"),
        [
            ("won_deals", "30d", [("deal", "deal-5", "crm-5")]),
            ("proposal_calls", "90d", [("call", "crm-5/out", "crm-5")]),
            ("next_steps_kept_ratio", "30d", [("call", "crm-5/out", "crm-5")]),
            ("mean_won_amount", "90d", [("deal", "deal-5", "crm-5")]),
            ("leads_stuck", "30d", [("lead", "lead-05-1", "lead-05-1"), ("lead", "lead-05-2", "lead-05-2")]),
            ("calls", "1h", [("call", "today-m05", "new-m05")]),
        ],
    )
    def test_the_evidence_has_the_ids_of_telephony_and_crm(
        self, place: Place, metric: str, window: str, counted: list[tuple[str, str, str]]
    ) -> None:
        found = place.json("explain", "m05", metric, "--window", window)
        pieces = [piece for piece in found["pieces"] if piece["role"] == "counted"]
        assert sorted((piece["of"], piece["id"], piece["lead"]) for piece in pieces) == counted

    def test_a_person_can_read_it(self, place: Place) -> None:
        done = place("explain", "m05", "callpulse_conversion_ratio")
        assert (done.returncode, done.stderr) == (0, "")
        first, second, *lines = done.stdout.splitlines()
        assert first == "conversion_ratio of m05, 30d: 1"
        assert second.startswith("Won deals divided by calls in which a proposal was discussed")
        assert lines[0].split()[:2] == ["when", "(UTC)"]
        assert "deal-5" in lines[1]
        assert lines[1].split()[-1] == "counted"
        assert "crm-5/out" in lines[2]
        every = place("explain", "m05")
        assert every.returncode == 0
        assert any(line.split()[:3] == ["won_deals", "30d", "1"] for line in every.stdout.splitlines())

    def test_with_more_pieces_than_are_shown_it_says_so(self, place: Place) -> None:
        done = place("explain", "m05", "calls", "--window", "30d", "--limit", 2)
        assert "These are the newest 2 of " in done.stderr
        assert done.stdout.count(" call ") == 2

    @pytest.mark.parametrize(
        ("manager", "told"),
        [("m5", "the topics hold nothing of manager 'm5'; did you mean m05?"), ("zoe", "nothing of manager 'zoe'.")],
    )
    def test_a_manager_of_whom_nothing_is_known_is_told(self, place: Place, manager: str, told: str) -> None:
        done = place("explain", manager)
        assert done.returncode == 1
        assert told in done.stderr
        assert done.stdout == ""

    def test_without_its_topics_it_says_what_to_do(self, place: Place, tmp_path: Path) -> None:
        elsewhere = tmp_path / "callpulse.toml"
        elsewhere.write_text(place.config.read_text().replace(place.settings.kafka.group, unique("nowhere")))
        done = place("explain", "m05", config=elsewhere)
        assert done.returncode == 70
        assert "callpulse topics create" in done.stderr
        assert "Traceback" not in done.stderr


def is_of(labels: tuple[str, ...], window: str, label: str) -> bool:
    """Return whether a series has the window, if it has one, and the label."""
    return labels in {(window, label), (window,) if not label else (label,), () if not label else (label,)}


def test_leads_of_a_worker_that_died_are_missed_by_name_and_come_back(bootstrap: str, tmp_path: Path) -> None:
    place = Place(bootstrap, tmp_path)
    try:
        place.wait()
        left, gone = place.workers
        whole = place.json("leads", left.url, "--limit", 200)
        owned = {key[1] for key in place.figures(gone)}
        missing = sorted({topics.partition_of(name.encode(), 4) for name in owned})
        gone.kill()
        done = place("leads", left.url, "--limit", 200, "--json")
        found = orjson.loads(done.stdout)
        assert done.returncode == 1
        assert found["missing_partitions"] == missing
        assert f"no worker answered for partition {', '.join(map(str, missing))}" in done.stderr
        assert found["leads"] == [lead for lead in whole["leads"] if lead["manager"] not in owned]
        assert place("leads", gone.url).returncode == 70
        eventually(
            lambda: place("leads", left.url, "--limit", 200).returncode == 0, within_s=90, what="the other takes over"
        )
        assert place.json("leads", left.url, "--limit", 200) == whole
    finally:
        place.close()
