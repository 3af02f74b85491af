"""The compose files: their form, what their containers may do, three brokers, and workers that scale."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any, Final

import jsonschema_rs
import pytest
import yaml

from agents.worker import STOP_DEADLINE_S
from streams.settings.settings import load
from streams.sources.registry import SOURCES
from tests.yaml_text import parsed

ROOT: Final = Path(__file__).parents[2]
SCHEMA: Final = jsonschema_rs.validator_for(
    json.loads((ROOT / "tests/fixtures/schemas/compose-spec.json").read_text("utf-8"))
)
COMPOSE: Final = parsed((ROOT / "deploy/compose.yaml").read_text("utf-8"))
SERVICES: Final = COMPOSE["services"]
BROKERS: Final = ("kafka", "kafka-2", "kafka-3")
EACH = pytest.mark.parametrize("name", SERVICES)
BROKER = pytest.mark.parametrize("name", BROKERS)


class _Loader(yaml.SafeLoader):
    """Reads Compose's own tags, too."""


_Loader.add_constructor("!reset", lambda _loader, _node: None)


def _override(loader: yaml.SafeLoader, node: Any) -> Any:
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor("!override", _override)
SINGLE: Final = yaml.load((ROOT / "deploy/compose.single.yaml").read_text("utf-8"), _Loader)  # noqa: S506 - a safe loader


def problems(document: Any) -> list[str]:
    """Return the errors by the schema of Compose."""
    return [f"{list(error.instance_path)}: {error.message}" for error in SCHEMA.iter_errors(document)]


class TestForm:
    def test_the_file_has_the_form_of_compose(self) -> None:
        assert problems(COMPOSE) == []

    def test_a_key_that_compose_does_not_know_is_seen(self) -> None:
        assert problems({"services": {"worker": {"image": "x", "stop_grace": "30s"}}})

    def test_what_the_single_broker_changes_has_the_form_of_compose(self) -> None:
        assert problems({**SINGLE, "services": {name: one for name, one in SINGLE["services"].items() if one}}) == []


def test_the_template_that_the_examples_of_receivers_name_is_beside_the_configuration() -> None:
    mounts = dict(volume.split(":")[:2] for volume in SERVICES["alertmanager"]["volumes"])
    for name in ("alertmanager.yml", "callpulse.tmpl", "callpulse.ru.tmpl"):
        assert (ROOT / "deploy" / "alertmanager" / name).is_file()
        assert mounts[f"./alertmanager/{name}"] == f"/etc/alertmanager/{name}"


class TestRights:
    @EACH
    def test_no_container_may_gain_rights(self, name: str) -> None:
        assert SERVICES[name]["cap_drop"] == ["ALL"]
        assert SERVICES[name]["security_opt"] == ["no-new-privileges:true"]
        assert not SERVICES[name].keys() & {"privileged", "cap_add", "pid", "network_mode", "user", "devices"}

    @EACH
    def test_the_root_of_a_container_is_read_only_but_for_kafka_which_writes_its_configuration(self, name: str) -> None:
        assert SERVICES[name].get("read_only", False) is (name not in BROKERS)


