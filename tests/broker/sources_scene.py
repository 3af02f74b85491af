"""The board *Sources* over real parts in trouble: gateway, listener, worker, Kafka, Prometheus, a portal and a PBX.

`python -m tests.broker.sources_scene COMMAND PICTURE` runs all of them for `--minutes`, then lets COMMAND draw the
board as `tests.grafana.moments` does. Of the sources, one CRM gets a wrong time zone on the way and sends parts that
are no events, the token of another is old, a shop sends from a network that is not allowed, and the link to the PBX
goes down. Records of two days are imported with a part left out, and then compared.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final

import aiohttp
import yaml
from aiohttp import web

from agents.cli.demo.children import said, start
from agents.cli.demo.installation import RECORDINGS
from agents.cli.demo.pbx import RecordedPbx, recordings
from agents.cli.demo.portal import DemoPortal
from agents.embedded import EmbeddedKafka
from agents.embedded.ports import find_free
from agents.kafka import admin
from grafana import build
from streams.settings.access import hashed
from streams.settings.settings import load
from streams.simulator import Department, FaultRates, simulate
from streams.sources.registry import SOURCES
from streams.units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from tests.grafana.backdrop import prometheus, rules_now

MANAGERS: Final = 12
HISTORY_DAYS: Final = 2.5
DROPPED: Final = 40
"""Of so many records one is not imported."""
BAD: Final = 12
"""Of so many posts of the CRM one has a part that is no event."""


def callpulse(*arguments: object) -> str:
    """Run a command to its end, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "agents.cli", *map(str, arguments)], check=False, capture_output=True, text=True
    )
    if done.returncode > 1:  # 1: something differs
        raise RuntimeError(f"{arguments}: {done.stderr[-2000:]}")
    return done.stdout


def settings_text(folder: Path, bootstrap: str, accounts: str, tokens: dict[str, str]) -> str:
    """Return the settings behind the roster; `accounts` is the address of the CRM whose token is old."""
    return f"""
[kafka]
bootstrap = "{bootstrap}"

[worker]
id = "scene"
data_dir = "{folder / "data"}"
http_port = 0

[gateway]
data_dir = "{folder / "gateway"}"
http_port = 0
status_port = 0

[privacy]
lead_secret = "{secrets.token_hex(16)}"
region = "DE"

[sources.http.crm]
tokens = ["{hashed(tokens["crm"])}"]

[sources.http.shop]
tokens = ["{hashed(tokens["shop"])}"]
networks = ["192.0.2.0/24"]

[sources.hubspot]
token = "{secrets.token_hex(16)}"
api_url = "{accounts}"

[sources.asterisk]
default_queue = "pbx"
manager_prefix = "pbx-"
"""


@contextlib.asynccontextmanager
async def refusing() -> AsyncIterator[str]:
    """Answer every request with 401, as a CRM does whose token is old; yield the address."""

    async def refuse(_request: web.Request) -> web.Response:
        return web.json_response({"status": "error", "category": "INVALID_AUTHENTICATION"}, status=401)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", refuse)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def send_crm(gateway: str, token: str, department: Department, wrong_from_s: float) -> None:
    """Post the events of the CRM as they happen; from `wrong_from_s` on in another time zone."""
    now_ms = int(time.time() * SECOND_MS)
    none, begun_ms = FaultRates.none(), now_ms - 2 * HOUR_MS
    records = simulate(department, begun_ms, now_ms + DAY_MS, faults=none, intensity=6, crm=True)
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        numbers = count(1)
        for record in records:
            if record.topic != "crm" or record.due_ms < now_ms:
                continue
            await asyncio.sleep(max(0.0, record.due_ms / SECOND_MS - time.time()))
            event: dict[str, Any] = json.loads(record.value)
            event["source"] = "crm"
            if time.time() > wrong_from_s:
                event["at"] -= 3 * HOUR_MS
            if next(numbers) % BAD == 0:
                del event["lead"]
            async with session.post(f"{gateway}/v1/events", json=event) as answer:
                await answer.read()


async def send_shop(gateway: str, token: str) -> None:
    """Post from a network that is not allowed."""
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:
        while True:
            async with session.post(f"{gateway}/v1/events", json={}) as answer:
                await answer.read()
            await asyncio.sleep(45)


