"""Kafka is away, slow and restarted while requests come in over HTTP: every 2xx is in the topic once.

`python -m tests.broker.outage --minutes 10` runs it as long as an outage may last, and prints the figures.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from array import array
from collections import Counter, deque
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import msgspec
from aiokafka import AIOKafkaConsumer

from agents.embedded import EmbeddedKafka
from streams.settings.access import hashed
from tests.broker.installation import ROOT, Installation
from tests.kafka_fixture import partitions

TOKEN: Final = "a-token-for-an-outage"  # noqa: S105 - it protects nothing
MANAGERS: Final = 40
CONNECTIONS: Final = 128
SPOOL_MAX_BYTES: Final = 1 << 30
MORE_MEMORY: Final = 200_000_000
"""Most bytes that the gateway's memory may grow by, with the ids that it remembers (`gateway.memory_bytes`)."""
_CONFIG: Final = """\
[gateway]
data_dir = "{folder}"
http_port = 0
status_port = 0
spool_max_bytes = {spool}
[sources.http.pbx]
tokens = ["{token}"]
"""
_HEAD: Final = (
    "POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
    "Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
)
_EVENT: Final = (
    '{{"v":1,"id":"{number}","type":"call.ended","at":{at},"source":"pbx","call":"c-{number}","manager":"m-{manager}",'
    '"lead":"crm-{number}","direction":"outbound","started_at":{start},"answered_at":{start},"talk_ms":50000,'
    '"disposition":"answered"}}'
)
_AGAIN_S: Final = 1.0
_LOOK_S: Final = 0.5
_ANSWER_S: Final = 60.0


class Phases(NamedTuple):
    """Seconds of each phase, in order. Slow: Kafka is suspended for most of each second."""

    up: float
    down: float
    back: float
    slow: float
    after: float


class Taken(NamedTuple):
    """The figures of a run. Bytes are those of the gateway's process and of its spool."""

    acknowledged: int
    refused: Counter[int]
    down_per_second: float
    memory_before: int
    memory_most: int
    spool_most: int
    drained_s: float
    lost: list[int]
    twice: list[int]

    @property
    def is_good(self) -> bool:
        """True if all acknowledged events are in the topic once, and memory and spool were bounded."""
        bounded = self.memory_most < self.memory_before + MORE_MEMORY and self.spool_most <= SPOOL_MAX_BYTES
        return bounded and not self.lost and not self.twice

    def text(self) -> str:
        """Return the figures for a person."""
        return (
            f"{self.acknowledged:,} requests acknowledged, {self.down_per_second:,.0f} a second while Kafka was away; "
            f"other answers: {dict(self.refused) or 'none'}; spool at most {self.spool_most / 1e6:,.0f} MB, empty "
            f"{self.drained_s:.0f} s after the last request; memory {self.memory_before / 1e6:,.0f} MB before, "
            f"{self.memory_most / 1e6:,.0f} MB at most; lost: {len(self.lost)}, there twice: {len(self.twice)}"
        )


class Load:
    """Sends one event with each request, at a rate, and sends events without a 2xx again."""

    def __init__(self, url: str, per_second: float) -> None:
        self._url = urlsplit(url)
        self._per_second = per_second
        self._numbers = itertools.count()
        self._again: deque[tuple[float, int]] = deque()
        self._ending = False
        self.acknowledged: set[int] = set()
        self.refused: Counter[int] = Counter()

    async def run(self, phases: asyncio.Task[None]) -> None:
        """Send until `phases` are over and everything is acknowledged."""
        phases.add_done_callback(lambda _: setattr(self, "_ending", True))
        begun = time.monotonic()
        await asyncio.gather(*(self._send(begun) for _ in range(CONNECTIONS)))

    async def _send(self, begun: float) -> None:
        reader, writer = await asyncio.open_connection(self._url.hostname, self._url.port)
        while True:
            now = time.monotonic()
            if self._again and self._again[0][0] <= now:
                number = self._again.popleft()[1]
            elif self._ending:
                if not self._again:
                    break
                await asyncio.sleep(0.1)
                continue
            else:
                number = next(self._numbers)
                await asyncio.sleep(max(0.0, begun + number / self._per_second - now))
            writer.write(_request(number))
            async with asyncio.timeout(_ANSWER_S):
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
                await reader.readexactly(int(length.partition(b":")[2]))
            status = int(head[9:12])
            if status // 100 == 2:
                self.acknowledged.add(number)
            else:
                self.refused[status] += 1
                self._again.append((time.monotonic() + _AGAIN_S, number))
        writer.close()


def _request(number: int) -> bytes:
    at = time.time_ns() // 1_000_000
    body = _EVENT.format(number=number, at=at, manager=number % MANAGERS, start=at - 50_000)
    return (_HEAD.format(token=TOKEN, length=len(body)) + body).encode()


def configured(folder: Path, spool_max_bytes: int) -> Path:
    """Write the settings of a gateway on free ports, with one sender whose token is `TOKEN`."""
    config = folder / "callpulse.toml"
    text = _CONFIG.format(folder=folder / "gateway", token=hashed(TOKEN), spool=spool_max_bytes)
    config.write_text(text, encoding="utf-8")
    return config