class TestBrokers:
    @BROKER
    def test_a_broker_knows_all_and_itself(self, name: str) -> None:
        own = SERVICES[name]["environment"]
        node, port = BROKERS.index(name) + 1, 9094 + BROKERS.index(name)
        assert own["KAFKA_NODE_ID"] == str(node)
        voters = own["KAFKA_CONTROLLER_QUORUM_VOTERS"].split(",")
        assert voters == [f"{number}@{broker}:9093" for number, broker in enumerate(BROKERS, 1)]
        assert own["KAFKA_LISTENERS"] == f"INSIDE://:9092,OUTSIDE://:{port},CONTROLLER://:9093"
        assert own["KAFKA_ADVERTISED_LISTENERS"] == f"INSIDE://{name}:9092,OUTSIDE://127.0.0.1:{port}"
        assert SERVICES[name]["ports"] == [f"127.0.0.1:{port}:{port}"]
        assert SERVICES[name]["volumes"] == [f"{name}:{own['KAFKA_LOG_DIRS']}"]

    def test_they_are_one_cluster(self) -> None:
        assert len({SERVICES[name]["environment"]["CLUSTER_ID"] for name in BROKERS}) == 1

    @BROKER
    def test_a_record_is_on_three_of_them_and_acknowledged_by_two(self, name: str) -> None:
        copies = {key: value for key, value in SERVICES[name]["environment"].items() if "REPLICATION" in key}
        assert set(copies.values()) == {"3"}
        assert len(copies) == 3
        kept = {
            key: value for key, value in SERVICES[name]["environment"].items() if key.endswith(("_ISR", "_REPLICAS"))
        }
        assert set(kept.values()) == {"2"}
        assert len(kept) == 2

    @pytest.mark.parametrize("name", ["topics", "worker", "gateway"])
    def test_callpulse_makes_topics_with_as_many_copies(self, name: str) -> None:
        kafka = load("", _given(SERVICES[name]["environment"]), SOURCES).kafka
        assert kafka.replication == 3
        assert [broker.rsplit(":")[0] for broker in kafka.bootstrap.split(",")] == list(BROKERS)

    def test_topics_are_made_once_all_are_there(self) -> None:
        assert SERVICES["topics"]["depends_on"] == {name: {"condition": "service_healthy"} for name in BROKERS}


class TestSingleBroker:
    def test_each_number_of_copies_is_one(self) -> None:
        merged = SERVICES["kafka"]["environment"] | SINGLE["services"]["kafka"]["environment"]
        counts = {key: value for key, value in merged.items() if re.search("REPLICATION|_ISR$|_REPLICAS$", key)}
        assert set(counts.values()) == {"1"}
        assert len(counts) == 5
        assert merged["KAFKA_CONTROLLER_QUORUM_VOTERS"] == "1@kafka:9093"

    def test_the_others_are_not_there_and_nobody_waits_for_them(self) -> None:
        assert [SINGLE["services"][name] for name in BROKERS[1:]] == [None, None]
        assert SINGLE["services"]["topics"]["depends_on"].keys() == {"kafka"}
        assert "!reset null" in (ROOT / "deploy/compose.single.yaml").read_text("utf-8")

    @pytest.mark.parametrize("name", ["topics", "worker", "gateway"])
    def test_callpulse_is_told_so(self, name: str) -> None:
        merged = SERVICES[name]["environment"] | SINGLE["services"][name]["environment"]
        kafka = load("", _given(merged), SOURCES).kafka
        assert (kafka.bootstrap, kafka.replication) == ("kafka:9092", 1)


class TestWorkers:
    def test_nothing_of_the_service_is_there_only_once(self) -> None:
        assert not SERVICES["worker"].keys() & {"ports", "container_name", "hostname", "deploy", "scale"}

    def test_a_container_has_time_to_stop(self) -> None:
        for name in ("worker", "gateway"):
            assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) > STOP_DEADLINE_S

    def test_each_container_takes_the_first_name_that_is_free(self, tmp_path: Path) -> None:
        shell, option, script = SERVICES["worker"]["entrypoint"]
        script = script.replace("$$", "$").replace("/var/lib/callpulse", str(tmp_path))
        stub = tmp_path / "callpulse"
        # It prints its name, and holds it until its standard input ends.
        stub.write_text('#!/bin/sh\necho "$1 $CALLPULSE_WORKER__ID"\nexec cat\n')
        stub.chmod(0o755)
        running: list[subprocess.Popen[str]] = []

        def start() -> str:
            process = subprocess.Popen(
                [shell, option, script],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
            )
            running.append(process)
            assert process.stdout is not None
            return process.stdout.readline().strip()

        try:
            assert [start() for _ in range(3)] == ["worker worker-1", "worker worker-2", "worker worker-3"]
            running[1].communicate(timeout=20)
            assert start() == "worker worker-2"
        finally:
            for process in running:
                if process.poll() is None:
                    process.communicate(timeout=20)


def _given(environment: dict[str, str]) -> dict[str, str]:
    return {**environment, "CALLPULSE_LEAD_SECRET": "sixteen characters"}