def write_history(folder: Path) -> None:
    """Write the roster, the records of the last days (`whole.csv`), and most of them (`part.csv`)."""
    invented = ("--managers", MANAGERS, "--teams", 3, "--always", "--clean", "--roster", folder / "roster.toml")
    history = callpulse("simulate", *invented, "--days", HISTORY_DAYS, "--as", "csv").splitlines(keepends=True)
    (folder / "whole.csv").write_text("".join(history), "utf-8")
    part = (line for number, line in enumerate(history) if number % DROPPED != 1)
    (folder / "part.csv").write_text("".join(part), "utf-8")


async def started(stack: contextlib.AsyncExitStack, folder: Path, config: Path) -> tuple[str, str]:
    """Start the processes and a Prometheus over them; return the addresses of the gateway and of Prometheus."""
    said_by = {}
    for name, words in (("worker", ["worker"]), ("gateway", ["gateway"]), ("listener", ["listen", "ami"])):
        child = start(name, words, config, folder / f"{name}.log")
        stack.callback(child.stop)
        said_by[name] = await asyncio.to_thread(child.await_ready, partial(said, child.log))
    urls = {
        "callpulse": said_by["worker"]["url"],
        "callpulse-gateway": said_by["gateway"]["status"],
        "callpulse-gateway-ami": said_by["listener"]["url"],
    }
    made = {
        "global": {"scrape_interval": "5s", "evaluation_interval": "5s"},
        "rule_files": [str(path) for path in rules_now(folder)],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [url.removeprefix("http://")]}]}
            for job, url in urls.items()
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(made), "utf-8")
    address = stack.enter_context(prometheus(folder, folder / "prometheus", find_free()))
    return said_by["gateway"]["url"], address


async def run(command: Path, picture: Path, minutes: float, language: str) -> None:
    """Run everything, and draw the board in the end."""
    tokens = {"crm": secrets.token_urlsafe(24), "shop": secrets.token_urlsafe(24)}
    pbx, portal = RecordedPbx(recordings(RECORDINGS)), DemoPortal(7, 1.0, 3.0, 3 * MINUTE_MS)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(portal.close)
        stack.callback(pbx.close)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="callpulse-scene-")))
        write_history(folder)
        accounts = await stack.enter_async_context(refusing())
        kafka = stack.enter_context(EmbeddedKafka())
        text = (folder / "roster.toml").read_text("utf-8") + settings_text(folder, kafka.bootstrap, accounts, tokens)
        config = folder / "callpulse.toml"
        config.write_text(text + pbx.access() + portal.text(), "utf-8")
        settings = load(config.read_text("utf-8"), {}, SOURCES)
        await admin.create(settings.kafka)
        await asyncio.to_thread(callpulse, "import", "--map", "calls", folder / "part.csv", "--config", config)
        gateway, address = await started(stack, folder, config)
        begun_s, department = time.time(), Department.from_settings(settings, 7, always=True)
        feeding = [
            asyncio.create_task(send_crm(gateway, tokens["crm"], department, begun_s + minutes * 12)),
            asyncio.create_task(send_shop(gateway, tokens["shop"])),
        ]
        await stack.enter_async_context(portal.working(gateway))
        async with pbx:
            await asyncio.sleep(20)  # until counters have been scraped at 0
            await pbx.play()
            await asyncio.sleep(minutes * 42)
        print("the link is down", flush=True)
        compared = ("--day", "yesterday", "--file", folder / "whole.csv", "--map", "calls", "--config", config)
        await asyncio.to_thread(callpulse, "reconcile", *compared)
        await asyncio.sleep(max(0.0, begun_s + minutes * 60 - time.time()))
        board = build.FOLDER / ("ru/dashboards" if language == "ru" else "dashboards") / "sources.json"
        asked = (command, board, picture, "--prometheus", address, "--range", round(minutes * 60))
        await asyncio.to_thread(subprocess.run, list(map(str, asked)), check=True)
        for task in feeding:
            task.cancel()
        for found in await asyncio.gather(*feeding, return_exceptions=True):
            if not isinstance(found, asyncio.CancelledError):
                print("a sender ended:", repr(found), flush=True)


def main() -> None:
    """Run it from the command line."""
    asked = argparse.ArgumentParser(prog="python -m tests.broker.sources_scene", description=__doc__)
    asked.add_argument("command", type=Path, help="COMMAND BOARD PICTURE --prometheus URL --range SECONDS")
    asked.add_argument("picture", type=Path)
    asked.add_argument("--minutes", type=float, default=25)
    asked.add_argument("--language", choices=("en", "ru"), default="en")
    given = asked.parse_args()
    asyncio.run(run(given.command, given.picture, given.minutes, given.language))


if __name__ == "__main__":
    main()
