"""A real Prometheus and a real Alertmanager on free ports of the loopback, over a worker with metrics from a test."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from agents.embedded.ports import find_free
from tests.grafana.tooling import ROOT, RULES, tool
from tests.yaml_text import parsed

_SPAN = re.compile(r"\[(\d+)([mhd])(?::(\d+)([mh]))?\]|offset (\d+)([mhd])")
_SECONDS = {"m": 60, "h": 3600, "d": 86400}
SPEED = 60  # a minute of the rules is a second of the test


class Worker:
    """Answers scrapes with `says()`, or not at all while `up` is false."""

    def __init__(self) -> None:
        self.says: Callable[[], str] = str
        self.up = True
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200 if outer.up else 503)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(outer.says().encode())

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()


class Page(NamedTuple):
    """A message to a receiver about one alert: firing or resolved."""

    receiver: str
    alert: str
    manager: str
    status: str


class Pager:
    """Takes the messages of Alertmanager to webhooks: `/RECEIVER` is the address of each receiver."""

    def __init__(self) -> None:
        self.pages: list[Page] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                for alert in told["alerts"]:
                    labels = alert["labels"]
                    page = Page(self.path[1:], labels["alertname"], labels.get("manager", ""), alert["status"])
                    outer.pages.append(page)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()


class Live:
    """The running programs, and queries of their state."""

    def __init__(self, worker: Worker, pager: Pager, prometheus: str, alertmanager: str) -> None:
        self.worker = worker
        self.pager = pager
        self._prometheus = prometheus
        self._alertmanager = alertmanager

    def firing(self) -> set[tuple[str, str]]:
        """Return the alerts that fire in Prometheus, by name and manager."""
        alerts = get(f"{self._prometheus}/api/v1/alerts")["data"]["alerts"]
        return {
            (alert["labels"]["alertname"], alert["labels"].get("manager", ""))
            for alert in alerts
            if alert["state"] == "firing"
        }

    def delivered(self) -> dict[str, tuple[str, list[str]]]:
        """Return the alerts of Alertmanager by name: their state (active, suppressed) and who receives them."""
        return {
            alert["labels"]["alertname"]: (
                alert["status"]["state"],
                sorted(receiver["name"] for receiver in alert["receivers"]),
            )
            for alert in get(f"{self._alertmanager}/api/v2/alerts")
        }

    def value(self, expr: str) -> float | None:
        """Return the value of an expression of one series now, or None."""
        asked = urllib.request.quote(expr)  # type: ignore[attr-defined]  # urllib.request re-exports it
        result = get(f"{self._prometheus}/api/v1/query?query={asked}")["data"]["result"]
        return float(result[0]["value"][1]) if result else None


def get(url: str, timeout_s: float = 5) -> Any:
    """Return the JSON of a page. Raises HTTPError with a note of what was asked and what the answer says."""
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as answer:  # noqa: S310 - our own process on the loopback
            return json.load(answer)
    except urllib.error.HTTPError as error:
        error.add_note(f"{urllib.parse.unquote_plus(url)}: {error.read().decode('utf-8', 'replace')}")
        raise


def eventually(condition: Callable[[], bool], what: str, deadline_s: float = 60) -> None:
    """Wait until the condition holds; fail with `what` when it does not within the deadline."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_s} s: {what}")
        time.sleep(0.2)


def hastened(text: str) -> str:
    """Return rules whose spans of time are a sixtieth; thresholds stay."""

    def shorter(match: re.Match[str]) -> str:
        if match[5]:
            return f"offset {int(match[5]) * _SECONDS[match[6]] * 1000 // SPEED}ms"
        step = f":{int(match[3]) * _SECONDS[match[4]] // SPEED}s" if match[3] else ""
        return f"[{int(match[1]) * _SECONDS[match[2]] * 1000 // SPEED}ms{step}]"

    whole = parsed(text)
    for group in whole["groups"]:
        group["interval"] = "250ms"
        for rule in group["rules"]:
            rule["expr"] = _SPAN.sub(shorter, rule["expr"])
            if "for" in rule:
                rule["for"] = f"{int(rule['for'].removesuffix('m'))}s"
    return yaml.safe_dump(whole)


