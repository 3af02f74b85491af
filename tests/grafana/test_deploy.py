"""The deployment with compose, read as data: docker itself is not used, because it is not always installed."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agents.cli import app
from grafana.config import Config
from streams.settings.settings import load
from streams.sources.registry import SOURCES
from tests.grafana.tooling import ROOT, RULES, run
from tests.yaml_text import parsed

DEPLOY = ROOT / "deploy"
TEXT = (DEPLOY / "compose.yaml").read_text("utf-8")
COMPOSE = parsed(TEXT)
SERVICES = COMPOSE["services"]
EACH = pytest.mark.parametrize("name", SERVICES)


def test_the_services_are_the_whole_way_from_kafka_to_the_board() -> None:
    brokers = {"kafka", "kafka-2", "kafka-3"}
    assert SERVICES.keys() == brokers | {"topics", "worker", "gateway", "prometheus", "alertmanager", "grafana"}


@EACH
def test_an_image_is_pinned_to_one_version(name: str) -> None:
    assert re.fullmatch(r"[a-z/]+:v?\d+\.\d+\.\d+", SERVICES[name]["image"])


@EACH
def test_every_service_has_a_health_to_check_and_those_that_end_say_so(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    if name == "topics":
        assert check == {"disable": True}
    else:
        assert check["test"][0] == "CMD"


def test_the_worker_is_healthy_when_it_makes_progress_and_is_restored() -> None:
    check = " ".join(SERVICES["worker"]["healthcheck"]["test"])
    assert "8787" in check
    assert all(page in check for page in ("healthy", "ready"))


def test_the_gateway_is_healthy_when_it_takes_events() -> None:
    check = " ".join(SERVICES["gateway"]["healthcheck"]["test"])
    assert "8791" in check
    assert all(page in check for page in ("healthy", "ready"))


def _with_listeners(text: str) -> Any:
    """Return the content of a file without the # before its examples of listeners."""
    return parsed(
        re.sub(
            r"^(  +)# (?=  |listen-|reconcile:|<<: |- job_name: callpulse-gateway-)", r"\1", text, flags=re.MULTILINE
        )
    )


def test_the_examples_of_listeners_are_services_once_the_signs_are_taken_away() -> None:
    compose = _with_listeners(TEXT)
    added = compose["services"].keys() - SERVICES.keys()
    assert added == {"listen-ami", "listen-cel", "reconcile"}
    assert compose["volumes"].keys() - COMPOSE["volumes"].keys() == added
    for name in added:
        service = compose["services"][name]
        assert service["healthcheck"] == SERVICES["gateway"]["healthcheck"]
        assert f"{name}:/var/lib/callpulse" in service["volumes"]
        assert service["command"][: len(name.split("-"))] == name.split("-")
        assert service["environment"].items() >= SERVICES["gateway"]["environment"].items()
    jobs = _with_listeners((DEPLOY / "prometheus/prometheus.yml").read_text("utf-8").split("\nscrape_configs:")[1])
    scraped = {
        name: job["job_name"] for job in jobs for lookup in job.get("dns_sd_configs", ()) for name in lookup["names"]
    }
    assert scraped.keys() == {"worker", "gateway", *added}
    assert len(set(scraped.values())) == len(scraped), "processes of one job stand in for each other"
    assert all(scraped[name].startswith(Config().prometheus.gateway_job) for name in ("gateway", *added))


@EACH
def test_no_secret_stands_in_the_file_and_one_that_is_missing_is_asked_for(name: str) -> None:
    for key, value in SERVICES[name].get("environment", {}).items():
        if re.search("SECRET|PASSWORD|TOKEN|KEY", key):
            assert re.fullmatch(r"\$\{[A-Z_]+:\?.+\}", value), key


@EACH
def test_ports_are_open_to_this_machine_alone(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", ()))


@EACH
def test_a_service_starts_after_services_that_exist(name: str) -> None:
    assert SERVICES[name].get("depends_on", {}).keys() <= SERVICES.keys()


@EACH
def test_a_mounted_file_is_there_and_a_volume_is_declared(name: str) -> None:
    for mount in SERVICES[name].get("volumes", ()):
        source = re.sub(r"\$\{\w+:-([^}]+)\}", r"\1", mount).split(":")[0]
        if source.startswith("."):
            assert (DEPLOY / source).exists(), source
            assert mount.endswith(":ro")
        else:
            assert source in COMPOSE["volumes"]


def test_the_file_is_what_compose_reads() -> None:
    docker = shutil.which("docker")
    if docker is None or run("docker", "compose", "version").returncode:
        pytest.skip("no docker with compose here; the other tests read the file as data")
    done = run("docker", "compose", "-f", DEPLOY / "compose.yaml", "config", "--quiet", "--no-interpolate")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "command", [["topics", "create"], ["worker"], ["gateway"], ["listen", "ami"], ["listen", "cel"]]
)
def test_the_commands_of_the_containers_exist(command: Any) -> None:
    services = _with_listeners(TEXT)["services"].values()
    words = [" ".join([*service.get("entrypoint", []), *service.get("command", [])]) for service in services]
    assert any(" ".join(command) in each for each in words)
    done = CliRunner().invoke(app, [*command, "--help"])
    assert done.exit_code == 0, done.output


