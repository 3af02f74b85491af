"""Gateway: requests and events a second of one process, beside a bare aiohttp handler that only sends and waits."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import msgspec

from benchmarks.measures import Result, Target, percentile
from benchmarks.peers.catalogue import ROOT
from streams.settings.access import hashed

BATCH: Final = 500
CONNECTIONS: Final = {"single": 128, "batch": 8}
PROCESSES: Final = ("gateway", "bare")
GOALS: Final = {"single": 2_500.0, "batch": 15_000.0}
"""Events a second: of single requests, and in batches."""
SECONDS: Final = 8.0
WARM_S: Final = 1.0
P99_S: Final = 0.1
TOKEN: Final = "a-token-of-the-benchmark"  # noqa: S105 - a token of a benchmark protects nothing
MANAGERS: Final = 200
_CONFIG: Final = """\
[kafka]
bootstrap = "{bootstrap}"
topic_prefix = "{name}."
group = "{name}"
[gateway]
data_dir = "{folder}"
http_port = 0
status_port = 0
[sources.http.bench]
tokens = ["{token}"]
"""
_HEAD: Final = (
    "POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
    "Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
)
Request = Callable[[], bytes]


def measure(bootstrap: str, runs: int = 1, **_: Any) -> Result:
    """Send as fast as answers come, then at half of the goal, to the gateway and to the bare handler, turn by turn."""
    with ExitStack() as running:
        servers = {
            process: running.enter_context(
                _server(process, bootstrap, Path(running.enter_context(tempfile.TemporaryDirectory())))
            )
            for process in PROCESSES
        }
        measured = {process: Measured() for process in PROCESSES}
        for _run in range(max(1, min(runs, 3))):
            for kind in CONNECTIONS:
                for process, server in servers.items():
                    measured[process].at_most_speed(server, kind)
            for kind in CONNECTIONS:
                for process, server in servers.items():
                    measured[process].at_half(server, kind)
    figures = {process: found.figures() for process, found in measured.items()}
    own, bare = figures["gateway"], figures["bare"]
    figures["gateway ÷ bare"] = {name: own[name] / bare[name] for name in own}
    targets = [
        Target("single requests a second", own["single"], at_least=GOALS["single"]),
        Target("events a second in batches", own["batch"], at_least=GOALS["batch"]),
        Target("p99 at half of that, single, seconds", own["single_p99"], at_most=P99_S),
        Target("p99 at half of that, batches, seconds", own["batch_p99"], at_most=P99_S),
    ]
    notes = [
        f"Batches of {BATCH}; {CONNECTIONS['single']} and {CONNECTIONS['batch']} connections; best of the runs.",
        "Sender, broker and both servers share the machine, and the servers take turns.",
        "`bare` checks nothing, makes no transactions and recognises no repeats.",
    ]
    return Result("gateway", figures, _table(figures), targets, notes, [])


def _table(figures: dict[str, dict[str, float]]) -> list[list[str]]:
    columns = {
        "single": ("single requests/s", "{:,.0f}"),
        "batch": ("events/s in batches", "{:,.0f}"),
        "single_p99": ("p99 at half the goal, single", "{:.3f} s"),
        "batch_p99": ("p99 at half the goal, batches", "{:.3f} s"),
        "single_cpu_us": ("CPU µs/single request", "{:,.0f}"),
        "batch_cpu_us": ("CPU µs/batch", "{:,.0f}"),
    }
    table = [["process", *(title for title, _ in columns.values())]]
    for process, found in figures.items():
        forms = {name: form if process in PROCESSES else "{:.2f}" for name, (_, form) in columns.items()}
        table.append([process, *(form.format(found[name]) for name, form in forms.items())])
    return table


class Server(NamedTuple):
    """A process that listens, and its id."""

    url: str
    pid: int


class Measured:
    """The figures of one process, run by run."""

    def __init__(self) -> None:
        self._rates: defaultdict[str, list[float]] = defaultdict(list)
        self._cpu_us: defaultdict[str, list[float]] = defaultdict(list)
        self._p99: defaultdict[str, list[float]] = defaultdict(list)

    def at_most_speed(self, server: Server, kind: str) -> None:
        """Send as fast as answers come."""
        before = _cpu_s(server.pid)
        rate, times = asyncio.run(_load(server.url, kind, None))
        requests = len(times) * (SECONDS + WARM_S) / SECONDS  # the first ones had no times
        self._rates[kind].append(rate)
        self._cpu_us[kind].append((_cpu_s(server.pid) - before) / requests * 1e6)

    def at_half(self, server: Server, kind: str) -> None:
        """Send at half of the goal."""
        _rate, times = asyncio.run(_load(server.url, kind, GOALS[kind] / 2))
        self._p99[kind].append(percentile(times, 0.99))

    def figures(self) -> dict[str, float]:
        """Return the best of all runs: chance only makes a run slower."""
        return {
            **{kind: max(rates) for kind, rates in self._rates.items()},
            **{f"{kind}_p99": min(times) for kind, times in self._p99.items()},
            **{f"{kind}_cpu_us": min(times) for kind, times in self._cpu_us.items()},
        }


def _cpu_s(pid: int) -> float:
    """Return the processor time of a process so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _server(process: str, bootstrap: str, folder: Path) -> Iterator[Server]:
    """Run the gateway, or the bare handler, on topics of its own."""
    name = f"bench-{uuid.uuid4().hex[:8]}"
    config = folder / "callpulse.toml"
    config.write_text(
        _CONFIG.format(bootstrap=bootstrap, name=name, folder=folder / "data", token=hashed(TOKEN)), encoding="utf-8"
    )
    environment = {**os.environ, "CALLPULSE_CONFIG": str(config)}
    create = [sys.executable, "-m", "agents.cli", "topics", "create"]
    subprocess.run(create, cwd=ROOT, env=environment, check=True, capture_output=True)
    command = {
        "gateway": ["-m", "agents.cli", "gateway", "--json"],
        "bare": ["-m", "benchmarks.peers.bare_http", bootstrap, f"{name}.calls"],
    }[process]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=log
        ) as running,
    ):
        try:
            assert running.stdout is not None
            first_line = running.stdout.readline()
            if not first_line:
                raise RuntimeError((folder / "log").read_text(encoding="utf-8"))
            yield Server(str(msgspec.json.decode(first_line)["url"]), running.pid)
        finally:
            running.send_signal(signal.SIGTERM)
            try:
                running.wait(20)
            except subprocess.TimeoutExpired:
                running.kill()


