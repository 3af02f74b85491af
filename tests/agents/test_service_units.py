"""The systemd units: the findings of systemd, and the parts of callpulse that they name."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agents import service_units
from agents.cli import app
from agents.cli.common import USAGE
from agents.cli.kafka import DEFAULT_PORT
from agents.embedded import broker
from agents.worker import STOP_DEADLINE_S
from streams.settings.settings import load
from streams.sources.registry import SOURCES

ROOT = Path(__file__).parents[2]
NAMES = service_units.names()
KAFKA = "callpulse-kafka.service"
UNIT = pytest.mark.parametrize("name", NAMES)
WITH_SETTINGS = pytest.mark.parametrize("name", [name for name in NAMES if name != KAFKA])
WORST = 2.0
"""The largest exposure that `systemd-analyze security` may find: 10 is no protection at all."""
_INSTANCE = {"callpulse-worker@.service": "worker-1", "callpulse-listen@.service": "ami"}


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze; without it the test fails."""
    return subprocess.run(
        ["systemd-analyze", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"SYSTEMD_COLORS": "0", "PATH": "/usr/bin:/bin"},
    )


def values(name: str, key: str) -> list[str]:
    """Return a unit's values of a key, for an instance where it is a template."""
    text = service_units.unit(name).replace("%i", _INSTANCE.get(name, "")).replace("%S", "/var/lib")
    return re.findall(rf"^{key}=(.*)$", text, re.MULTILINE)


def written(name: str, folder: Path) -> Path:
    """Write a unit that starts an existing program."""
    path = folder / name
    path.write_text(service_units.unit(name, program=Path(sys.prefix) / "bin/callpulse"), encoding="utf-8")
    return path


def test_there_is_a_unit_for_each_process() -> None:
    kinds = ("gateway", "kafka", "listen@", "worker@")
    assert [f"callpulse-{kind}.service" for kind in kinds] == NAMES


@UNIT
def test_the_folder_of_the_deployment_has_the_same_unit(name: str) -> None:
    assert (ROOT / "deploy/systemd" / name).read_text(encoding="utf-8") == service_units.unit(name)


@UNIT
def test_systemd_has_nothing_to_say_against_it(name: str, tmp_path: Path) -> None:
    done = analyze("verify", "--man=no", written(name, tmp_path))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@UNIT
def test_systemd_finds_it_protected(name: str, tmp_path: Path) -> None:
    done = analyze("security", "--offline=yes", "--no-pager", f"--threshold={WORST * 10:.0f}", written(name, tmp_path))
    assert done.returncode == 0, done.stdout


@UNIT
def test_it_runs_a_command_that_there_is(name: str) -> None:
    (command,) = values(name, "ExecStart")
    program, *words = command.split()
    assert program == str(service_units.PROGRAM)
    done = CliRunner().invoke(app, [*words, "--help"])
    assert done.exit_code == 0, done.output


@WITH_SETTINGS
def test_callpulse_accepts_the_variables_and_keeps_its_data_where_it_may_write(name: str) -> None:
    variables = dict(value.split("=", 1) for value in values(name, "Environment"))
    settings = load((ROOT / "callpulse.example.toml").read_text("utf-8"), variables, SOURCES)
    (folder,) = values(name, "StateDirectory")
    is_worker = "worker" in name
    assert (settings.worker.data_dir if is_worker else settings.gateway.data_dir) == f"/var/lib/{folder}"
    if is_worker:
        assert settings.worker.id == "worker-1"
    assert variables["CALLPULSE_CONFIG"].startswith(f"{service_units.FOLDER}/")


def test_kafka_keeps_its_records_and_its_jars_where_it_may_write() -> None:
    (command,) = values(KAFKA, "ExecStart")
    (state,), (cache,) = values(KAFKA, "StateDirectory"), values(KAFKA, "CacheDirectory")
    assert command.endswith(f" kafka --port {DEFAULT_PORT} --data-dir /var/lib/{state}")
    assert values(KAFKA, "Environment") == [f"XDG_CACHE_HOME=%C/{cache}"]


@UNIT
def test_it_waits_for_the_end_that_the_process_has(name: str) -> None:
    gateway = load("", {}, SOURCES).gateway
    # An answer, the events in flight, and the last transaction.
    answers_s = 2 * gateway.deadline_ms / 1000 + 5 + 5 + 2
    longest_s = {"callpulse-worker@.service": STOP_DEADLINE_S, KAFKA: broker.STOP_DEADLINE_S}.get(name, answers_s)
    (wait,) = values(name, "TimeoutStopSec")
    assert longest_s < int(wait.removesuffix("s")) < 2 * longest_s


@UNIT
def test_it_is_started_again_but_not_with_settings_that_are_wrong(name: str) -> None:
    assert values(name, "Restart") == ["always"]
    assert values(name, "RestartPreventExitStatus") == [str(USAGE)]


class TestPlaces:
    @WITH_SETTINGS
    def test_program_and_folder_are_put_in_everywhere(self, name: str) -> None:
        text = service_units.unit(name, program=Path("/srv/x/bin/callpulse"), folder=Path("/srv/x/etc"))
        assert "ExecStart=/srv/x/bin/callpulse " in text
        assert "WorkingDirectory=-/srv/x/etc\n" in text
        assert "EnvironmentFile=-/srv/x/etc/callpulse.env" in text
        assert "/opt/callpulse" not in text
        assert "/etc/callpulse" not in text.replace("/srv/x/etc", "")

    def test_a_place_may_contain_another(self) -> None:
        folder = service_units.PROGRAM
        text = service_units.unit(NAMES[0], program=Path("/etc/callpulse/bin/callpulse"), folder=folder)
        assert "ExecStart=/etc/callpulse/bin/callpulse gateway\n" in text
        assert f"CALLPULSE_CONFIG={folder}/callpulse.toml\n" in text

    @pytest.mark.parametrize("path", ["bin/callpulse", "/a b", "/a%h", "/a$b", '/a"b', "/a\\b", "/a\nb"])
    def test_a_path_that_a_unit_cannot_hold_is_refused(self, path: str) -> None:
        with pytest.raises(ValueError, match="absolute"):
            service_units.unit(NAMES[0], program=Path(path))
        with pytest.raises(ValueError, match="absolute"):
            service_units.unit(NAMES[0], folder=Path(path))

    def test_there_is_no_other_unit(self) -> None:
        with pytest.raises(FileNotFoundError):
            service_units.unit("callpulse-x.service")
