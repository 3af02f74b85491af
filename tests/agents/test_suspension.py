from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time

import pytest
from prometheus_client import CollectorRegistry, Histogram

from agents.suspension import SuspendedError, SuspensionDetector, wakeful_clock, watch_loop
from tests.agents.stand_in import eventually

# A worker whose event loop runs no timer: only the thread can detect the suspension.
BUSY_PROCESS = """
import os, threading, time
from agents.suspension import SuspensionDetector

announced = threading.Event()

def leave(error):
    announced.wait()  # a busy machine may suspend it before
    print(error, flush=True)
    os._exit(70)

SuspensionDetector(0.5, leave).start()
print("started", flush=True)
announced.set()
until = time.monotonic() + 50
while time.monotonic() < until:
    pass
"""


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class TestSuspensionDetector:
    @pytest.mark.parametrize("gap", [0.0, 6.9, 7.0])
    def test_a_short_pause_is_nothing(self, gap: float) -> None:
        clock, failures = Clock(), list[BaseException]()
        detector = SuspensionDetector(7.0, failures.append, clock)
        for _ in range(5):
            clock.now += gap
            assert detector.beat()
        assert failures == []

    def test_a_pause_that_outlasts_the_membership_ends_the_worker_once(self) -> None:
        clock, failures = Clock(), list[BaseException]()
        detector = SuspensionDetector(7.0, failures.append, clock)
        clock.now += 7.1
        assert not detector.beat()
        clock.now += 0.1
        assert not detector.beat()
        clock.now += 100
        assert not detector.beat()
        (error,) = failures
        assert isinstance(error, SuspendedError)
        assert "7.1 s" in str(error)

    def test_a_suspended_process_leaves_as_soon_as_it_wakes(self) -> None:
        process = subprocess.Popen([sys.executable, "-c", BUSY_PROCESS], stdout=subprocess.PIPE, text=True)
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == "started\n"
            os.kill(process.pid, signal.SIGSTOP)
            try:
                time.sleep(1.0)  # the time of the suspension itself: there is no condition to wait for
            finally:
                os.kill(process.pid, signal.SIGCONT)
            told, _ = process.communicate(timeout=60)
        assert process.returncode == 70
        assert told.startswith("the process stood still for ")

    def test_the_thread_ends_when_told(self) -> None:
        failures: list[BaseException] = []
        detector = SuspensionDetector(1e9, failures.append)
        detector.start()
        thread = detector._thread
        assert thread is not None
        assert thread.is_alive()
        detector.stop()
        thread.join(timeout=30)
        assert not thread.is_alive()

    @pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="only Linux tells the time spent asleep")
    def test_its_clock_counts_the_time_that_the_machine_sleeps(self) -> None:
        before = time.clock_gettime(time.CLOCK_BOOTTIME)
        assert before <= wakeful_clock()() <= time.clock_gettime(time.CLOCK_BOOTTIME)


class TestLoop:
    async def test_a_loop_that_is_held_up_is_late(self) -> None:
        registry = CollectorRegistry()
        stalls = Histogram("stall", "Stall.", registry=registry, buckets=(0.1, 0.5, 5))
        watching = asyncio.create_task(watch_loop(stalls))
        await asyncio.sleep(0)
        time.sleep(0.3)  # noqa: ASYNC251 - the stall itself
        await eventually(lambda: bool(registry.get_sample_value("stall_count")))
        watching.cancel()
        assert registry.get_sample_value("stall_bucket", {"le": "0.1"}) == 0
        assert (registry.get_sample_value("stall_sum") or 0) >= 0.24
