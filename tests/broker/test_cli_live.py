"""`simulate`, `worker`, `top` and `replay` together: the board shows the events that are fed in."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from streams.settings.settings import load
from streams.simulator import Department
from tests.broker.clock import wait_out_midnight
from tests.broker.installation import Installation
from tests.kafka_fixture import consume, eventually

pytestmark = [pytest.mark.broker, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
RECORDING = ROOT / "tests/fixtures/ami/ab_success_a_hangup.json"
ZONES = {manager.timezone for manager in Department.make(1, 2, 2).settings.managers.values()}
"""The zones of the invented people."""


@pytest.fixture
def callpulse(bootstrap: str, tmp_path: Path) -> Installation:
    return Installation(bootstrap, tmp_path)


@pytest.mark.timeout(480)  # it may wait for midnight
def test_a_simulated_history_is_on_the_board_with_the_figures_that_are_true(
    callpulse: Installation, tmp_path: Path
) -> None:
    assert callpulse("topics", "create").returncode == 0
    wait_out_midnight(ZONES, 150)  # the answers of today are those of the moment of the simulation
    roster, answers = tmp_path / "roster.toml", tmp_path / "answers.json"
    options = ("--managers", 6, "--teams", 2, "--always", "--days", 0.5, "--seconds", 0, "--clean", "--json")
    simulated = callpulse("simulate", *options, "--roster", roster, "--answers", answers)
    assert simulated.returncode == 0, simulated.stderr
    told = orjson.loads(simulated.stdout)
    assert told["sent"] == told["produced"] + told["crm"]
    for topic, sent in ((callpulse.calls, told["produced"]), (callpulse.crm, told["crm"])):
        assert 0 < sent == len(consume(callpulse.bootstrap, topic, at_least=sent))
    with callpulse.worker("--config", roster, is_measured=True) as (process, url):
        eventually(
            lambda: (found := callpulse.standing(url))["feed"]["age_s"] is not None and found["feed"]["lag"] == 0,
            within_s=100,
            every_s=0.5,
        )
        shown = callpulse("top", url, "--once", "--config", roster)
        assert shown.returncode == 0
        lines = {line["manager"]: line for line in callpulse.standing(url)["lines"]}
        true = {
            (answer["metric"], *answer["labels"]): answer["value"]
            for answer in orjson.loads(answers.read_bytes())["answers"]
        }
        teams = {key[1]: key[2] for key in true if key[0] == "calls_in_progress"}
        assert teams.keys() <= lines.keys()
        for manager, team in teams.items():
            of_manager = (manager, team, "today")
            calls = sum(true["calls", *of_manager, direction] for direction in ("inbound", "outbound"))
            line = lines[manager]
            assert (line["team"], line["calls"], line["meaningful"]) == (
                team,
                calls,
                true["meaningful_calls", *of_manager],
            )
            assert line["talk_s"] == pytest.approx(true["talk_time_seconds", *of_manager])
        picture = tmp_path / "board.svg"
        assert callpulse("top", url, "--svg", picture, "--config", roster).returncode == 0
        assert "http" not in picture.read_text().replace("http://www.w3.org/2000/svg", "")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    gone = callpulse("top", url, "--once")
    assert gone.returncode == 70
    assert "no worker answers" in gone.stderr


def test_the_people_of_the_stories_call_and_the_settings_file_knows_them(
    callpulse: Installation, tmp_path: Path
) -> None:
    assert callpulse("topics", "create").returncode == 0
    roster = tmp_path / "stories.toml"
    done = callpulse("simulate", "--stories", "--days", 3, "--seconds", 0, "--clean", "--json", "--roster", roster)
    assert done.returncode == 0, done.stderr
    told = orjson.loads(done.stdout)
    keys = {record.key.decode() for record in consume(callpulse.bootstrap, callpulse.calls, at_least=told["produced"])}
    settings = load(roster.read_text(encoding="utf-8"), {})
    people = keys - {f"queue:{team}" for team in settings.teams}
    assert people <= settings.managers.keys()
    assert len(people) > len(settings.managers) // 2  # a manager may be away for all of three days


def test_a_live_simulation_ends_in_good_order_when_it_is_told_to(callpulse: Installation) -> None:
    assert callpulse("topics", "create").returncode == 0
    command = ["simulate", "--managers", "30", "--always", "--intensity", "20", "--days", "0.02", "--json"]
    command += ["--speech", "0.5"]
    with subprocess.Popen(
        [sys.executable, "-m", "agents.cli", *command],
        cwd=ROOT,
        env=callpulse.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            assert "Live calls follow" in process.stderr.readline()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
        finally:
            process.kill()
    assert (process.returncode, err) == (0, "")
    told = orjson.loads(out)
    assert told["sent"] == told["produced"] + told["crm"] + told["speech"]
    speech = callpulse.crm.removesuffix("crm") + "speech"
    for topic, sent in (
        (callpulse.calls, told["produced"]),
        (callpulse.crm, told["crm"]),
        (speech, told["speech"]),
    ):
        assert 0 < sent == len(consume(callpulse.bootstrap, topic, at_least=sent))


def test_a_recording_that_is_replayed_is_in_kafka_with_the_managers_as_keys(callpulse: Installation) -> None:
    assert callpulse("topics", "create").returncode == 0
    dry = callpulse("replay", "ami", "--dry-run", RECORDING)
    replayed = callpulse("replay", "ami", "--json", RECORDING)
    assert replayed.returncode == 0, replayed.stderr
    expected = sorted(line.encode() for line in dry.stdout.splitlines())
    assert orjson.loads(replayed.stdout) == {"files": 1, "events": len(expected), "bad": 0}
    records = consume(callpulse.bootstrap, callpulse.calls, at_least=len(expected))
    assert sorted(record.value for record in records) == expected
    assert all(record.key.decode() == orjson.loads(record.value)["manager"] for record in records)


def test_a_worker_without_its_topics_says_what_to_do_and_ends(callpulse: Installation) -> None:
    done = callpulse("worker")
    assert done.returncode == 70
    assert "callpulse topics create" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_told_by_its_setting(callpulse: Installation) -> None:
    assert callpulse("topics", "create").returncode == 0
    with callpulse.worker() as (_, url):
        callpulse.environment["CALLPULSE_HTTP_PORT"] = url.rpartition(":")[2]
        callpulse.environment["CALLPULSE_WORKER_ID"] += "-2"
        done = callpulse("worker")
    assert done.returncode == 70
    assert "worker.http_port" in done.stderr
    assert "Traceback" not in done.stderr


def test_replaying_into_nothing_is_told(callpulse: Installation) -> None:
    done = callpulse("replay", "ami", RECORDING)
    assert done.returncode == 70
    assert f"has no topic {callpulse.calls}" in done.stderr
