"""`callpulse sources`: the configured sources, with their state by the metrics of running processes."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from agents.cli.polled_sources import POLL_METRICS, poll_states
from agents.cli.source_stages import block
from agents.cli.sources import configured, states
from agents.gateway.metrics import GatewayMetrics
from agents.telemetry.scrape import Sample, samples
from streams.settings.access import hashed
from streams.settings.settings import Settings, load
from streams.sources.polls import Stage
from streams.sources.registry import SOURCES
from tests.agents.cli_runner import Runner

TOML = """
[sources.asterisk]
source = "berlin"
[sources.asterisk.ami]
host = "127.0.0.1"
port = 1
secret = "x"
"""


def settings(text: str) -> Settings:
    return load(text, {}, SOURCES)


def exported(metrics: GatewayMetrics) -> str:
    from prometheus_client import generate_latest  # noqa: PLC0415 - of the process that exports

    return generate_latest(metrics.registry).decode()


@pytest.mark.parametrize(
    ("text", "names"),
    [("", []), ('[privacy]\nregion = "DE"\n', []), (TOML, ["berlin"]), ("[sources.asterisk]\n", ["asterisk"])],
)
def test_a_source_that_the_settings_name_is_listed(text: str, names: list[str]) -> None:
    assert configured(settings(text)) == names


def test_a_source_that_nobody_has_heard_of_says_so() -> None:
    (row,) = states(settings(TOML), [], 0.0)
    assert (row["source"], row["state"], row["received"]) == ("berlin", "not heard of", 0)


@pytest.mark.parametrize(("connected", "state"), [(True, "connected"), (False, "not connected")])
def test_a_live_source_has_the_state_of_its_link(connected: bool, state: str) -> None:
    metrics = GatewayMetrics(clock=lambda: 1_000.0)
    metrics.announce("berlin")
    metrics.not_stored("berlin", 3)
    metrics.gap("berlin")
    metrics.link("berlin", connected=connected, waiting=0, clock_ahead_s=None)
    (row,) = states(settings(TOML), list(samples(exported(metrics))), 1_060.0)
    assert (row["state"], row["last_heard"], row["received"], row["gaps"]) == (state, "60 s ago", 3, 1)


def test_several_processes_are_added_up_and_unknown_sources_are_listed() -> None:
    found: list[Sample] = []
    for _ in range(2):
        metrics = GatewayMetrics(clock=lambda: 1_000.0)
        metrics.not_stored("crm", 2)
        found += samples(exported(metrics))
    rows = {row["source"]: row for row in states(settings(TOML), found, 1_000.0)}
    assert rows.keys() == {"berlin", "crm"}
    assert (rows["crm"]["received"], rows["crm"]["state"]) == (4, "heard")


def test_a_process_that_does_not_answer_is_named(callpulse: Runner, tmp_path: Path) -> None:
    config = tmp_path / "callpulse.toml"
    config.write_text(TOML, encoding="utf-8")
    done = callpulse("sources", "--config", config, "--at", "127.0.0.1:1", "--json")
    assert done.code == 0
    answer = json.loads(done.out)
    assert [row["source"] for row in answer["sources"]] == ["berlin"]
    assert "127.0.0.1:1" in answer["silent"][0]


def test_a_source_that_cannot_be_tested_is_refused(callpulse: Runner) -> None:
    done = callpulse("sources", "test", "nonsense")
    assert done.code == 2
    assert "asterisk" in done.err


def test_a_test_without_a_host_says_what_to_set(callpulse: Runner) -> None:
    done = callpulse("sources", "test", "asterisk")
    assert done.code == 2
    assert "sources.asterisk.ami.host" in done.err


def test_a_test_that_finds_a_problem_ends_with_1(callpulse: Runner, tmp_path: Path) -> None:
    config = tmp_path / "callpulse.toml"
    config.write_text(TOML, encoding="utf-8")
    done = callpulse("sources", "test", "asterisk", "--config", config, "--seconds", "0.2")
    assert done.code == 1
    assert "PROBLEM: 127.0.0.1:1 cannot be reached" in done.out


def test_a_polled_source_shows_how_far_it_is_read_and_what_was_answered() -> None:
    metrics = GatewayMetrics()
    metrics.polls.began("crm", 60)
    metrics.polls.asked("crm", 200, 48.6)
    metrics.polls.until("crm", 1_795_435_200_000)
    metrics.polls.ended("crm", "done", 1_000.0, 0)
    assert list(poll_states(list(samples(exported(metrics), POLL_METRICS)), 1_060.0)) == [
        {
            "polled_source": "crm",
            "state": "polled",
            "read_until": "2026-11-23 12:00:00 UTC",
            "last_success": "60 s ago",
            "last_answer": "HTTP 200",
            "requests_left": 48,
        }
    ]


@pytest.mark.parametrize(
    ("status", "state"), [(401, "unauthenticated"), (403, "unauthenticated"), (0, "poll fails"), (200, "poll fails")]
)
def test_a_poll_that_fails_says_whether_the_access_is_the_reason(status: int, state: str) -> None:
    metrics = GatewayMetrics()
    metrics.polls.began("crm", 60)
    metrics.polls.asked("crm", status, 0)
    metrics.polls.ended("crm", "failed", 1_000.0, 1)
    (row,) = poll_states(list(samples(exported(metrics), POLL_METRICS)), 1_060.0)
    assert (row["state"], row["last_success"]) == (state, None)
    metrics.polls.left("crm")
    assert list(poll_states(list(samples(exported(metrics), POLL_METRICS)), 1_060.0)) == []


def test_stages_become_a_block_that_can_be_pasted() -> None:
    found = [
        Stage(key="C1:NEW", name="Новая", pipeline='Sales "A"'),
        Stage(key="C1:EXECUTING", name="Proposal", pipeline='Sales "A"'),
        Stage(key="C1:WON", name="Сделка\nуспешна", pipeline='Sales "A"', is_won=True),
        Stage(key="LOSE", name="x", pipeline="Other", is_lost=True),
    ]
    text = "\n".join(block("crm", found, settings("")))
    read = tomllib.loads(text)["sources"]["crm"]["stages"]
    assert read["C1:EXECUTING"] == "proposal"
    assert (read["C1:WON"], read["LOSE"]) == ("won", "lost")
    assert read["C1:NEW"] in settings("").results.stages


def test_a_source_without_stages_is_refused(callpulse: Runner) -> None:
    done = callpulse("sources", "stages", "asterisk")
    assert done.code == 2
    assert "cannot be asked for stages" in done.err


@pytest.mark.parametrize(
    "table",
    [
        f'[sources.bitrix24]\ntokens = ["{hashed("x")}"]\napplication_token = "y"\n',
        '[sources.bitrix24]\nwebhook = "http://127.0.0.1:1/rest/1/code/"\n',
    ],
)
def test_a_gateway_that_reads_numbers_does_not_start_without_the_secret_that_hashes_them(
    callpulse: Runner, tmp_path: Path, table: str
) -> None:
    config = tmp_path / "callpulse.toml"
    config.write_text(table, encoding="utf-8")
    done = callpulse("gateway", "--config", config)
    assert done.code == 2
    assert "privacy.lead_secret is not set" in done.err
