"""A file that grows is read once, over rotation, truncation, compression and kills."""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agents.gateway.following import LONGEST_LINE, GrowingFile, Position


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "Master.csv"


class Opener:
    """Opens files that are closed at the end of a test."""

    def __init__(self) -> None:
        self.opened: list[GrowingFile] = []

    def __call__(self, path: Path, position: Position | None = None) -> GrowingFile:
        self.opened.append(GrowingFile(path, position))
        return self.opened[-1]


@pytest.fixture
def follow() -> Iterator[Opener]:
    opener = Opener()
    yield opener
    for growing in opener.opened:
        growing.close()


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as stream:
        stream.write(data)


def drain(growing: GrowingFile) -> list[bytes]:
    """Return all present lines. The second poll detects a rotation."""
    found: list[bytes] = []
    idle = 0
    while idle < 8:
        lines = growing.poll()
        found += [line.data for line in lines]
        idle = 0 if lines else idle + 1
    return found


def test_only_complete_lines_are_returned(path: Path, follow: Opener) -> None:
    growing = follow(path)
    assert drain(growing) == []
    states = [(growing.is_missing, growing.is_torn)]
    for data, line in ((b"one\ntw", b"one"), (b"o\n", b"two")):
        append(path, data)
        assert drain(growing) == [line]
        states.append((growing.is_missing, growing.is_torn))
    assert states == [(True, False), (False, True), (False, False)]


def test_a_file_that_is_renamed_is_read_to_its_end_before_the_next_one(path: Path, follow: Opener) -> None:
    growing = follow(path)
    append(path, b"one\n")
    assert drain(growing) == [b"one"]
    append(path, b"two\n")
    path.rename(path.with_name("Master.csv.1"))
    append(path, b"three\n")
    assert drain(growing) == [b"two", b"three"]
    assert growing.rotations == 1


def test_a_name_that_moved_on_twice_leaves_no_gap(path: Path, follow: Opener) -> None:
    growing = follow(path)
    append(path, b"one\n")
    drain(growing)
    path.rename(path.with_name("Master.csv.2"))
    append(path.with_name("Master.csv.1"), b"two\n")
    append(path, b"three\n")
    assert drain(growing) == [b"two", b"three"]


def test_a_copy_and_a_truncation_lose_nothing_that_the_copy_has(path: Path, follow: Opener) -> None:
    growing = follow(path)
    append(path, b"one\ntwo and much more of it\n")
    drain(growing)
    append(path, b"three\n")
    shutil.copyfile(path, path.with_name("Master.csv.1"))
    os.truncate(path, 0)
    append(path, b"four\n")
    assert drain(growing) == [b"three", b"four"]


def test_a_truncation_is_noticed_when_the_file_has_grown_beyond_it(path: Path, follow: Opener) -> None:
    growing = follow(path)
    append(path, b"one\n")
    drain(growing)
    os.truncate(path, 0)
    append(path, b"another beginning\nand more\n")
    assert drain(growing) == [b"another beginning", b"and more"]


@pytest.mark.parametrize("pack", [False, True])
def test_a_restart_finds_its_place_in_a_file_that_was_rotated_meanwhile(path: Path, follow: Opener, pack: bool) -> None:
    growing = follow(path)
    append(path, b"one\ntwo\n")
    drain(growing)
    position = growing.position(None)
    assert position is not None
    growing.close()
    append(path, b"three\n")
    old = path.with_name("Master.csv.1")
    path.rename(old)
    if pack:
        with gzip.open(path.with_name("Master.csv.1.gz"), "wb") as stream:
            stream.write(old.read_bytes())
        old.unlink()
    append(path, b"four\n")
    assert drain(follow(path, position)) == [b"three", b"four"]


def test_a_restart_begins_at_an_older_line_if_told(path: Path, follow: Opener) -> None:
    growing = follow(path)
    append(path, b"one\ntwo\nthree\n")
    places = [line.place for line in growing.poll()]
    assert places == [0, 4, 8]
    again = follow(path, growing.position(places[1], b"state"))
    assert drain(again) == [b"two", b"three"]


def test_an_older_line_may_be_in_the_file_before(path: Path, follow: Opener) -> None:
    growing = follow(path)
    append(path, b"one\ntwo\n")
    places = [line.place for line in growing.poll()]
    path.rename(path.with_name("Master.csv.1"))
    append(path, b"three\n")
    drain(growing)
    assert drain(follow(path, growing.position(places[1]))) == [b"two", b"three"]


