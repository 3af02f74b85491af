"""Prometheus and Grafana beside the demo, replaced by stand-ins that report their own command lines."""

from __future__ import annotations

import os
import sys
import urllib.request
from pathlib import Path

import orjson
import psutil
import pytest

from agents.cli.common import UserError
from agents.cli.demo.children import Child, listens
from agents.cli.demo.companions import companions
from agents.embedded.ports import find_free

STAND_IN = """\
#!{python}
import http.server, json, os, sys
port = os.environ.get("GF_SERVER_HTTP_PORT") or next(a for a in sys.argv if "listen-address" in a).rpartition(":")[2]
told = json.dumps({{"arguments": sys.argv[1:], "environment": dict(os.environ)}}).encode()
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(told)
http.server.HTTPServer(("127.0.0.1", int(port)), Answer).serve_forever()
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that comes first on the PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
    monkeypatch.setenv("CALLPULSE_BOOTSTRAP", "not-of-the-demo:9092")
    return folder


def put(folder: Path, name: str, text: str = STAND_IN) -> None:
    program = folder / name
    program.write_text(text.format(python=sys.executable))
    program.chmod(0o755)


def asked(address: str) -> dict[str, object]:
    with urllib.request.urlopen(address, timeout=5) as answer:  # noqa: S310 - a program of this test, on this machine
        found: dict[str, object] = orjson.loads(answer.read())
        return found


def test_both_are_started_with_the_worker_the_rules_and_the_boards(programs: Path, tmp_path: Path) -> None:
    put(programs, "prometheus")
    put(programs, "grafana")
    with companions(tmp_path, "http://127.0.0.1:4711") as addresses:
        assert set(addresses) == {"prometheus", "grafana"}
        told = asked(addresses["prometheus"])
        file = next(one.partition("=")[2] for one in told["arguments"] if one.startswith("--config.file"))  # type: ignore[attr-defined]  # a list
        config = orjson.loads(Path(file).read_bytes())
        assert config["scrape_configs"][0]["static_configs"] == [{"targets": ["127.0.0.1:4711"]}]
        rules = Path(config["rule_files"][0])
        assert list(rules.parent.glob(rules.name))
        environment = asked(addresses["grafana"])["environment"]
        assert isinstance(environment, dict)
        assert not [name for name in environment if name.startswith("CALLPULSE_")]
        provisioning = Path(environment["GF_PATHS_PROVISIONING"])
        source = orjson.loads((provisioning / "datasources/demo.yaml").read_bytes())["datasources"][0]
        assert source["url"] == addresses["prometheus"]
        boards = orjson.loads((provisioning / "dashboards/demo.yaml").read_bytes())["providers"][0]["options"]["path"]
        assert list(Path(boards).glob("*.json"))
        ports = [int(address.rpartition(":")[2]) for address in addresses.values()]
    assert [listens(port) for port in ports] == [None, None]


def test_one_that_does_not_start_is_left_out(programs: Path, tmp_path: Path) -> None:
    put(programs, "prometheus", "#!/bin/sh\nexit 3\n")
    put(programs, "grafana")
    with companions(tmp_path, "http://127.0.0.1:4711") as addresses:
        assert addresses == {}


def test_a_program_that_ends_while_it_starts_is_told_with_its_last_words(tmp_path: Path) -> None:
    with (
        Child("sleeper", ["sh", "-c", "echo no bed; exit 4"], tmp_path / "log") as child,
        pytest.raises(UserError, match=r"the sleeper ended while it started. It said last:\n  no bed"),
    ):
        child.await_ready(lambda: listens(find_free()))


def test_a_program_that_does_not_listen_to_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.cli.demo.children.STOP_DEADLINE_S", 0.2)
    child = Child("stubborn", ["sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done"], tmp_path / "log")
    child.await_ready(lambda: True if "up" in (tmp_path / "log").read_text() else None)
    child.stop()
    assert not child.running
    assert not psutil.pid_exists(child.pid)
