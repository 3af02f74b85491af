"""A sender of events to a process with a sink: it keeps the answers, and sends unanswered events again."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import select
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

import orjson
from msgspec.structs import replace

from agents.kafka import admin
from streams.contract import topics
from streams.settings.gateway import Gateway
from streams.settings.settings import Kafka, Settings
from tests.broker.gateway_process import Prepare, run
from tests.kafka_fixture import consume, unique

_FORK: Final = multiprocessing.get_context("fork")  # a start with all imports would take most of the test


def settings_of(bootstrap: str, folder: Path, **gateway: int) -> Settings:
    kafka = Kafka(bootstrap=bootstrap, topic_prefix=unique("gw") + ".", partitions=2)
    return Settings(kafka=kafka, gateway=replace(Gateway(data_dir=str(folder)), **gateway))


async def make_topics(settings: Settings) -> None:
    await admin.create(settings.kafka, topics.of_gateway(settings.kafka.topic_prefix))


def sender_of(bootstrap: str, folder: Path, **gateway: int) -> Sender:
    """Return a sender to processes with topics of their own."""
    settings = settings_of(bootstrap, folder, **gateway)
    asyncio.run(make_topics(settings))
    return Sender(settings)


def in_topic(settings: Settings) -> list[int]:
    """Return the numbers that are in the topic, in the order of partitions and offsets."""
    kafka = settings.kafka
    records = consume(kafka.bootstrap, kafka.topic_prefix + "calls", committed_only=True, within_s=60)
    return [int(orjson.loads(record.value or b"")["id"]) for record in records]


def check(sender: Sender) -> None:
    """Assert that every acknowledged event is in the topic, and none twice."""
    found = Counter(in_topic(sender.settings))
    lost = sorted(sender.stored - found.keys())
    assert not lost, f"{len(lost)} acknowledged and lost: {lost[:5]} to {lost[-5:]}"
    assert {number: times for number, times in found.items() if times > 1} == {}


class Sender:
    """Sends numbers as events to processes, one after the other, and keeps the answers."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.stored: set[int] = set()
        self.duplicates: set[int] = set()
        self.refused: dict[int, str] = {}
        self.unanswered: set[int] = set()
        self._next = 0
        self._process: multiprocessing.process.BaseProcess | None = None
        self._socket: socket.socket | None = None
        self._rest = b""

    def start(self, prepare: Prepare | None = None, *, within_s: float = 60, may_die: bool = False) -> None:
        """Start a process, wait until it takes events, and send the unanswered events again.

        With `may_die` it may end before it takes any.
        """
        own, theirs = socket.socketpair()
        self._process = _FORK.Process(target=run, args=(self.settings, theirs, own, prepare))
        self._process.start()
        theirs.close()
        self._socket, self._rest = own, b""
        assert select.select([own], [], [], within_s)[0], "the process did not start"
        assert own.recv(6) in ({b"ready\n", b""} if may_die else {b"ready\n"})
        self._send(sorted(self.unanswered))

    def load(self, seconds: float, per_second: int = 1_000) -> None:
        """Send new events for some time, and take the answers."""
        begun, first = time.monotonic(), self._next
        while (passed := time.monotonic() - begun) < seconds and self._is_open():
            due = first + int(passed * per_second)
            self._send(list(range(self._next, due)))
            self._next = max(self._next, due)
            self._receive(0.005)

    def answers(self, within_s: float) -> None:
        """Wait until everything has an answer."""
        deadline = time.monotonic() + within_s
        while self.unanswered and time.monotonic() < deadline and self._is_open():
            self._receive(0.05)

    def until(self, condition: Callable[[], bool], within_s: float) -> None:
        """Take answers until the condition holds."""
        deadline = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < deadline, "not in time"
            self._receive(0.05)

    def kill(self) -> None:
        """Kill the process. Answers that it had written count."""
        assert self._process is not None
        assert self._process.pid is not None
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGKILL)
        self.ended()

    def ended(self, within_s: float = 120) -> int | None:
        """Wait until the process has ended, and take its answers."""
        assert self._process is not None
        self._process.join(within_s)
        while self._is_open():
            self._receive(0)
        assert self._process.exitcode is not None
        return self._process.exitcode

    def stop(self) -> None:
        """End the process in good order."""
        assert self._socket is not None
        self._socket.shutdown(socket.SHUT_WR)
        assert self.ended() == 0

    def _is_open(self) -> bool:
        return self._socket is not None

    def _send(self, numbers: list[int]) -> None:
        self.unanswered.update(numbers)
        data = memoryview(b"".join(b"%d\n" % number for number in numbers))
        while data and self._socket is not None:
            readable, writable, _ = select.select([self._socket], [self._socket], [], 5)
            if readable:
                self._receive(0)
            elif writable:
                try:
                    data = data[self._socket.send(data[:4096]) :]
                except OSError:
                    return  # killed by itself: its answers are still there
            else:
                raise TimeoutError("the process takes nothing")

    def _receive(self, wait_s: float) -> None:
        if self._socket is None or not select.select([self._socket], [], [], wait_s)[0]:
            return
        try:
            data = self._socket.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        if not data:
            self._socket.close()
            self._socket = None
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            text, answer = line.decode().split(" ", 1)
            number = int(text)
            if answer == "accepted":
                self.stored.add(number)
            elif answer == "duplicate":
                self.stored.add(number)
                self.duplicates.add(number)
            else:
                self.refused[number] = answer
            self.unanswered.discard(number)