def paging(config: Any, address: str) -> Any:
    """Return the configuration of Alertmanager with webhooks as its receivers, and waits that are a sixtieth."""
    if isinstance(config, dict):
        return {key: _sooner(key, paging(value, address)) for key, value in config.items() if key != "receivers"} | (
            {
                "receivers": [
                    {"name": each["name"], "webhook_configs": [{"url": f"{address}/{each['name']}"}]}
                    for each in config["receivers"]
                ]
            }
            if "receivers" in config
            else {}
        )
    return [paging(each, address) for each in config] if isinstance(config, list) else config


def _sooner(key: str, value: Any) -> Any:
    if key not in ("group_wait", "group_interval", "repeat_interval"):
        return value
    unit = {"s": 1, **_SECONDS}[value[-1]]
    return f"{int(value[:-1]) * unit * 1000 // SPEED}ms"


@contextmanager
def running(folder: Path) -> Iterator[Live]:
    """Run both over a worker; everything is stopped and every port closed afterwards."""
    worker, pager = Worker(), Pager()
    first = find_free()
    ports = first, find_free(besides=first)
    addresses = [f"http://127.0.0.1:{port}" for port in ports]
    watching = _watching(folder, ports[0], {"callpulse": worker.address}, alertmanager=f"127.0.0.1:{ports[1]}")
    routes = parsed((ROOT / "deploy/alertmanager/alertmanager.yml").read_text("utf-8"))
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(paging(routes, pager.address)), "utf-8")
    try:
        with _started(folder, {addresses[0]: watching, addresses[1]: _alertmanager(folder, ports[1])}):
            yield Live(worker, pager, *addresses)
    finally:
        worker.stop()
        pager.stop()


@contextmanager
def prometheus(folder: Path, jobs: Mapping[str, str]) -> Iterator[str]:
    """Run Prometheus alone, with the hastened rules, over the address of each job. Give its own address."""
    port = find_free()
    address = f"http://127.0.0.1:{port}"
    with _started(folder, {address: _watching(folder, port, jobs)}):
        yield address


@contextmanager
def alerting(folder: Path, config: Any) -> Iterator[tuple[str, Pager]]:
    """Run Alertmanager alone, with webhooks for its receivers. Give its address, and what takes its messages."""
    pager, port = Pager(), find_free()
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(paging(config, pager.address)), "utf-8")
    address = f"http://127.0.0.1:{port}"
    try:
        with _started(folder, {address: _alertmanager(folder, port)}):
            yield address, pager
    finally:
        pager.stop()


def _watching(folder: Path, port: int, jobs: Mapping[str, str], alertmanager: str = "") -> list[str]:
    """Write the hastened rules and the settings of Prometheus; return its command."""
    (folder / "rules").mkdir()
    for path in RULES:
        (folder / "rules" / path.name).write_text(hastened(path.read_text("utf-8")), "utf-8")
    config = parsed((ROOT / "deploy/prometheus/prometheus.yml").read_text("utf-8"))
    config["global"] |= {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "250ms"}
    config["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [alertmanager] if alertmanager else []}]}]
    config["scrape_configs"] = [
        {"job_name": name, "static_configs": [{"targets": [address]}]} for name, address in jobs.items()
    ]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), "utf-8")
    return [
        tool("prometheus"),
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--rules.alert.resend-delay=1s",
    ]


def _alertmanager(folder: Path, port: int) -> list[str]:
    return [
        tool("prometheus-alertmanager", "alertmanager"),
        f"--config.file={folder}/alertmanager.yml",
        f"--storage.path={folder}/alertmanager",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]


@contextmanager
def _started(folder: Path, commands: Mapping[str, list[str]]) -> Iterator[None]:
    """Run the commands, each of which answers at its address; all are ended afterwards."""
    started: list[subprocess.Popen[bytes]] = []
    try:
        for number, command in enumerate(commands.values()):
            with (folder / f"{number}.log").open("wb") as log:
                started.append(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT))
        for number, (url, process) in enumerate(zip(commands, started, strict=True)):
            eventually(partial(_ready, url, process, folder / f"{number}.log"), f"{url} is ready")
        yield
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(timeout=20)


def _ready(url: str, process: subprocess.Popen[bytes], log: Path) -> bool:
    if process.poll() is not None:
        raise AssertionError(f"{process.args!r} ended: {log.read_text('utf-8', 'replace')[-2000:]}")
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=2) as answer:  # noqa: S310 - our own process
            return int(answer.status) == 200
    except OSError:
        return False