def test_a_file_that_is_gone_is_said_and_the_present_one_is_read_from_its_start(path: Path, follow: Opener) -> None:
    append(path, b"one\n")
    growing = follow(path)
    drain(growing)
    position = growing.position(None)
    path.unlink()
    append(path, b"something else\n")
    again = follow(path, position)
    assert drain(again) == [b"something else"]
    assert again.gaps == 1


def test_a_copy_at_another_inode_is_the_same_file(path: Path, follow: Opener) -> None:
    append(path, b"one\n")
    growing = follow(path)
    drain(growing)
    position = growing.position(None)
    data = path.read_bytes()
    path.unlink()
    append(path, data + b"two\n")
    assert drain(follow(path, position)) == [b"two"]


def test_a_line_without_end_takes_bounded_memory(path: Path, follow: Opener) -> None:
    growing = follow(path)
    append(path, b"x" * (3 * LONGEST_LINE) + b"\nnext\n")
    found = drain(growing)
    assert found[-1] == b"next"
    assert len(found) == 2
    assert len(found[0]) <= 2 * LONGEST_LINE


def test_a_pipe_and_a_directory_are_refused(tmp_path: Path, follow: Opener) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path):
        with pytest.raises(OSError, match="no regular file"):
            follow(path).poll()


def test_reading_can_begin_at_the_end(path: Path, follow: Opener) -> None:
    append(path, b"old\n")
    growing = follow(path)
    growing.skip_to_end()
    append(path, b"new\n")
    assert drain(growing) == [b"new"]


def test_a_file_that_could_not_be_read_goes_on_where_it_was(path: Path, follow: Opener) -> None:
    append(path, b"one\n")
    growing = follow(path)
    drain(growing)
    append(path, b"two\n")
    growing.reopen()
    assert drain(growing) == [b"two"]


