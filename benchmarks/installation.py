"""A whole installation for a benchmark: topics, a roster, and workers that are observed over HTTP."""

from __future__ import annotations

import asyncio
import http.client
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self, TypeAlias

import msgspec

from agents.embedded.ports import find_free
from agents.kafka.catch_up import catch_up
from benchmarks import broker, native
from benchmarks.peers.catalogue import ROOT
from benchmarks.watched_worker import Restored
from streams.contract import topics
from streams.settings.settings import load

Store: TypeAlias = Literal["rocksdb", "memory"]

WORKER: Final = "bench"
WATCHED: Final = "benchmarks.watched_worker"
START_DEADLINE_S: Final = 120.0
CATCH_UP_DEADLINE_S: Final = 600.0
ANSWER_DEADLINE_S: Final = 120.0
POLL_S: Final = 0.02
# The header of Prometheus 3: an answer may be compressed, and the time of the compression counts.
PROMETHEUS_HEADERS: Final = {
    "Accept": "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.2",
    "Accept-Encoding": "gzip",
}
_CONFIG: Final = """\
[kafka]
bootstrap = "{bootstrap}"
group = "{name}"
topic_prefix = "{name}."
commit_interval = "{commit_interval}"

[worker]
id = "{worker}"
data_dir = "{folder}/data"
http_port = {port}
"""


