"""The supervisor of `callpulse up`, over small programs: restarts with growing pauses, and the orderly end."""

from __future__ import annotations

import asyncio
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from agents.cli.common import UserError
from agents.cli.up import _locked
from agents.cli.up.plan import Part
from agents.cli.up.screen import board, line_of
from agents.cli.up.supervisor import FAILED, READY, STOPPED, WAITING, Supervised, Supervisor
from agents.embedded.ports import find_free
from tests.agents.cli_runner import Runner
from tests.agents.stand_in import eventually

SLEEP = ("sleep", "1000")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def held() -> Iterator[int]:
    descriptor = os.open(os.devnull, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def part(name: str, *command: str, stop: int = 0, is_needed: bool = False) -> Part:
    return Part(name, command or SLEEP, dict(os.environ), "http://127.0.0.1:1", "http://127.0.0.1:1/", stop, is_needed)


async def died(one: Supervised) -> None:
    """Wait until the process has ended, and let the supervisor note it."""
    await eventually(lambda: one.pid is None)
    one.watch()


async def test_what_dies_is_started_again_later_each_time(tmp_path: Path, held: int) -> None:
    clock = Clock()
    one = Supervised(part("p", "sh", "-c", "echo oh no; exit 3"), tmp_path / "p.log", held, clock)
    one.start()
    pauses = []
    for _ in range(8):
        await died(one)
        assert one.state == WAITING
        pauses.append(one.pause_s)
        clock.now += one.pause_s - 0.1
        one.watch()
        assert one.state == WAITING
        clock.now += 0.1
        one.watch()
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    assert one.restarts == 8
    await died(one)
    assert "died, starts again in 60 s" in line_of(one)
    assert line_of(one).endswith("it said last: oh no")
    one.stop()


async def test_one_that_ran_for_long_begins_with_a_short_pause(tmp_path: Path, held: int) -> None:
    clock = Clock()
    one = Supervised(part("p"), tmp_path / "p.log", held, clock)
    one.start()
    for ran_s, pause_s in ((1, 1), (1, 2), (61, 1)):
        clock.now += ran_s
        assert one.pid is not None
        psutil.Process(one.pid).kill()
        await died(one)
        assert one.pause_s == pause_s
        clock.now += pause_s
        one.watch()
    one.stop()
    assert one.state == STOPPED
    one.watch()
    assert one.pid is None


async def test_wrong_settings_do_not_mend_themselves(tmp_path: Path, held: int) -> None:
    code = "import sys; print('kafka.gruop: unknown key'); sys.exit(2)"
    (tmp_path / "exits.py").write_text(code, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    wrong = part("p", sys.executable, "-m", "exits", is_needed=True)._replace(environment=environment)
    supervisor = Supervisor()
    one = Supervised(wrong, tmp_path / "q.log", held)
    supervisor.add(one)
    with pytest.raises(UserError, match=r"p does not start\. It said last:\n  kafka\.gruop: unknown key") as told:
        await supervisor.until_ready([one], asyncio.Event(), 60)
    assert told.value.exit_code == 2
    assert one.state == FAILED
    one.watch()
    assert one.pid is None


async def test_a_program_that_is_not_there_is_told_and_tried_again(tmp_path: Path, held: int) -> None:
    one = Supervised(part("p", "/no/such/program"), tmp_path / "p.log", held)
    one.start()
    assert one.state == WAITING
    assert "No such file" in one.tail()


async def test_parts_end_in_their_order_and_are_gone(tmp_path: Path, held: int) -> None:
    told: list[tuple[str, str]] = []
    supervisor = Supervisor(lambda one: told.append((one.part.name, one.state)))
    for name, turn in (("kafka", 2), ("worker", 1), ("gateway", 0)):
        supervisor.add(Supervised(part(name, stop=turn), tmp_path / f"{name}.log", held))
    processes = [psutil.Process(one.pid) for one in supervisor.supervised]
    await supervisor.stop()
    assert told[-3:] == [("gateway", STOPPED), ("worker", STOPPED), ("kafka", STOPPED)]
    assert not any(process.is_running() for process in processes)


async def test_a_part_is_ready_once_it_answers(tmp_path: Path, held: int) -> None:
    port = find_free()
    server = (sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port))
    url = f"http://127.0.0.1:{port}/"
    supervisor = Supervisor()
    one = Supervised(part("p", *server)._replace(probe=url, url=url), tmp_path / "p.log", held)
    supervisor.add(one)
    assert await supervisor.until_ready([one], asyncio.Event(), 60)
    assert one.state == READY
    stop = asyncio.Event()
    stop.set()
    assert not await supervisor.until_ready([one], stop, None)
    await supervisor.stop()


def test_the_screen_has_a_line_for_each_part(tmp_path: Path, held: int) -> None:
    one = Supervised(part("worker-1"), tmp_path / "p.log", held)
    (tmp_path / "p.log").write_text("first\nthe \x1b[31mlast [bold]line\n\n", encoding="utf-8")
    shown = Console(file=io.StringIO(), width=120)
    shown.print(board([one], ["Grafana is not installed"]))
    text = shown.file.getvalue()  # type: ignore[attr-defined]  # it is a StringIO
    assert "worker-1" in text
    assert "the \N{REPLACEMENT CHARACTER}[31mlast [bold]line" in text
    assert "Grafana is not installed" in text
    assert "\x1b[31m" not in text


def test_a_folder_is_used_once_at_a_time(callpulse: Runner, tmp_path: Path) -> None:
    with (
        _locked(tmp_path / "data"),
        pytest.raises(UserError, match=rf"in use by `callpulse up`, process {os.getpid()}: .* --data-dir"),
        _locked(tmp_path / "data"),
    ):
        pass
    with _locked(tmp_path / "data"):
        pass
    with _locked(tmp_path / "data"):
        done = callpulse("up", "--data-dir", tmp_path / "data")
    assert done.code == 70
    assert "is in use by `callpulse up`" in done.err
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be used"), _locked(tmp_path / "file" / "data"):
        pass
