"""The programs of the demo and their settings: Kafka, a worker, a gateway, a listener, Prometheus and Grafana."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from agents.cli.common import FAILED, UserError, say
from agents.cli.demo.children import Child, said, start
from agents.cli.demo.companions import ROOT, companions
from agents.cli.demo.pbx import RecordedPbx, recordings
from agents.cli.demo.portal import DemoPortal
from agents.embedded import EmbeddedKafka
from agents.kafka import admin
from streams.settings.access import hashed
from streams.settings.settings import Settings, load
from streams.simulator import Department
from streams.sources.registry import SOURCES

RECORDINGS: Final = ROOT / "tests" / "fixtures" / "ami"
CRM: Final = "crm"
"""The name of the CRM in the settings of the gateway."""
_TOKEN_BYTES: Final = 32


class Place(NamedTuple):
    """The running demo: its settings, its programs and their addresses.

    `listener` is "" where there are no recordings to listen to. `portal` is None in a demo without one.
    """

    settings: Settings
    department: Department
    pbx: RecordedPbx
    portal: DemoPortal | None
    children: tuple[Child, ...]
    url: str
    gateway: str
    gateway_state: str
    listener: str
    token: str
    addresses: dict[str, str]

    @property
    def metrics(self) -> str:
        """The URL to scrape."""
        return f"{self.url}/metrics"

    def check(self) -> None:
        """Raise UserError if a program has ended that should run."""
        for child in self.children:
            if not child.running:
                raise UserError(f"the {child.name} ended. It said last:\n{child.tail()}", FAILED)


@contextlib.contextmanager
def installation(department: Department, portal: DemoPortal | None = None) -> Iterator[Place]:
    """Start the programs, and stop them at the end in all cases. `portal` is polled, too."""
    before = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
    signal.signal(signal.SIGTERM, _interrupt)
    folder = Path(tempfile.mkdtemp(prefix="callpulse-demo-"))
    with contextlib.ExitStack() as stack:
        for number, handler in before:
            stack.callback(signal.signal, number, handler)
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        say("starting Kafka")
        kafka = stack.enter_context(EmbeddedKafka())
        pbx = RecordedPbx(recordings(RECORDINGS))
        stack.callback(pbx.close)
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        text = department.toml() + _settings(kafka.bootstrap, folder, token) + (pbx.access() if pbx.sessions else "")
        if portal is not None:
            stack.callback(portal.close)
            text += portal.text()
        config = folder / "callpulse.toml"
        config.touch(mode=0o600)
        config.write_text(text, encoding="utf-8")
        settings = load(text, {}, SOURCES)
        asyncio.run(admin.create(settings.kafka))
        commands = {"worker": ["worker"], "gateway": ["gateway"]}
        if pbx.sessions:
            commands["listener"] = ["listen", "ami"]
        say(f"starting a {', a '.join(commands)}")
        children = {}
        for name, command in commands.items():
            children[name] = start(name, command, config, folder / f"{name}.log")
            stack.callback(children[name].stop)
        found = {"worker": _await(children["worker"])}
        addresses = stack.enter_context(companions(folder, found["worker"]["url"]))
        found |= {name: _await(child) for name, child in children.items() if name not in found}
        stack.callback(_do_not_disturb)  # runs first
        yield Place(
            settings=settings,
            department=department,
            pbx=pbx,
            portal=portal,
            children=tuple(children.values()),
            url=found["worker"]["url"],
            gateway=found["gateway"]["url"],
            gateway_state=found["gateway"]["status"],
            listener=found["listener"]["url"] if pbx.sessions else "",
            token=token,
            addresses=addresses,
        )


def _await(child: Child) -> dict[str, Any]:
    """Return the JSON that a command prints once it is ready."""
    return child.await_ready(lambda: said(child.log))


def _do_not_disturb() -> None:
    """Ignore signals while the programs are stopped: a second Ctrl-C would leave some of them running."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    say("taking everything down")


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _settings(bootstrap: str, folder: Path, token: str) -> str:
    """Return the settings of the demo's own programs, to stand behind the roster."""
    return f"""
[kafka]
bootstrap = "{bootstrap}"

[worker]
id = "demo"
data_dir = {orjson.dumps(str(folder / "data")).decode()}
http_port = 0

[gateway]
data_dir = {orjson.dumps(str(folder / "gateway")).decode()}
http_port = 0
status_port = 0

[privacy]
lead_secret = "{secrets.token_hex(16)}"
region = "DE"

[sources.http.{CRM}]
tokens = ["{hashed(token)}"]

[sources.asterisk]
default_queue = "pbx"
manager_prefix = "pbx-"
"""