async def _load(url: str, kind: str, rate: float | None) -> tuple[float, list[float]]:
    """Send for `SECONDS`, as fast as answers come or `rate` events a second; return events a second and the times."""
    size = BATCH if kind == "batch" else 1
    request = _requests(kind)
    times: list[float] = []
    begun = time.perf_counter()
    ends = begun + WARM_S + SECONDS
    turns = itertools.count()

    async def send() -> None:
        place = urlsplit(url)
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        while (now := time.perf_counter()) < ends:
            data = request()
            if rate is not None:
                due = begun + next(turns) * size / rate
                if due > ends:
                    break
                await asyncio.sleep(max(0.0, due - now))
                now = due  # an answer that is late delays the next request: that counts, too
            writer.write(data)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 202"):
                raise RuntimeError(head.decode())
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.partition(b":")[2]))
            if now > begun + WARM_S:
                times.append(time.perf_counter() - now)
        writer.close()

    await asyncio.gather(*(send() for _ in range(CONNECTIONS[kind])))
    return len(times) * size / SECONDS, times


def _requests(kind: str) -> Request:
    """Return a function that makes a request with new events. Only ids and managers differ."""
    now = time.time_ns() // 1_000_000
    numbers = itertools.count()
    run = uuid.uuid4().hex[:8]
    event = (
        f'{{"v":1,"id":"{run}-%d","type":"call.ended","at":{now},"source":"bench","call":"{run}-%d","manager":"m-%d",'
        f'"lead":"crm-%d","direction":"outbound","started_at":{now - 60_000},"answered_at":{now - 50_000},'
        '"talk_ms":50000,"disposition":"answered"}'
    )

    def one() -> str:
        number = next(numbers)
        return event % (number, number, number % MANAGERS, number % 5_000)

    def request() -> bytes:
        body = one() if kind == "single" else f"[{','.join(one() for _ in range(BATCH))}]"
        return (_HEAD.format(token=TOKEN, length=len(body)) + body).encode()

    return request