class Installation:
    """Topics and settings of one benchmark; `start` runs a worker on them. Ends its workers when left."""

    def __init__(self, bootstrap: str, managers: int, *, commit_interval: str = "1s") -> None:
        self.bootstrap = bootstrap
        self.managers = [f"manager-{number:04d}" for number in range(managers)]
        self._commit_interval = commit_interval
        self.name = f"bench-{uuid.uuid4().hex[:8]}"
        self.calls = f"{self.name}.calls"
        self.contacts = f"{self.name}.contacts"
        self.crm = f"{self.name}.crm"
        self.speech = f"{self.name}.speech"
        self.changelog = topics.changelog("leads", self.name).name
        self._folder = tempfile.TemporaryDirectory(prefix="callpulse-bench-")
        self.folder = Path(self._folder.name)
        self.data = self.folder / "data"
        self.config = self.folder / "callpulse.toml"
        self.port = find_free()
        self._workers: list[Worker] = []
        broker.create_installation(bootstrap, self.name, f"{self.name}.")
        self.config.write_text(self._settings(), encoding="utf-8")

    def start(
        self, store: Store = "rocksdb", *, name: str = WORKER, port: int | None = None, module: str = WATCHED
    ) -> Worker:
        """Start a worker with its lead rows in `store`; it is not ready yet.

        `name` is its `worker.id`, `port` its port instead of that of the installation, and `module` the module that
        runs it: its arguments are a file that it writes, and then those of `callpulse`.
        """
        started = len(self._workers)
        worker = Worker(self, number=started, store=store, name=name, port=port or self.port, module=module)
        self._workers.append(worker)
        return worker

    def lose_rows(self, *tables: str) -> None:
        """Remove the rows of `tables` from the workers' folder. None may be running."""
        for table in tables:
            shutil.rmtree(self.folder / "data" / WORKER / table)

    def wait_caught_up(self, workers: Sequence[Worker]) -> int:
        """Wait until the group has folded and committed all that its topics hold; return the records of calls and crm.

        It does not query the workers, so it costs them nothing. Raise RuntimeError if one of `workers` has ended.
        """

        def check() -> None:
            for worker in workers:
                worker.check()

        return asyncio.run(catch_up(load(self._settings(), {}).kafka, check))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.end(signal.SIGKILL)
        self._folder.cleanup()

    def _settings(self) -> str:
        text = [
            _CONFIG.format(
                bootstrap=self.bootstrap,
                name=self.name,
                worker=WORKER,
                folder=self.folder,
                port=self.port,
                commit_interval=self._commit_interval,
            )
        ]
        teams = range(-(-len(self.managers) // 20))
        text += [f'[[teams]]\nid = "team-{number:02d}"\nshifts = ["mon-sun 08:00-18:00"]\n' for number in teams]
        text += [
            f'[[managers]]\nid = "{manager}"\nname = "{manager}"\nteam = "team-{number // 20:02d}"\n'
            for number, manager in enumerate(self.managers)
        ]
        return "\n".join(text)


class Port:
    """An HTTP port of this machine. One connection is kept for all requests."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._connection: http.client.HTTPConnection | None = None

    def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        """Return status and body unchanged. Status 0 without an answer."""
        is_new = self._connection is None
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self._number, timeout=ANSWER_DEADLINE_S)
        try:
            self._connection.request("GET", path, headers=headers or {})
            answer = self._connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            self._connection = None
        # A worker closes a connection over which no request comes for a while (`agents/telemetry/connections.py`).
        return (0, b"") if is_new else self.get(path, headers)

    def close(self) -> None:
        """Close the connection; the next request makes a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Worker:
    """A process of `callpulse worker`, and the answers of its port."""

    def __init__(
        self, installation: Installation, *, number: int, store: Store, name: str, port: int, module: str
    ) -> None:
        self.name = name
        self.log = installation.folder / f"worker-{number}.log"
        self.told = installation.folder / f"worker-{number}.json"
        self.started_at = time.time()
        self._port = Port(port)
        self._calls = installation.calls
        compiled = native.is_built()
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *native.python(native=compiled),
                    "-m",
                    module,
                    str(self.told),
                    "worker",
                    "--config",
                    str(installation.config),
                ],
                cwd=ROOT,
                env={
                    **native.environment(native=compiled),
                    "CALLPULSE_WORKER__STORE": store,
                    "CALLPULSE_WORKER__ID": name,
                    "CALLPULSE_WORKER__HTTP_PORT": str(port),
                },
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        """Return status and body unchanged. Status 0 without an answer."""
        return self._port.get(path, headers)

    def metrics(self) -> Metrics:
        """Return the present samples of /metrics; none while it does not answer."""
        status, body = self.get("/metrics")
        return Metrics(body if status == http.client.OK else b"")

    @property
    def ready(self) -> bool:
        """True if the worker has its tables and its partitions."""
        return self.get("/-/ready")[0] == http.client.OK

    def wait_ready(self) -> float:
        """Return the time from the start of the worker until it was ready, seconds."""
        self.wait(lambda: self.ready, "ready", START_DEADLINE_S)
        return time.time() - self.started_at

    def wait_caught_up(self, records: int) -> None:
        """Wait until `records` of `calls` are folded and no topic has a lag."""

        def caught_up() -> bool:
            metrics = self.metrics()
            return metrics.sum("records_total", topic=self._calls) >= records and not metrics.sum("lag_records")

        self.wait(caught_up, f"through {records} records", CATCH_UP_DEADLINE_S, every_s=0.5)

    def wait_applied(self, events: Mapping[str, int], deadline_s: float) -> None:
        """Wait until these numbers of events, by topic, have changed a table, and no topic has a lag.

        Both must hold twice in a row: at the first check, facts of the last events may have been on their way to Kafka.
        """
        looks = 0

        def applied() -> bool:
            nonlocal looks
            metrics = self.metrics()
            through = all(metrics.sum("events_applied_total", topic=name) >= count for name, count in events.items())
            looks = looks + 1 if through and not metrics.sum("lag_records") else 0
            return looks > 1

        self.wait(applied, f"through {sum(events.values()):,} events", deadline_s, every_s=2)

    def wait(self, condition: Callable[[], bool], goal: str, deadline_s: float, every_s: float = POLL_S) -> None:
        """Wait for a condition; raise RuntimeError with the end of the log if it does not become true."""
        deadline = time.monotonic() + deadline_s
        while not condition():
            self.check()
            if time.monotonic() > deadline:
                raise RuntimeError(f"the worker was not {goal} after {deadline_s:g} s: {self._log_end()}")
            time.sleep(every_s)

    def check(self) -> None:
        """Raise RuntimeError with the end of the log if the process has ended."""
        if self._process.poll() is not None:
            raise RuntimeError(f"the worker ended with status {self._process.returncode}: {self._log_end()}")

    def end(self, how: signal.Signals) -> None:
        """End the process and wait for its end. Does nothing to one that has ended."""
        if self._process.poll() is None:
            self._process.send_signal(how)
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._port.close()

    def restored(self) -> Restored:
        """End the worker in good order and return its last restore."""
        self.end(signal.SIGTERM)
        return msgspec.json.decode(self.told.read_bytes(), type=Restored)

    def rss_mib(self) -> float:
        """Return the resident memory of the process, MiB."""
        completed = subprocess.run(
            ["ps", "-o", "rss=", "-p", str(self._process.pid)], capture_output=True, text=True, check=True
        )
        return int(completed.stdout) / 1024

    def cpu_s(self) -> float:
        """Return the processor time of the process so far, seconds. Raise OSError if the system has no /proc."""
        stat = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="ascii")
        of_user, of_system = stat.rpartition(")")[2].split()[11:13]
        return (int(of_user) + int(of_system)) / os.sysconf("SC_CLK_TCK")

    def peak_mib(self) -> float | None:
        """Return the largest resident memory so far, MiB; None if the system does not report it."""
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        except OSError:
            return None
        found = re.search(r"VmHWM:\s+(\d+)", status)
        return int(found[1]) / 1024 if found else None

    def _log_end(self) -> str:
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])


class Metrics:
    """Samples of a scrape, found by name and labels."""

    def __init__(self, text: bytes) -> None:
        self.text = text

    def samples(self, name: str, **labels: str) -> list[tuple[dict[str, str], float]]:
        """Return labels and values of `callpulse_NAME`, of those samples that have `labels`."""
        pattern = rb"^callpulse_" + name.encode() + rb"(?:\{(.*)\})? (\S+)"
        found = []
        for match in re.finditer(pattern, self.text, re.MULTILINE):
            its = dict(re.findall(r'(\w+)="([^"]*)"', (match[1] or b"").decode()))
            if labels.items() <= its.items():
                found.append((its, float(match[2])))
        return found

    def sum(self, name: str, **labels: str) -> float:
        """Return the sum of the samples; 0 without any."""
        return sum(value for _, value in self.samples(name, **labels))

    @property
    def series(self) -> int:
        """The number of samples of the scrape."""
        return sum(1 for line in self.text.splitlines() if line and not line.startswith(b"#"))


def environment_note() -> str:
    """Return the conditions of a worker's figures beside the machine."""
    return f"worker, broker, producer and poller share {os.cpu_count()} cores."