def test_callpulse_accepts_the_settings_that_the_containers_give_it() -> None:
    image = dict(re.findall(r"(CALLPULSE_\w+)=(\S+)", (DEPLOY / "Dockerfile").read_text("utf-8")))
    given = image | SERVICES["worker"]["environment"] | {"CALLPULSE_WORKER__ID": "0a1b2c3d4e5f"}
    given["CALLPULSE_LEAD_SECRET"] = "sixteen characters"  # noqa: S105 - it keeps nothing secret
    settings = load((ROOT / "callpulse.example.toml").read_text("utf-8"), given, SOURCES)
    assert settings.kafka.bootstrap == "kafka:9092,kafka-2:9092,kafka-3:9092"
    assert (settings.worker.http_host, settings.worker.http_port) == ("0.0.0.0", 8787)  # noqa: S104 - what is asserted
    assert settings.worker.data_dir == "/var/lib/callpulse"


def test_callpulse_accepts_the_settings_that_the_gateway_is_given() -> None:
    given = dict(SERVICES["gateway"]["environment"])
    given["CALLPULSE_LEAD_SECRET"] = "sixteen characters"  # noqa: S105 - it keeps nothing secret
    settings = load((ROOT / "callpulse.example.toml").read_text("utf-8"), given, SOURCES)
    assert settings.kafka.bootstrap == "kafka:9092,kafka-2:9092,kafka-3:9092"
    assert settings.gateway.http_host == settings.gateway.status_host == "0.0.0.0"  # noqa: S104 - what is asserted
    assert (settings.gateway.http_port, settings.gateway.status_port) == (8790, 8791)
    (volume,) = (mount for mount in SERVICES["gateway"]["volumes"] if not mount.endswith(":ro"))
    assert settings.gateway.data_dir.startswith(volume.split(":")[1])


@pytest.mark.parametrize("rules", ["../grafana/rules", "../grafana/ru/rules"])
def test_prometheus_reads_its_configuration_and_the_rules_that_are_mounted(rules: str, tmp_path: Path) -> None:
    shutil.copy(DEPLOY / "prometheus/prometheus.yml", tmp_path)
    mounts = SERVICES["prometheus"]["volumes"]
    assert "${CALLPULSE_RULES:-../grafana/rules}:/etc/prometheus/rules:ro" in mounts
    shutil.copytree(DEPLOY / rules, tmp_path / "rules")
    done = run("promtool", "check", "config", tmp_path / "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(RULES)} rule files found" in done.stdout


@pytest.mark.parametrize(("service", "job"), [("worker", "job"), ("gateway", "gateway_job")])
def test_prometheus_scrapes_a_process_under_the_name_that_the_rules_count_on(service: str, job: str) -> None:
    jobs = {job["job_name"]: job for job in _prometheus()["scrape_configs"]}
    (lookup,) = jobs[getattr(Config().prometheus, job)]["dns_sd_configs"]
    assert lookup["names"] == [service]
    assert str(lookup["port"]) in SERVICES[service]["expose"]


def test_the_addresses_of_runbook_and_boards_are_no_labels_of_an_alert() -> None:
    (relabel,) = _prometheus()["alerting"]["alert_relabel_configs"]
    assert relabel == {"action": "labeldrop", "regex": "runbooks|grafana"}


def test_grafana_is_given_what_its_provisioning_asks_for() -> None:
    asked = set()
    for path in (DEPLOY / "grafana/provisioning").rglob("*.yaml"):
        text = path.read_text("utf-8")
        assert parsed(text)["apiVersion"] == 1
        asked |= set(
            re.findall(r"\$\{(\w+)\}", "\n".join(line for line in text.splitlines() if line.lstrip()[:1] != "#"))
        )
    assert asked == {"PROMETHEUS_URL", "ALERTMANAGER_URL", "DASHBOARDS_PATH", "DASHBOARDS_RU_PATH"}
    assert asked <= SERVICES["grafana"]["environment"].keys()


def test_the_boards_lie_where_grafana_looks_for_them() -> None:
    environment = SERVICES["grafana"]["environment"]
    assert f"../grafana/dashboards:{environment['DASHBOARDS_PATH']}:ro" in SERVICES["grafana"]["volumes"]
    assert f"../grafana/ru/dashboards:{environment['DASHBOARDS_RU_PATH']}:ro" in SERVICES["grafana"]["volumes"]
    home = environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (ROOT / "grafana/dashboards" / home.removeprefix(environment["DASHBOARDS_PATH"] + "/")).exists()


def _prometheus() -> Any:
    return parsed((DEPLOY / "prometheus/prometheus.yml").read_text("utf-8"))
