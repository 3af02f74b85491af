"""The drills of docs/drills.md: each script runs against a worker on a real broker, and no figure differs."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import orjson
import pytest

from agents.embedded import EmbeddedKafka, ports
from streams.contract import events
from tests.broker import outage
from tests.broker.installation import ROOT, Installation
from tests.broker.leads_fixture import annotated
from tests.broker.test_topics_grow import calls, counted
from tests.faults.workers import unmeasured
from tests.grafana.live import prometheus
from tests.kafka_fixture import consume, eventually, produce

pytestmark = [pytest.mark.broker, pytest.mark.no_cover, pytest.mark.slow, pytest.mark.timeout(600)]

DRILLS = ROOT / "deploy/drills"
OF_A_GATEWAY = ("GATEWAY", "STATUS", "TOKEN", "STOP_KAFKA", "START_KAFKA")
DELETE = (
    "import asyncio, sys; from aiokafka.admin import AIOKafkaAdminClient as Client\n"
    "async def delete():\n"
    "    client = Client(bootstrap_servers=sys.argv[1]); await client.start()\n"
    "    await client.delete_topics([sys.argv[2]]); await client.close()\n"
    "asyncio.run(delete())\n"
)


class Supervisor:
    """Starts and stops the worker for a script, as systemd does: a command is a file, and its end another one.

    `more` are commands besides start, stop and kill.
    """

    def __init__(self, place: Installation, more: Mapping[str, Callable[[], None]]) -> None:
        self.place = place
        self._actions = {"start": self.start, "stop": self.stop, "kill": self.kill, **more}
        self.url = f"http://127.0.0.1:{place.environment['CALLPULSE_HTTP_PORT']}"
        self.log = place.folder / "worker.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def command(self, name: str) -> str:
        """Return the shell command for one of the commands."""
        asked = self.place.folder / f"{name}.asked"
        return f"touch {asked}; while [ -e {asked} ]; do sleep 0.1; done"

    def start(self) -> None:
        """Start the worker."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "agents.cli", "worker", "--json"],
                cwd=ROOT,
                env=unmeasured(self.place.environment),
                stdout=log,
                stderr=log,
            )

    def stop(self) -> None:
        """Stop it, and wait for its end."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(60)

    def close(self) -> None:
        """End everything."""
        self._over.set()
        self._thread.join()
        self.kill()

    def _run(self) -> None:
        while not self._over.wait(0.05):
            for name, action in self._actions.items():
                asked = self.place.folder / f"{name}.asked"
                if asked.exists():
                    action()
                    asked.unlink()


@contextmanager
def supervised(bootstrap: str, folder: Path, **more: Callable[[], None]) -> Iterator[Supervisor]:
    """Yield a worker that counts 60 calls. `more` are commands of the supervisor."""
    place = Installation(bootstrap, folder)
    place.environment |= {
        "CALLPULSE_KAFKA__PARTITIONS": "2",
        "CALLPULSE_HTTP_PORT": str(ports.find_free()),
        "CALLPULSE": f"{sys.executable} -m agents.cli",
        "WITHIN_S": "120",
    }
    assert place("topics", "create").returncode == 0
    supervisor = Supervisor(place, more)
    try:
        supervisor.start()
        notes = [annotated(number, f"lead-{number % 20}", f"c{number}") for number in range(0, 60, 4)]
        produce(bootstrap, place.crm, [(note.lead.encode(), events.encode(note)) for note in notes])
        produce(bootstrap, place.calls, calls(range(60)))
        eventually(lambda: has(supervisor, 60), within_s=90, what="the calls are counted")
        yield supervisor
    finally:
        supervisor.close()


def has(supervisor: Supervisor, number: int) -> bool:
    """Return whether the worker answers, and counts this number of calls."""
    with suppress(OSError):
        return counted(supervisor.url) == number
    return False


def drill(supervisor: Supervisor, name: str, variables: Mapping[str, str]) -> str:
    """Run a script; return its output."""
    done = subprocess.run(
        [DRILLS / f"{name}.sh"],
        cwd=ROOT,
        env={**unmeasured(supervisor.place.environment), "WORKERS": supervisor.url, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr + supervisor.log.read_text()[-3000:]
    assert "exact: no figure differs" in done.stdout
    return done.stdout


def test_every_drill_ends_with_the_figures_that_the_events_give(bootstrap: str, tmp_path: Path) -> None:
    with supervised(bootstrap, tmp_path) as supervisor:
        place = supervisor.place
        start, stop, kill = (supervisor.command(name) for name in ("start", "stop", "kill"))
        data = Path(place.environment["CALLPULSE_DATA_DIR"])
        rows = {path.name for path in data.iterdir()}
        assert rows
        drill(supervisor, "lost-folder", {"DATA": str(data), "STOP": stop, "START": start})
        assert {path.name for path in data.iterdir()} == rows

        delete = f"{sys.executable} {tmp_path / 'delete.py'} {bootstrap}"
        (tmp_path / "delete.py").write_text(DELETE)
        changelog = f"{place.environment['CALLPULSE_KAFKA__GROUP']}-managers-changelog"
        variables = {"CHANGELOG": changelog, "DELETE_TOPIC": delete, "STOP": stop, "START": start}
        drill(supervisor, "lost-changelog", variables)

        feeding = threading.Thread(target=lambda: [produce(bootstrap, place.calls, calls([n])) for n in range(60, 120)])
        feeding.start()
        told = drill(supervisor, "killed-worker", {"KILL": kill, "START": start, "KILLS": "2"})
        feeding.join()
        assert told.count("kill the worker") == 2
        eventually(lambda: has(supervisor, 120), within_s=90, what="the calls of meanwhile are counted once")

        prefix = f"{place.environment['CALLPULSE_KAFKA__TOPIC_PREFIX']}grown."
        drill(supervisor, "copied-topics", {"PARTITIONS": "3", "PREFIX": prefix})


def test_a_gateway_whose_spool_is_full_loses_nothing_that_it_acknowledged(
    own_kafka: EmbeddedKafka, tmp_path: Path
) -> None:
    (tmp_path / "watch").mkdir()
    commands = {"stop_kafka": own_kafka.kill, "start_kafka": own_kafka.start}
    with supervised(own_kafka.bootstrap, tmp_path, **commands) as supervisor:
        here = supervisor.place
        here.environment["CALLPULSE_CONFIG"] = str(outage.configured(tmp_path, spool_max_bytes=1 << 20))
        with outage.gateway(here) as (_, urls):
            jobs = {"callpulse-gateway": urls["status"], "callpulse": supervisor.url}
            with prometheus(
                tmp_path / "watch", {name: url.removeprefix("http://") for name, url in jobs.items()}
            ) as watch:
                variables = {
                    "GATEWAY": urls["url"],
                    "STATUS": urls["status"],
                    "TOKEN": outage.TOKEN,
                    "STOP_KAFKA": supervisor.command("stop_kafka"),
                    "START_KAFKA": supervisor.command("start_kafka"),
                    "PROMETHEUS": watch,
                    "REQUESTS": "100",
                }
                told = drill(supervisor, "full-spool", variables)
        print(told)
        assert "EventsNotStored fires" in told
        ids = [orjson.loads(record.value or b"")["id"] for record in consume(here.bootstrap, here.calls)]
        found = Counter(one for one in ids if one.startswith("drill-"))
        stored = re.search(r"the workers count (\d+) calls", told)
        assert stored
        assert set(found.values()) == {1}
        assert len(found) == int(stored[1]) > 1_000


def test_a_figure_that_differs_fails_the_drill(tmp_path: Path) -> None:
    fake = tmp_path / "callpulse"
    fake.touch(0o755)
    variables = {"PATH": "/usr/bin:/bin", "CALLPULSE": str(fake), "WORKERS": "http://127.0.0.1:9"}
    for told, status in (('"differences":[{}]', 1), ('"differences":[]', 0)):
        fake.write_text(f"#!/bin/sh\necho '{{\"compared\":true,{told}}}'\n")
        done = subprocess.run(
            ["/bin/sh", "-c", ". deploy/drills/common.sh; exact"],
            cwd=ROOT,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stderr


def test_the_page_names_every_drill_and_no_other() -> None:
    page = (ROOT / "docs/drills.md").read_text("utf-8")
    for script in DRILLS.glob("*.sh"):
        if script.stem != "common":
            assert f"deploy/drills/{script.name}" in page
            for variable in (
                "STOP",
                "START",
                "KILL",
                "DATA",
                "CHANGELOG",
                "DELETE_TOPIC",
                "PARTITIONS",
                "PREFIX",
                *OF_A_GATEWAY,
            ):
                needed = f"${{{variable}:?}}" in script.read_text("utf-8")
                assert not needed or f"{variable}=" in page
