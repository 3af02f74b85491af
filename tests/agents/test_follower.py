"""A followed file in the sink: the events of any growth and any kills are those of the whole file."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from agents.gateway.follower import Follower, kept_position
from agents.gateway.following import GrowingFile
from agents.gateway.sink import NotStoredError, Stored
from streams.contract.events import Event
from streams.sources.asterisk import DRY_RUN_SECRET
from streams.sources.asterisk.mapping import AsteriskMapping
from streams.sources.asterisk.records.settings import CdrSettings, CelSettings, QueueLogSettings
from streams.sources.asterisk.records.sources import CdrSource, CelSource, QueueLogSource
from streams.sources.frame import LineSource, Refused
from tests.streams.records import FIXTURES, FOLDER, MAPPING, NOW_MS
from tests.streams.test_asterisk_real import EXPECTED
from tests.streams.test_asterisk_real import MAPPING as REAL


class Memory:
    """A sink and cursors that survive a kill. The sink refuses to store as often as it is set to."""

    def __init__(self) -> None:
        self.events: dict[str, Event] = {}
        self.refused: list[Refused] = []
        self.cursors: dict[str, bytes] = {}
        self.failures = 0

    async def store(self, source: str, events: Sequence[Event]) -> list[Stored]:
        assert source == "asterisk"
        if self.failures:
            self.failures -= 1
            raise NotStoredError("Kafka is away", 0)
        for event in events:
            self.events.setdefault(event.id, event)  # of several with one id the first counts
        return ["accepted"] * len(events)

    async def refuse(self, source: str, refused: Sequence[Refused]) -> None:
        assert source == "asterisk"
        self.refused += refused

    def get(self, key: str) -> bytes | None:
        return self.cursors.get(key)

    async def put(self, key: str, value: bytes) -> None:
        self.cursors[key] = value

    async def flush(self) -> None:
        """Do nothing: cursors are kept at once."""


class DownError(Exception):
    """The sink broke."""


class Broken(Memory):
    """A sink that breaks."""

    async def store(self, source: str, events: Sequence[Event]) -> list[Stored]:
        raise DownError(f"{len(events)} events of {source}")


def cel(mapping: AsteriskMapping = MAPPING) -> CelSource:
    return CelSource(CelSettings(), mapping, DRY_RUN_SECRET)


def queue_log() -> QueueLogSource:
    return QueueLogSource(QueueLogSettings(), MAPPING, DRY_RUN_SECRET)


def cdr() -> CdrSource:
    return CdrSource(CdrSettings(), MAPPING, DRY_RUN_SECRET, "Europe/Moscow")


def follower(path: Path, memory: Memory, make: Callable[[], LineSource]) -> Follower:
    """Return a follower as the command makes it, with the position that was kept."""
    position, source = kept_position(memory, "file"), make()
    if position is not None:
        source.restore(position.state)
    growing = GrowingFile(path, position)
    clock = iter(range(NOW_MS // 1000, NOW_MS, 10))
    return Follower(growing, source, memory, memory, key="file", clock=lambda: float(next(clock)), poll_s=0)


async def read_all(following: Follower) -> None:
    quiet = 0
    while quiet < 6:
        quiet = 0 if await following.step() else quiet + 1


def whole(path: Path, make: Callable[[], LineSource]) -> dict[str, Event]:
    memory = Memory()
    following = follower(path, memory, make)
    asyncio.run(read_all(following))
    following.growing.close()
    return memory.events


def test_it_says_how_far_it_has_read_only_when_the_events_are_stored(tmp_path: Path) -> None:
    day = FOLDER / "cel" / "cel-custom" / "Master.csv"
    rows = day.read_bytes().splitlines(keepends=True)
    newest = max(round(float(row.split(b'"')[3]) * 1000) for row in rows)
    said: list[bytes | None] = []

    class Looking(Memory):
        async def store(self, source: str, events: Sequence[Event]) -> list[Stored]:
            said.append(self.get("asterisk/read until"))
            return await super().store(source, events)

    path, memory, source = tmp_path / day.name, Looking(), cel()
    path.write_bytes(b"".join(rows))
    following = follower(path, memory, lambda: source)
    following.read_until = source.read_until("asterisk")
    asyncio.run(following.step())
    assert set(said) == {None}
    assert memory.get("asterisk/read until") == b"%d" % newest
    asyncio.run(read_all(following))
    following.growing.close()
    quiet = memory.get("asterisk/read until")
    assert quiet is not None
    assert NOW_MS < int(quiet) < NOW_MS + 120_000


DAYS: dict[str, tuple[Path, Callable[[], LineSource]]] = {
    "cel": (FOLDER / "cel" / "cel-custom" / "Master.csv", cel),
    "queue_log": (FOLDER / "queue_log" / "queue_log", queue_log),
    "cdr": (FOLDER / "cdr" / "cdr-csv" / "Master.csv", cdr),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", DAYS)
def test_a_kill_after_any_row_changes_nothing(kind: str, tmp_path: Path) -> None:
    day, make = DAYS[kind]
    want = whole(day, make)
    lines = day.read_bytes().splitlines(keepends=True)
    path = tmp_path / day.name
    for cut in range(0, len(lines) + 1, 1 if kind != "cel" else 3):
        memory = Memory()
        path.write_bytes(b"".join(lines[:cut]))
        before = follower(path, memory, make)
        asyncio.run(before.step())
        before.growing.close()
        with path.open("ab") as stream:
            stream.write(b"".join(lines[cut:]))
        after = follower(path, memory, make)
        asyncio.run(read_all(after))
        after.growing.close()
        assert memory.events == want, cut


def test_kills_in_the_calls_of_a_real_asterisk(tmp_path: Path) -> None:
    path = tmp_path / "Master.csv"
    names = [name for name in EXPECTED if not name.startswith(("2", "30", "31"))]
    lines = [
        line for name in names for line in (FIXTURES / "asterisk" / "cel" / f"{name}.csv").read_bytes().splitlines(True)
    ]
    lines.sort(key=lambda line: line.split(b'"')[3])

    def make() -> CelSource:
        return cel(REAL)

    path.write_bytes(b"".join(lines))
    want = whole(path, make)
    chance = random.Random(7)
    memory = Memory()
    path.write_bytes(b"")
    written = 0
    while written < len(lines):
        following = follower(path, memory, make)
        for _ in range(chance.randint(1, 3)):
            more = chance.randint(1, 60)
            with path.open("ab") as stream:
                stream.write(b"".join(lines[written : written + more]))
            written += more
            memory.failures = chance.randint(0, 1)
            asyncio.run(following.step())
        following.growing.close()
    last = follower(path, memory, make)
    asyncio.run(read_all(last))
    last.growing.close()
    assert memory.events == want


def test_a_file_that_is_rotated_while_it_is_read(tmp_path: Path) -> None:
    folder = FOLDER / "queue_log" / "rotated"
    path = tmp_path / "queue_log"
    memory = Memory()
    shutil.copyfile(folder / "queue_log.1", path)
    following = follower(path, memory, queue_log)
    asyncio.run(following.step())
    path.rename(tmp_path / "queue_log.1")
    shutil.copyfile(folder / "queue_log", path)
    asyncio.run(read_all(following))
    following.growing.close()
    assert memory.events == whole(DAYS["queue_log"][0], queue_log)


def test_a_file_that_grows_within_a_row(tmp_path: Path) -> None:
    path = tmp_path / "Master.csv"
    memory = Memory()
    following = follower(path, memory, cel)
    for part in ("Master.csv.1", "Master.csv.2"):
        with path.open("ab") as stream:
            stream.write((FOLDER / "cel" / "growing" / part).read_bytes())
        asyncio.run(following.step())
    asyncio.run(read_all(following))
    following.growing.close()
    assert not memory.refused
    assert memory.events == whole(DAYS["cel"][0], cel)


def test_the_position_is_kept_after_the_events_are_stored(tmp_path: Path) -> None:
    path = tmp_path / "Master.csv"
    shutil.copyfile(DAYS["cel"][0], path)
    memory = Broken()
    following = follower(path, memory, cel)
    with pytest.raises(DownError):
        asyncio.run(following.step())
    following.growing.close()
    position = kept_position(memory, "file")
    assert position is not None
    assert position.offset == 0


def test_a_kill_at_the_very_beginning_and_a_rotation_lose_nothing(tmp_path: Path) -> None:
    day, make = DAYS["cel"]
    lines = day.read_bytes().splitlines(keepends=True)
    path = tmp_path / "Master.csv"
    path.write_bytes(b"".join(lines[:70]))
    broken = Broken()
    first = follower(path, broken, make)
    with pytest.raises(DownError):
        asyncio.run(first.step())
    first.growing.close()
    path.rename(tmp_path / "Master.csv.1")
    path.write_bytes(b"".join(lines[70:]))
    memory = Memory()
    memory.cursors = broken.cursors
    second = follower(path, memory, make)
    asyncio.run(read_all(second))
    second.growing.close()
    assert memory.events == whole(day, make)


def test_what_is_wrong_with_a_file_is_said(tmp_path: Path) -> None:
    path = tmp_path / "queue_log"
    memory = Memory()
    following = follower(path, memory, queue_log)
    asyncio.run(following.step())
    assert following.why_not_ready() == ["queue_log is not there"]
    path.write_bytes(b"\xff\xfe" + "1794891731|NONE|NONE|NONE|QUEUESTART|\n".encode("utf-16-le"))
    asyncio.run(following.step())
    assert following.why_not_ready() == ["queue_log: the file is UTF-16; Asterisk writes UTF-8"]
    following.growing.close()
    assert [one.reason for one in memory.refused] == ["not_utf8"]


class Meters:
    """Adds up the counts of a follower."""

    def __init__(self) -> None:
        self.behind: list[int] = []
        self.gaps = self.given_up = 0

    def followed(self, source: str, *, behind: int, gaps: int, given_up: int) -> None:
        assert source == "asterisk"
        self.behind.append(behind)
        self.gaps += gaps
        self.given_up += given_up


def test_a_follower_counts_what_is_not_read_what_was_gone_and_what_was_given_up(tmp_path: Path) -> None:
    path, memory, meters = tmp_path / "Master.csv", Memory(), Meters()
    rows = (FOLDER / "cel" / "cel-custom" / "Master.csv").read_bytes().splitlines(keepends=True)
    open_call = [row for row in rows if b"1794895331.63" in row][:3]
    later = rows[-1].replace(rows[-1].split(b'","')[1], b"1794942200.000000")

    def counted() -> Follower:
        made = follower(path, memory, cel)
        made._meters = meters
        return made

    path.write_bytes(b"".join([*open_call, *[later] * 1_000]))  # it checks once in some hundred rows
    following = counted()
    asyncio.run(read_all(following))
    following.growing.close()
    assert (meters.behind[-1], meters.gaps, meters.given_up) == (0, 0, 1)
    path.write_bytes(b"".join(rows[:50]))  # not the same file as before
    following = counted()
    asyncio.run(read_all(following))
    following.growing.close()
    assert (meters.behind[-1], meters.gaps, meters.given_up) == (0, 1, 1)
