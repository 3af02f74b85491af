"""The plan of `callpulse up`: its parts, ports and settings, and the files of the programs beside it."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from agents import service_units
from agents.cli.common import UserError
from agents.cli.up import programs
from agents.cli.up.plan import KAFKA_LAST, Plan, Ports, environment_of, planned
from agents.cli.up.programs import monitoring_parts, prometheus_config
from agents.embedded.ports import find_free
from streams.settings.settings import load
from streams.sources.registry import SOURCES
from tests.agents.cli_runner import Runner
from tests.grafana.tooling import run

NO_PORTS = "[worker]\nhttp_port = 0\n[gateway]\nhttp_port = 0\nstatus_port = 0\n"
LISTENERS = """
[sources.asterisk.ami]
host = "pbx"
username = "callpulse"
secret = "a-secret"
[sources.asterisk.cel]
path = "/var/log/asterisk/cel.csv"
[sources.freeswitch]
err_log_dir = "/var/log/freeswitch/json_cdr"
"""


def plan_of(text: str = "", environ: Mapping[str, str] = {}, workers: int = 1, folder: Path = Path("/data")) -> Plan:
    settings = load(text, {name: value for name, value in environ.items() if name.startswith("CALLPULSE_")}, SOURCES)
    return planned(settings, environ, folder=folder, workers=workers, config=None, ports=Ports())


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", find_free()))
        holder.listen()
        yield holder.getsockname()[1]


def test_everything_of_one_machine_is_planned() -> None:
    plan = plan_of(NO_PORTS + LISTENERS, workers=3)
    assert [part.name for part in plan.parts] == [
        *("kafka", "gateway", "worker-1", "worker-2", "worker-3"),
        *("listen-ami", "listen-cel", "listen-json-cdr"),
    ]
    assert plan.has_kafka
    assert [part.name for part in plan.parts if part.stop == KAFKA_LAST] == ["kafka"]
    assert [part.name for part in plan.parts if part.is_needed] == [part.name for part in plan.parts[:5]]
    probes = [part.probe for part in plan.parts]
    assert len(set(probes)) == len(probes), "each has a port of its own"


def test_each_part_reads_the_settings_that_are_meant_for_it() -> None:
    plan = plan_of(NO_PORTS + LISTENERS, {"CALLPULSE_LEAD_SECRET": "a-secret-of-many-letters", "PATH": "/bin"}, 2)
    for part in plan.parts[1:]:
        own = {name: value for name, value in part.environment.items() if name.startswith("CALLPULSE_")}
        settings = load(NO_PORTS + LISTENERS, own, SOURCES)
        assert settings.kafka.bootstrap == plan.bootstrap
        assert settings.privacy.lead_secret.reveal() == "a-secret-of-many-letters"
        assert part.environment["PATH"] == "/bin"
        assert not any("a-secret" in word for word in part.command), "others see the command line"
        if part.command[3] == "worker":
            assert settings.worker.id == part.name
            assert settings.worker.data_dir == "/data/workers"
            assert part.probe == f"http://127.0.0.1:{settings.worker.http_port}/-/ready"
        else:
            assert settings.gateway.data_dir == "/data/gateway"
            assert part.probe == f"http://127.0.0.1:{settings.gateway.status_port}/-/ready"
    assert plan.parts[3].environment["CALLPULSE_WORKER__ADVERTISED_URL"] == plan.parts[3].url


def test_folders_that_the_settings_name_are_used() -> None:
    plan = plan_of(NO_PORTS + 'data_dir = "/spool"\n', {"CALLPULSE_DATA_DIR": "/rows"})
    gateway, worker = plan.parts[1:]
    assert "CALLPULSE_GATEWAY__DATA_DIR" not in gateway.environment
    assert "CALLPULSE_WORKER__DATA_DIR" not in worker.environment
    assert worker.environment["CALLPULSE_DATA_DIR"] == "/rows"


@pytest.mark.parametrize(
    ("text", "bootstrap"),
    [
        ('[kafka]\nbootstrap = "kafka-1:9092"\n', "kafka-1:9092"),
        ('[kafka]\nbootstrap = "127.0.0.1:9092,127.0.0.1:9093"\n', "127.0.0.1:9092,127.0.0.1:9093"),
        ('[kafka]\nsecurity_protocol = "SSL"\n', "127.0.0.1:9092"),
    ],
)
def test_a_kafka_that_runs_elsewhere_is_used(text: str, bootstrap: str) -> None:
    plan = plan_of(NO_PORTS + text)
    assert not plan.has_kafka
    assert plan.bootstrap == bootstrap
    assert plan.parts[0].name == "gateway"


class TestPorts:
    def test_one_that_is_set_and_taken_is_told(self, taken: int) -> None:
        with pytest.raises(UserError, match=rf"port {taken} is taken .* or set worker\.http_port"):
            plan_of(f"[worker]\nhttp_port = {taken}\n[gateway]\nhttp_port = 0\nstatus_port = 0\n")
        with pytest.raises(UserError, match=r"or set kafka\.bootstrap"):
            plan_of(NO_PORTS, {"CALLPULSE_BOOTSTRAP": f"127.0.0.1:{taken}"})

    def test_a_default_that_is_taken_gives_way(self, taken: int) -> None:
        ports = Ports()
        assert ports.take(taken) != taken
        wanted = find_free()
        assert ports.take(wanted, "worker.http_port") == wanted
        assert ports.take(wanted) != wanted, "given once"

    def test_workers_stand_side_by_side(self) -> None:
        first = find_free()
        plan = plan_of(f"[worker]\nhttp_port = {first}\n[gateway]\nhttp_port = 0\nstatus_port = 0\n", workers=2)
        assert plan.parts[2].url == f"http://127.0.0.1:{first}"
        assert plan.parts[3].url != plan.parts[2].url


def test_a_value_of_ours_replaces_both_names_of_a_variable() -> None:
    environ = {"CALLPULSE_BOOTSTRAP": "a:1", "CALLPULSE_KAFKA__BOOTSTRAP": "b:1", "CALLPULSE_WORKER_ID": "w", "X": "y"}
    made = environment_of(environ, {"kafka.bootstrap": "c:1", "worker.id": "v"})
    assert made == {"X": "y", "CALLPULSE_KAFKA__BOOTSTRAP": "c:1", "CALLPULSE_WORKER__ID": "v"}


def stand_in(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_text("#!/bin/sh\n", encoding="utf-8")
        (folder / name).chmod(0o755)


class TestMonitoring:
    @pytest.fixture
    def path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        folder = tmp_path / "bin"
        folder.mkdir()
        monkeypatch.setenv("PATH", str(folder))
        return folder

    def monitoring(self, tmp_path: Path, text: str = "") -> programs.Monitoring:
        environ = {"CALLPULSE_LEAD_SECRET": "a-secret-of-many-letters", "HOME": "/nowhere"}
        parts = plan_of(NO_PORTS + text).parts
        return monitoring_parts(load(NO_PORTS + text, {}, SOURCES), parts, environ, folder=tmp_path, ports=Ports())

    def test_what_is_missing_is_said_with_how_to_install_it(self, path: Path, tmp_path: Path) -> None:
        assert not list(path.iterdir())
        found = self.monitoring(tmp_path)
        assert found.parts == ()
        said = "\n".join(found.missing)
        assert "apt-get install prometheus " in said
        assert "apt-get install prometheus-alertmanager " in said
        assert "grafana.com/docs" in said

    @pytest.mark.parametrize("grafana", ["grafana", "grafana-server"])
    def test_what_is_there_runs_with_our_rules_and_boards(self, path: Path, tmp_path: Path, grafana: str) -> None:
        stand_in(path, "prometheus", "prometheus-alertmanager", grafana)
        found = self.monitoring(tmp_path)
        assert found.missing == ()
        parts = {part.name: part for part in found.parts}
        assert list(parts) == ["prometheus", "alertmanager", "grafana"]
        assert not any(name.startswith("CALLPULSE_") for part in found.parts for name in part.environment)
        assert ("server" in parts["grafana"].command) is (grafana == "grafana")
        provisioning = Path(parts["grafana"].environment["GF_PATHS_PROVISIONING"])
        (source, _) = orjson.loads((provisioning / "datasources/callpulse.yaml").read_bytes())["datasources"]
        assert source["url"] == parts["prometheus"].url
        boards = orjson.loads((provisioning / "dashboards/callpulse.yaml").read_bytes())["providers"]
        assert [folder["name"] for folder in boards] == ["callpulse", "callpulse по-русски"]
        assert all(list(Path(folder["options"]["path"]).glob("*.json")) for folder in boards)

    def test_receivers_that_somebody_wrote_are_kept(self, path: Path, tmp_path: Path) -> None:
        stand_in(path, "alertmanager")
        self.monitoring(tmp_path)
        own = tmp_path / "alertmanager/alertmanager.yml"
        assert own.read_bytes() == programs.ALERTMANAGER.read_bytes()
        own.write_text("mine", encoding="utf-8")
        self.monitoring(tmp_path)
        assert own.read_text(encoding="utf-8") == "mine"

    def test_the_template_of_the_examples_is_beside_the_receivers_and_renewed(
        self, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stand_in(path, "alertmanager")
        self.monitoring(tmp_path)
        english, russian = (tmp_path / "alertmanager" / template.name for template in programs.TEMPLATES)
        examples = [file.read_text(encoding="utf-8") for file in programs.ALERTMANAGER.parent.glob("examples/*.yml")]
        assert any(f"templates: [{english.name}]" in example for example in examples)
        english.write_text("that of an earlier release", encoding="utf-8")
        self.monitoring(tmp_path)
        assert [english.read_bytes(), russian.read_bytes()] == [one.read_bytes() for one in programs.TEMPLATES]
        monkeypatch.setattr(programs, "TEMPLATES", (tmp_path / "not in the package.tmpl",))
        self.monitoring(tmp_path)
        assert english.is_file()

    @pytest.mark.slow
    def test_prometheus_takes_the_configuration_and_logs_in(self, tmp_path: Path) -> None:
        (tmp_path / "ca.pem").touch()
        (tmp_path / "password").write_text("a-password", encoding="utf-8")
        (tmp_path / "web.yml").write_text("tls_server_config: {cert_file: a, key_file: b}", encoding="utf-8")
        (tmp_path / "client.yml").write_text(
            "basic_auth: {username: prometheus, password_file: password}\ntls_config: {ca_file: ca.pem}",
            encoding="utf-8",
        )
        text = NO_PORTS.replace(
            "[gateway]", f'web_config = "{tmp_path}/web.yml"\nweb_client = "{tmp_path}/client.yml"\n[gateway]'
        )
        plan = plan_of(text + LISTENERS, workers=2)
        config = prometheus_config(load(text, {}, SOURCES), plan.parts, "http://127.0.0.1:9093")
        jobs: dict[str, Any] = {job["job_name"]: job for job in config["scrape_configs"]}
        assert list(jobs) == [
            *("callpulse-gateway", "callpulse", "callpulse-gateway-ami", "callpulse-gateway-cel"),
            "callpulse-gateway-json-cdr",
        ]
        assert jobs["callpulse"]["scheme"] == "https"
        assert len(jobs["callpulse"]["static_configs"][0]["targets"]) == 2
        assert jobs["callpulse-gateway"]["scheme"] == "http"
        assert jobs["callpulse"]["basic_auth"]["password_file"] == f"{tmp_path}/password"
        file = tmp_path / "prometheus.yml"
        file.write_bytes(orjson.dumps(config))
        checked = run("promtool", "check", "config", file)
        assert checked.returncode == 0, checked.stdout + checked.stderr


class TestInstallService:
    def test_it_writes_the_units_and_says_what_to_run(self, callpulse: Runner, tmp_path: Path) -> None:
        config = tmp_path / "callpulse.toml"
        config.write_text(LISTENERS, encoding="utf-8")
        units = tmp_path / "units"
        done = callpulse(*("up", "--install-service", "--config", config, "--service-folder", units, "--workers", "2"))
        assert done.code == 0, done.err
        assert sorted(path.name for path in units.iterdir()) == service_units.names()
        worker = (units / "callpulse-worker@.service").read_text(encoding="utf-8")
        assert f"ExecStart={Path(sys.executable).with_name('callpulse')} worker\n" in worker
        assert f"CALLPULSE_CONFIG={config}\n" in worker
        assert (
            "systemctl enable --now callpulse-worker@worker-1 callpulse-worker@worker-2 callpulse-gateway "
            "callpulse-listen@ami callpulse-listen@cel callpulse-listen@json-cdr\n"
        ) in done.out
        assert f"echo CALLPULSE_HTTP_PORT=8788 > {tmp_path}/worker-worker-2.env" in done.out
        assert f"echo CALLPULSE_GATEWAY__STATUS_PORT=8793 > {tmp_path}/listen-cel.env" in done.out
        assert done.out.index("enable --now callpulse-kafka\n") < done.out.index("topics create")

    def test_kafka_has_the_port_of_the_settings_and_none_is_started_where_it_runs_elsewhere(
        self, callpulse: Runner, tmp_path: Path
    ) -> None:
        (tmp_path / "callpulse.toml").touch()
        for bootstrap, port in (("127.0.0.1:9192", 9192), ("kafka-1:9092", 9092)):
            done = callpulse(
                *("up", "--install-service", "--service-folder", tmp_path / "units"), CALLPULSE_BOOTSTRAP=bootstrap
            )
            assert done.code == 0, done.err
            assert ("callpulse-kafka\n" in done.out) is (port != 9092)
            unit = (tmp_path / "units/callpulse-kafka.service").read_text(encoding="utf-8")
            assert f"kafka --port {port} --data-dir %S/callpulse/kafka\n" in unit

    def test_settings_that_the_units_would_not_find_are_told(self, callpulse: Runner, tmp_path: Path) -> None:
        other = tmp_path / "other.toml"
        other.write_text("", encoding="utf-8")
        for arguments in ((), ("--config", other)):
            done = callpulse("up", "--install-service", "--service-folder", tmp_path / "units", *arguments)
            assert done.code == 2
            assert "of the name callpulse.toml" in done.err
        assert not (tmp_path / "units").exists()

    def test_a_folder_that_cannot_be_written_is_told(self, callpulse: Runner, tmp_path: Path) -> None:
        (tmp_path / "callpulse.toml").write_text("", encoding="utf-8")
        (tmp_path / "units").write_text("a file", encoding="utf-8")
        done = callpulse("up", "--install-service", "--service-folder", tmp_path / "units")
        assert done.code == 70
        assert "--service-folder" in done.err