def cut(packed: bytes) -> bytes:
    return packed[: len(packed) // 2]


def with_a_bad_header(packed: bytes) -> bytes:
    return b"no gzip" + packed


def with_a_bad_middle(packed: bytes) -> bytes:
    middle = len(packed) // 2
    return packed[:middle] + b"\xff" * 64 + packed[middle:]


def with_a_bad_checksum(packed: bytes) -> bytes:
    return packed[:-8] + b"\0" * 8


LINES = [b"%d|%d" % (number, number**9) for number in range(30_000)]


@pytest.mark.parametrize("damage", [cut, with_a_bad_header, with_a_bad_middle, with_a_bad_checksum])
def test_a_packed_file_that_is_damaged_is_left_out_from_its_damage_on(
    path: Path, follow: Opener, damage: Callable[[bytes], bytes]
) -> None:
    growing = follow(path)
    append(path, b"one\n")
    drain(growing)
    path.rename(path.with_name("Master.csv.2"))
    packed = path.with_name("Master.csv.1.gz")
    packed.write_bytes(damage(gzip.compress(b"\n".join(LINES))))
    old = time.time() - 3_600
    for file, age_s in ((path.with_name("Master.csv.2"), 2), (packed, 1)):
        os.utime(file, (old - age_s, old - age_s))
    append(path, b"three\n")
    *found, last = drain(follow(path, growing.position(None)))
    assert last == b"three"
    assert found[:10_000] == LINES[: len(found)][:10_000]  # behind a damage, unpacked bytes may be wrong
    assert bool(found) == (damage is not with_a_bad_header)
    assert follow.opened[-1].gaps == 1


def read_on(growing: GrowingFile, found: list[bytes]) -> None:
    while True:
        found += [line.data for line in growing.poll()]


def test_a_packed_file_that_is_still_written_is_waited_for(path: Path, follow: Opener) -> None:
    growing = follow(path)
    append(path, b"one\n")
    drain(growing)
    path.rename(path.with_name("Master.csv.2"))
    data = gzip.compress(b"\n".join(LINES))
    packed = path.with_name("Master.csv.1.gz")
    found: list[bytes] = []
    for end in (0, 5, len(data) // 2):
        packed.write_bytes(data[:end])
        with pytest.raises(OSError, match="a packed predecessor is not complete"):
            read_on(growing, found)
        growing.reopen()
    packed.write_bytes(data)
    append(path, b"three\n")
    assert found + drain(growing) == [*LINES, b"three"]
    assert growing.gaps == 0


def test_a_file_that_is_being_packed_is_read_once(path: Path, follow: Opener) -> None:
    growing = follow(path)
    append(path, b"one\n")
    drain(growing)
    path.rename(path.with_name("Master.csv.1"))
    path.with_name("Master.csv.1.gz").write_bytes(cut(gzip.compress(b"one\n")))
    append(path, b"two\n")
    assert drain(growing) == [b"two"]


class Schedule(RuleBasedStateMachine):
    """Any schedule of growth, rotation, reading and kills gives each line once and in order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "queue_log"
        self.written: list[bytes] = []
        self.torn = b""
        self.count = 0
        self.clock = 1_795_000_000
        self.growing = GrowingFile(self.path)
        self.read: list[bytes] = []
        self.kept: list[bytes] = []
        self.position: Position | None = None
        self.lagging = False  # some lines are not read yet: a truncation without a copy would lose them

    def teardown(self) -> None:
        self.growing.close()
        shutil.rmtree(self.folder)

    def _append(self, data: bytes) -> None:
        append(self.path, data)
        self.clock += 1
        os.utime(self.path, (self.clock, self.clock))

    @rule(lines=st.integers(1, 3), tear=st.booleans())
    def grow(self, lines: int, tear: bool) -> None:
        for _ in range(lines):
            self.count += 1
            line = b"%d|line" % self.count
            self._append(line.removeprefix(self.torn) + b"\n")
            self.torn = b""
            self.written.append(line)
        if tear:
            self.torn = (b"%d|line" % (self.count + 1))[:3]
            self._append(self.torn)

    def _shift(self) -> None:
        """Rename the older files: .1 becomes .2, as logrotate does."""
        for number in range(9, 0, -1):
            for ending in ("", ".gz"):
                old = self.folder / f"queue_log.{number}{ending}"
                if old.exists():
                    old.rename(self.folder / f"queue_log.{number + 1}{ending}")

    def _is_known(self) -> bool:
        """True if the file was read since it began, and a restart knows it: a follower cannot find an unread file."""
        here = self.growing.position(None)
        if here is None or self.position is None or not self.path.exists():
            return False
        return here.file == self.position.file and here.file.inode == self.path.stat().st_ino

    @precondition(lambda self: self.path.exists() and not self.torn and self.position and self.path.stat().st_size)
    @rule(create=st.booleans())
    def rotate(self, create: bool) -> None:
        self._shift()
        self.path.rename(self.folder / "queue_log.1")
        if create:
            self.path.touch()

    @precondition(lambda self: not self.torn and self._is_known())
    @rule()
    def copy_and_truncate(self) -> None:
        self._shift()
        shutil.copy2(self.path, self.folder / "queue_log.1")
        os.truncate(self.path, 0)

    @precondition(lambda self: (self.folder / "queue_log.1").exists())
    @rule()
    def pack(self) -> None:
        old = self.folder / "queue_log.1"
        packed = self.folder / "queue_log.1.gz"
        with gzip.open(packed, "wb") as stream:
            stream.write(old.read_bytes())
        shutil.copystat(old, packed)
        old.unlink()

    @rule(times=st.integers(1, 6))
    def poll(self, times: int) -> None:
        for _ in range(times):
            self.read += [line.data for line in self.growing.poll()]

    @rule()
    def keep(self) -> None:
        self.position = self.growing.position(None) or self.position
        self.kept = list(self.read)

    @rule()
    def kill(self) -> None:
        self.growing.close()
        self.growing = GrowingFile(self.path, self.position)
        self.read = list(self.kept)

    @invariant()
    def nothing_twice(self) -> None:
        assert self.read == self.written[: len(self.read)]

    @rule()
    def all_is_read(self) -> None:
        self.read += drain(self.growing)
        assert self.read == self.written


Schedule.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestSchedule = Schedule.TestCase


def test_what_is_not_read_yet_is_counted_over_a_rotation(path: Path, follow: Opener) -> None:
    growing = follow(path)
    assert growing.behind() == 0
    append(path, b"one\n")
    assert growing.behind() == 4
    drain(growing)
    append(path, b"two\nthr")
    assert growing.behind() == 7
    path.rename(path.with_name("Master.csv.1"))
    append(path, b"three\n")
    assert growing.behind() == 13
    drain(growing)
    assert growing.behind() == 0
    path.write_bytes(b"")
    assert growing.behind() == 0
