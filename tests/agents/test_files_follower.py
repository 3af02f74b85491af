"""A file of a mapping that is followed: any growth, any kill and a rotation give the events of the whole files."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from agents.gateway.follower import Follower, kept_position
from agents.gateway.following import GrowingFile
from streams.contract.events import Event
from streams.sources.files.followed import FollowedFile
from streams.sources.files.mapping import FileMapping
from streams.sources.people import People
from tests.agents.test_follower import Memory, read_all
from tests.streams.files_cases import FIXTURES, LATEST, SECRET, STORY, read, settings_of

SETTINGS = settings_of(STORY.replace("[sources.files.csv_en]\n", '[sources.files.csv_en]\nsource = "asterisk"\n'))
FOLDER = FIXTURES / "storyA" / "csv_en"
ONE, TWO = (FOLDER / "calls-1.csv").read_bytes(), (FOLDER / "calls-2.csv").read_bytes()


def by_id(*files: bytes) -> dict[str, Event]:
    found: dict[str, Event] = {}
    for data in files:
        for event in read(data, SETTINGS, "csv_en").events:
            found.setdefault(event.id, event)
    return found


def follower(path: Path, memory: Memory) -> Follower:
    mapping = SETTINGS.named("files", FileMapping)["csv_en"]
    source = FollowedFile("csv_en", mapping, People.of(SETTINGS, SECRET), SECRET, 0)
    position = kept_position(memory, "file")
    if position is not None:
        source.restore(position.state)
    clock = LATEST / 1000
    return Follower(GrowingFile(path, position), source, memory, memory, key="file", clock=lambda: clock, poll_s=0)


@pytest.mark.parametrize("seed", range(8))
def test_a_file_that_grows_in_pieces_over_kills_gives_the_events_of_the_whole(tmp_path: Path, seed: int) -> None:
    rng, path, memory = random.Random(seed), tmp_path / "calls.csv", Memory()
    at = 0
    while at < len(ONE):
        step = rng.randrange(1, 300)
        with path.open("ab") as stream:
            stream.write(ONE[at : at + step])
        at += step
        following = follower(path, memory)
        asyncio.run(read_all(following))
        following.growing.close()
    assert memory.events == by_id(ONE)
    assert memory.refused == []


def test_the_file_after_a_rotation_is_read_by_its_own_header(tmp_path: Path) -> None:
    path, memory = tmp_path / "calls.csv", Memory()
    path.write_bytes(ONE)
    following = follower(path, memory)
    asyncio.run(read_all(following))
    path.rename(tmp_path / "calls.csv.1")
    path.write_bytes(TWO)
    asyncio.run(read_all(following))
    following.growing.close()
    assert memory.events == by_id(ONE, TWO)


def test_a_file_that_is_something_else_is_not_ready_and_is_read_again_once_it_is_right(tmp_path: Path) -> None:
    path, memory = tmp_path / "calls.csv", Memory()
    path.write_bytes(b"Some,Thing\nelse,1\n")
    following = follower(path, memory)
    asyncio.run(read_all(following))
    following.growing.close()
    assert 'has no column "Call ID"' in " ".join(following.why_not_ready())
    path.unlink()
    path.write_bytes(ONE)
    again = follower(path, memory)
    asyncio.run(read_all(again))
    again.growing.close()
    assert memory.events == by_id(ONE)