def run(kafka: EmbeddedKafka, folder: Path, phases: Phases, per_second: float = 1_000) -> Taken:
    """Run the phases with a gateway process of its own, and read the topic afterwards."""
    here = Installation(kafka.bootstrap, folder)
    here.environment["CALLPULSE_CONFIG"] = str(configured(folder, SPOOL_MAX_BYTES))
    created = here("topics", "create")
    assert created.returncode == 0, created.stderr
    with gateway(here) as (process, urls):
        taken = asyncio.run(_phases(kafka, process.pid, urls, phases, per_second))
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, (folder / "gateway.log").read_text(encoding="utf-8")
    assert not list((folder / "gateway").rglob("*.spool"))
    lost, twice = asyncio.run(_compared(here, taken))
    return taken._replace(lost=lost, twice=twice)


@contextlib.contextmanager
def gateway(here: Installation) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, str]]]:
    """Run a gateway; yield its process and its addresses: `url` of the events, `status` of the state."""
    command = [sys.executable, "-m", "agents.cli", "gateway", "--json"]
    with (
        (here.folder / "gateway.log").open("wb") as log,
        subprocess.Popen(command, cwd=ROOT, env=here.environment, stdout=subprocess.PIPE, stderr=log) as process,
    ):
        try:
            assert process.stdout is not None
            told = process.stdout.readline()
            assert told, (here.folder / "gateway.log").read_text(encoding="utf-8")
            yield process, msgspec.json.decode(told)
        finally:
            process.kill()


class _Watch:
    """The largest sizes of the gateway's memory and spool, measured twice a second."""

    def __init__(self, pid: int, status: str) -> None:
        self._pid = pid
        self._status = status
        self.memory_most = self.spool_most = 0

    async def run(self) -> None:
        while True:
            self.memory_most = max(self.memory_most, self.memory())
            self.spool_most = max(self.spool_most, await asyncio.to_thread(self.spool))
            await asyncio.sleep(_LOOK_S)

    def memory(self) -> int:
        fields = Path(f"/proc/{self._pid}/statm").read_text(encoding="ascii").split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    def spool(self) -> int:
        with urllib.request.urlopen(f"{self._status}/metrics", timeout=30) as answer:  # noqa: S310 - our own process
            text = answer.read().decode()
        return int(float(text.partition("\ncallpulse_spool_bytes ")[2].partition("\n")[0]))


async def _phases(kafka: EmbeddedKafka, pid: int, urls: dict[str, str], phases: Phases, per_second: float) -> Taken:
    load, watch = Load(urls["url"], per_second), _Watch(pid, urls["status"])
    before = 0
    down = 0.0

    async def happen() -> None:
        nonlocal before, down
        await asyncio.sleep(phases.up)
        before = watch.memory()
        await asyncio.to_thread(kafka.kill)
        count, since = len(load.acknowledged), time.monotonic()
        await asyncio.sleep(phases.down)
        down = (len(load.acknowledged) - count) / (time.monotonic() - since)
        await asyncio.to_thread(kafka.start)
        await asyncio.sleep(phases.back)
        await _slow(kafka, phases.slow)
        await asyncio.to_thread(kafka.kill)
        await asyncio.to_thread(kafka.start)
        await asyncio.sleep(phases.after)

    watching = asyncio.create_task(watch.run())
    happening = asyncio.create_task(happen())
    try:
        await load.run(happening)
        await happening
        ended = time.monotonic()
        while await asyncio.to_thread(watch.spool):
            assert time.monotonic() - ended < 120 + phases.down, "the spool does not become empty"
            await asyncio.sleep(0.1)
        drained = time.monotonic() - ended
    finally:
        for task in (watching, happening):
            task.cancel()
        await asyncio.gather(watching, happening, return_exceptions=True)
    acknowledged = len(load.acknowledged)
    assert acknowledged == max(load.acknowledged, default=-1) + 1  # refused events were sent again
    return Taken(
        acknowledged, load.refused, down, before, watch.memory_most, watch.spool_most, drained, lost=[], twice=[]
    )


async def _slow(kafka: EmbeddedKafka, seconds: float) -> None:
    """Suspend Kafka for nine tenths of the time."""
    ends = time.monotonic() + seconds
    assert kafka.pid
    while time.monotonic() < ends:
        os.kill(kafka.pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(0.9)
        finally:
            os.kill(kafka.pid, signal.SIGCONT)
        await asyncio.sleep(0.1)


async def _compared(here: Installation, taken: Taken) -> tuple[list[int], list[int]]:
    """Return the acknowledged events that are not in the topic, and those that are in it twice."""
    times = array("B", bytes(taken.acknowledged))
    consumer = AIOKafkaConsumer(
        bootstrap_servers=here.bootstrap,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    await consumer.start()
    try:
        tps = await partitions(consumer, here.calls)
        consumer.assign(tps)
        await consumer.seek_to_beginning(*tps)
        ends = await consumer.end_offsets(tps)
        while [tp for tp in tps if await consumer.position(tp) < ends[tp]]:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    times[int(msgspec.json.decode(record.value)["id"])] += 1
    finally:
        await consumer.stop()
    counts = list(enumerate(times))
    return [number for number, count in counts if count == 0], [number for number, count in counts if count > 1]


def main() -> int:
    """Run the outage, print the figures, and return 1 if an acknowledged event is not there exactly once."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="how long Kafka is away")
    parser.add_argument("--per-second", type=float, default=1_000.0, help="requests a second")
    given = parser.parse_args()
    phases = Phases(up=10, down=60 * given.minutes, back=10, slow=30, after=10)
    with tempfile.TemporaryDirectory() as folder, EmbeddedKafka() as kafka:
        taken = run(kafka, Path(folder), phases, given.per_second)
    print(taken.text())
    return 0 if taken.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
