"""The guard: a guarded program ends on request, and with its owner, whichever way that ends."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from agents.processes import KILL, TERMINATE, GuardedProcess, ProcessError
from tests.kafka_fixture import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

STUBBORN = ["sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 0.05; done"]

OWNER = """
    import os, sys, threading, pathlib
    from agents.processes import GuardedProcess
    log, doomed = map(pathlib.Path, sys.argv[1:3])
    program = GuardedProcess(sys.argv[3:], log=log, doomed=doomed, held=os.open(log, os.O_RDWR | os.O_CREAT))
    {after}
    print(program.pid, flush=True)
    threading.Event().wait()
"""


@pytest.fixture
def held(tmp_path: Path) -> Iterator[int]:
    """A descriptor for the guard to keep."""
    descriptor = os.open(tmp_path / "held", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


Owner = Callable[..., tuple["subprocess.Popen[str]", int]]


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Owner]:
    """Start a process that owns a guarded program; returns it and the program's pid. Nothing is left after the test."""
    pids: list[int] = []

    def start(*command: str, after: str = "") -> tuple[subprocess.Popen[str], int]:
        (tmp_path / "doomed").mkdir()
        script = textwrap.dedent(OWNER).format(after=after)
        arguments = [tmp_path / "log", tmp_path / "doomed", *command]
        process = subprocess.Popen(
            [sys.executable, "-c", script, *map(str, arguments)],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        )
        assert process.stdout
        pid = int(process.stdout.readline())
        pids.extend((process.pid, pid))
        return process, pid

    yield start
    for pid in pids:
        if not gone(pid):
            os.kill(pid, signal.SIGKILL)


def gone(pid: int) -> bool:
    """Return whether a process has ended; it stays as a zombie where no process reaps orphans."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_an_owner_killed_with_9_takes_the_program_and_the_temporary_folder_along(tmp_path: Path, owner: Owner) -> None:
    process, pid = owner("sleep", "1000")
    guard = psutil.Process(pid).ppid()
    process.kill()
    process.communicate()
    eventually(lambda: gone(pid) and gone(guard), within_s=10)
    eventually(lambda: not (tmp_path / "doomed").exists(), within_s=5)


@pytest.mark.slow
def test_a_program_deaf_to_sigterm_is_killed_when_its_owner_is_gone(tmp_path: Path, owner: Owner) -> None:
    process, pid = owner(*STUBBORN)
    eventually((tmp_path / "log").read_text)
    process.kill()
    process.communicate()
    eventually(lambda: gone(pid), within_s=10)


def test_a_forked_child_that_holds_the_pipe_does_not_keep_the_program_alive(owner: Owner) -> None:
    fork = "print(os.fork() or (os.setsid(), threading.Event().wait(60), os._exit(0)))"
    process, child = owner("sleep", "1000", after=fork)
    assert process.stdout
    pid = int(process.stdout.readline())
    process.kill()
    process.wait()
    eventually(lambda: gone(pid), within_s=10)
    assert not gone(child)
    os.kill(child, signal.SIGKILL)
    process.communicate()


def test_ctrl_c_reaches_the_owner_and_not_the_program(owner: Owner) -> None:
    note = "import signal; signal.signal(signal.SIGINT, lambda *_: print('interrupted', flush=True))"
    process, pid = owner("sleep", "1000", after=note)
    os.killpg(process.pid, signal.SIGINT)
    assert process.stdout
    assert process.stdout.readline() == "interrupted\n"
    assert not gone(pid)
    assert os.getsid(pid) != os.getsid(process.pid)
    process.kill()
    process.communicate()
    eventually(lambda: gone(pid), within_s=10)


def test_the_program_dies_with_its_guard(tmp_path: Path, held: int) -> None:
    program = GuardedProcess(["sleep", "1000"], log=tmp_path / "log", doomed=None, held=held)
    os.kill(psutil.Process(program.pid).ppid(), signal.SIGKILL)
    eventually(lambda: gone(program.pid), within_s=10)
    program.end(TERMINATE, deadline_s=5)


@pytest.mark.slow
def test_the_program_outlives_the_thread_that_started_it(tmp_path: Path, held: int) -> None:
    started: list[GuardedProcess] = []
    thread = threading.Thread(
        target=lambda: started.append(GuardedProcess(["sleep", "1000"], log=tmp_path / "l", doomed=None, held=held))
    )
    thread.start()
    thread.join()
    with pytest.raises(subprocess.TimeoutExpired):
        started[0]._guard.wait(1.5)
    started[0].end(KILL, deadline_s=5)


def test_a_program_that_ignores_the_order_is_killed_at_the_deadline(tmp_path: Path, held: int) -> None:
    program = GuardedProcess(STUBBORN, log=tmp_path / "log", doomed=None, held=held)
    eventually((tmp_path / "log").read_text)
    program.end(TERMINATE, deadline_s=0.5)
    assert program.status == 128 + signal.SIGKILL


def test_a_program_that_listens_ends_in_good_order(tmp_path: Path, held: int) -> None:
    program = GuardedProcess(["sleep", "1000"], log=tmp_path / "log", doomed=None, held=held)
    program.end(TERMINATE, deadline_s=5)
    assert program.status == 128 + signal.SIGTERM


def test_a_frozen_guard_does_not_hinder_the_end(tmp_path: Path, held: int) -> None:
    program = GuardedProcess(["sleep", "1000"], log=tmp_path / "log", doomed=None, held=held)
    os.kill(psutil.Process(program.pid).ppid(), signal.SIGSTOP)
    program.end(KILL, deadline_s=0.3)
    eventually(lambda: gone(program.pid), within_s=5)


def test_a_lock_given_to_the_guard_lasts_as_long_as_the_program(tmp_path: Path) -> None:
    def locked() -> bool:
        with (tmp_path / "lock").open("a") as other:
            try:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    with (tmp_path / "lock").open("a") as mine:
        fcntl.flock(mine, fcntl.LOCK_EX)
        program = GuardedProcess(["sleep", "1000"], log=tmp_path / "log", doomed=None, held=mine.fileno())
    assert locked()
    program.end(KILL, deadline_s=5)
    assert not locked()


def test_a_program_that_does_not_exist_is_an_error_that_names_it(tmp_path: Path, held: int) -> None:
    with pytest.raises(ProcessError, match=r"/no/such/java could not be started: error .*No such file"):
        GuardedProcess(["/no/such/java"], log=tmp_path / "log", doomed=None, held=held)


def test_what_the_program_says_stands_in_the_log(tmp_path: Path, held: int) -> None:
    speaker = ["sh", "-c", "echo out; echo err >&2; exit 3"]
    program = GuardedProcess(speaker, log=tmp_path / "log", doomed=None, held=held)
    assert eventually(lambda: program.status) == 3
    assert (tmp_path / "log").read_text() == "out\nerr\n"
    program.end(TERMINATE, deadline_s=5)
