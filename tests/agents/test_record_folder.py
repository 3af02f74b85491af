"""The folder of records that could not be posted: read while it grows, over kills, and beside unreadable files."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from agents.gateway.record_folder import LARGEST, RecordFolder
from agents.gateway.sink import NotStoredError, Stored
from streams.contract.events import Event
from streams.sources.frame import Refused, Statement
from streams.sources.freeswitch.hook import translated
from streams.sources.freeswitch.legs import Legs
from tests.agents.test_follower import Memory
from tests.streams.freeswitch_cases import CDR, NUMBERS, decoded, deliveries, differences, parties

EXPECTED = decoded(CDR / "expected.json")
RECORDS = {one["file"]: (CDR / one["file"]).read_bytes().partition(b"\r\n\r\n")[2] for one in deliveries("raw")} | {
    path.name: path.read_bytes() for path in (CDR / "err-log-dir").iterdir()
}


class Kept(Memory):
    """A sink with a memory, which also takes statements, and fails when it is set to."""

    def __init__(self) -> None:
        super().__init__()
        self.statements: list[Statement] = []
        self.away = 0

    async def store(self, source: str, events: Sequence[Event]) -> list[Stored]:
        if self.away:
            self.away -= 1
            raise NotStoredError("Kafka is away", 0)
        assert source == "freeswitch"
        return await super().store("asterisk", events)

    async def refuse(self, source: str, refused: Sequence[Refused]) -> None:
        assert source == "freeswitch"
        self.refused += refused

    async def keep(self, source: str, statements: Sequence[Statement]) -> None:
        assert source == "freeswitch"
        self.statements += statements


def write(folder: Path, name: str, body: bytes, *, age_s: float = 60.0) -> None:
    path = folder / name.replace("/", "-").replace(".http", ".cdr.json")
    path.write_bytes(body)
    changed = time.time() - age_s
    os.utime(path, (changed, changed))


def reading(folder: Path, memory: Kept, clock: Callable[[], float] = time.time) -> RecordFolder:
    legs = Legs(parties())
    return RecordFolder(
        folder, lambda body: translated(legs, body), memory, memory, key="folder", source="freeswitch", clock=clock
    )


async def read_all(reader: RecordFolder) -> None:
    while await reader.step():
        pass


def test_the_story_from_its_folder(tmp_path: Path) -> None:
    memory = Kept()
    for name, body in RECORDS.items():
        write(tmp_path, name, body)
    asyncio.run(read_all(reading(tmp_path, memory)))
    assert differences(memory.events.values(), EXPECTED) == []
    assert memory.refused == []
    asyncio.run(read_all(again := reading(tmp_path, memory)))
    assert again.read == len(RECORDS)  # the hour before the last one: the same ids
    assert differences(memory.events.values(), EXPECTED) == []


def test_it_grows_while_the_reader_is_killed(tmp_path: Path) -> None:
    memory = Kept()
    for place, (name, body) in enumerate(RECORDS.items()):
        write(tmp_path, name, body)
        if place % 5 == 0:
            memory.away = 2
            asyncio.run(read_all(reading(tmp_path, memory)))
    asyncio.run(read_all(reading(tmp_path, memory)))
    assert differences(memory.events.values(), EXPECTED, slack_ms=999) == []


def test_old_files_are_not_read_again_after_a_restart(tmp_path: Path) -> None:
    memory = Kept()
    names = list(RECORDS)
    write(tmp_path, names[0], RECORDS[names[0]], age_s=7_200)
    write(tmp_path, names[1], RECORDS[names[1]], age_s=60)
    asyncio.run(read_all(first := reading(tmp_path, memory)))
    asyncio.run(read_all(again := reading(tmp_path, memory)))
    assert (first.read, again.read) == (2, 1)


def test_what_is_no_record_is_a_dead_letter_and_harms_nothing(tmp_path: Path) -> None:
    memory = Kept()
    write(tmp_path, "1.json", b"")
    write(tmp_path, "74950000101.json", b'{"variables": {"sip_from_user": "74950000101"}}')
    write(tmp_path, "3.json", b"x" * (LARGEST + 1))
    write(tmp_path, "4.json.tmp", b"half")
    (tmp_path / "5.json").mkdir()
    for name, body in RECORDS.items():
        write(tmp_path, name, body)
    asyncio.run(read_all(reading(tmp_path, memory)))
    assert differences(memory.events.values(), EXPECTED) == []
    assert sorted(one.reason for one in memory.refused) == ["missing_field", "not_json", "too_large"]
    said = repr((memory.refused, memory.statements))
    assert not any(number in said for number in NUMBERS)


def test_a_file_that_is_still_written_waits(tmp_path: Path) -> None:
    memory, begun_s = Kept(), time.time()  # the time stands still, or a slow machine would make the file an old one
    name, body = next(iter(RECORDS.items()))
    write(tmp_path, name, body[:100], age_s=0)
    asyncio.run(read_all(reader := reading(tmp_path, memory, lambda: begun_s)))
    assert reader.read == 0
    write(tmp_path, name, body)
    asyncio.run(read_all(reader))
    assert (reader.read, memory.refused) == (1, [])


def test_a_folder_that_is_gone_is_said_and_tried_again(tmp_path: Path) -> None:
    async def wait() -> list[str]:
        reader = reading(tmp_path / "gone", Kept())
        running = asyncio.create_task(reader.run())
        while not reader.trouble:  # noqa: ASYNC110 - until it has looked
            await asyncio.sleep(0.01)
        running.cancel()
        return reader.why_not_ready()

    assert "cannot be read" in asyncio.run(wait())[0]
    with pytest.raises(OSError, match="No such file"):
        asyncio.run(reading(tmp_path / "gone", Kept()).step())
