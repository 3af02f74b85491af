"""The spool: appended bundles survive a crash at any byte, and damage loses only the bundles that it touches."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.gateway import segments
from agents.gateway.entries import Bundle
from agents.gateway.spool import Spool, SpoolError

ROOM = 1 << 24


def bundle(position: int, size: int = 10) -> Bundle:
    return Bundle(position, "pbx", [("calls", b"anna", b"v" * size, [])])


def positions(spool: Spool) -> list[int]:
    return [found.position for found in read_all(spool)]


def read_all(spool: Spool, most: int = 1 << 20) -> list[Bundle]:
    found: list[Bundle] = []
    while part := spool.read(most):
        found += part
    return found


def files(folder: Path, suffix: str = ".spool") -> list[Path]:
    return sorted(folder.glob(f"*{suffix}"))


def test_what_was_appended_is_read_in_order_and_after_a_restart(tmp_path: Path) -> None:
    spool = Spool(tmp_path, ROOM)
    given_ = [Bundle(n, "pbx", [("calls", b"k", b"{}", [("reason", b"x")]), ("crm", b"", b"\xff", [])]) for n in (3, 7)]
    assert spool.append(given_) == 2
    assert spool.append([bundle(9)]) == 1
    assert read_all(spool) == [*given_, bundle(9)]
    assert not spool.has_unread()
    spool.close()
    again = Spool(tmp_path, ROOM)
    assert again.last_position == 9
    assert read_all(again) == [*given_, bundle(9)]


def test_reading_in_small_parts_gives_the_same(tmp_path: Path) -> None:
    spool = Spool(tmp_path, ROOM, segment_bytes=300)
    for n in range(1, 40):
        spool.append([bundle(n)])
    assert len(files(tmp_path)) > 5
    assert [found.position for found in read_all(spool, 1)] == list(range(1, 40))


def test_appending_goes_on_while_the_end_was_read(tmp_path: Path) -> None:
    spool = Spool(tmp_path, ROOM, segment_bytes=200)
    for n in range(1, 30):
        spool.append([bundle(n)])
        assert positions(spool) == [n]


def test_committed_segments_are_removed_and_the_active_one_only_if_asked(tmp_path: Path) -> None:
    spool = Spool(tmp_path, ROOM, segment_bytes=200)
    for n in range(1, 30):
        spool.append([bundle(n)])
    read_all(spool)
    spool.release(28)
    assert [path.name for path in files(tmp_path)] == [path.name for path in files(tmp_path)][-1:]
    spool.release(28, active=True)
    assert len(files(tmp_path)) == 1  # 29 is not committed
    spool.release(29, active=True)
    assert files(tmp_path) == []
    assert spool.size == 0
    spool.append([bundle(30)])
    assert positions(spool) == [30]


def test_rewound_it_reads_anew_what_is_behind_the_position(tmp_path: Path) -> None:
    spool = Spool(tmp_path, ROOM, segment_bytes=200)
    for n in range(1, 20):
        spool.append([bundle(n)])
    read_all(spool)
    spool.rewind(7)
    assert positions(spool) == list(range(8, 20))
    spool.rewind(0)
    spool.skip_to(12)
    assert positions(spool) == list(range(13, 20))


def test_a_spool_is_full_before_its_last_bytes_are_taken(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1 << 20)
    position = 0
    while not spool.is_full:
        position += 1
        spool.append([bundle(position, 10_000)])
    assert spool.append([bundle(position + 1, 50_000)]) == 1  # was on its way
    assert spool.size <= 1 << 20
    spool.release(position + 1, active=True)
    assert not spool.is_full


@pytest.mark.parametrize(("size", "is_taken"), [(200_000, True), (500_000, False)])
def test_a_spool_is_full_from_the_first_bundle_that_it_leaves_out(tmp_path: Path, size: int, is_taken: bool) -> None:
    spool = Spool(tmp_path, 1 << 20)
    assert spool.append([bundle(1, 700_000)]) == 1
    assert not spool.is_full
    assert spool.append([bundle(2, size)]) == is_taken
    assert spool.is_full is not is_taken


def test_a_spool_is_not_full_any_more_once_its_segments_are_gone(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1 << 20)
    assert spool.append([bundle(1, 700_000), bundle(2, 500_000)]) == 1
    assert spool.append([bundle(3, 1_000)]) == 1  # was on its way
    assert spool.is_full
    read_all(spool)
    spool.release(3, active=True)
    assert not spool.is_full


def test_a_bundle_that_is_larger_than_the_spool_does_not_fill_it(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1 << 20)
    assert spool.append([bundle(1, 2 << 20)]) == 0
    assert not spool.is_full
    assert spool.append([bundle(2, 1_000)]) == 1


def test_a_full_spool_takes_what_fits_and_more_once_segments_are_gone(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 4_000, segment_bytes=1_000)
    taken = spool.append([bundle(n, 500) for n in range(1, 20)])
    assert 0 < taken < 8
    assert spool.append([bundle(50, 500)]) == 0
    assert spool.size <= 4_000
    read_all(spool)
    spool.release(taken, active=True)
    assert spool.append([bundle(51, 500)]) == 1
    assert positions(spool) == [51]


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(0, 60), min_size=1, max_size=6), data=st.data())
def test_a_torn_tail_is_cut_at_every_byte(sizes: list[int], data: st.DataObject) -> None:
    """A crash leaves the beginning of the last write: each whole frame in it is kept, and no other."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spool = Spool(folder, ROOM, fsync=lambda _: None)  # the crash is simulated: no file needs to be durable
        ends = []
        for position, size in enumerate(sizes, 1):
            spool.append([bundle(position, size)])
            ends.append(spool.size)
        spool.close()
        (path,) = files(folder)
        whole = path.read_bytes()
        cut = data.draw(st.integers(0, len(whole)))
        tail = data.draw(st.sampled_from([b"", b"\0" * 40, whole[20:50]]))
        path.write_bytes(whole[:cut] + tail)
        again = Spool(folder, ROOM)
        kept = [position for position, end in enumerate(ends, 1) if end <= cut]
        assert positions(again) == kept
        assert again.append([bundle(100)]) == 1
        again.close()
        assert positions(Spool(folder, ROOM)) == [*kept, 100]


def test_every_single_byte_of_the_tail_can_be_the_last_one(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "made", ROOM)
    spool.append([bundle(1), bundle(2)])
    before = spool.size
    spool.append([bundle(3, 30)])
    spool.close()
    (path,) = files(tmp_path / "made")
    whole = path.read_bytes()
    for cut in range(before, len(whole)):
        folder = tmp_path / str(cut)
        folder.mkdir()
        (folder / path.name).write_bytes(whole[:cut])
        assert positions(Spool(folder, ROOM)) == [1, 2]
        assert (folder / path.name).stat().st_size == before


@pytest.mark.parametrize("offset", range(0, 60, 7))
def test_a_damaged_frame_costs_itself_only_and_the_file_is_kept(tmp_path: Path, offset: int) -> None:
    spool = Spool(tmp_path, ROOM)
    spool.append([bundle(1)])
    begin = spool.size
    spool.append([bundle(2)])
    end = spool.size
    spool.append([bundle(3), bundle(4)])
    spool.close()
    (path,) = files(tmp_path)
    data = bytearray(path.read_bytes())
    data[min(begin + offset, end - 1)] ^= 0x41
    path.write_bytes(data)
    again = Spool(tmp_path, ROOM)
    assert positions(again) == [1, 3, 4]
    assert len(files(tmp_path, ".damaged")) == 1
    again.release(4)
    assert len(files(tmp_path, ".damaged")) == 1


def test_a_segment_whose_header_is_damaged_is_set_aside_and_the_others_are_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool = Spool(tmp_path, ROOM, segment_bytes=100)
    for n in range(1, 8):
        spool.append([bundle(n)])
    spool.close()
    first = files(tmp_path)[0]
    lost = [frame.bundle.position for frame in segments.read(first.read_bytes()).frames]
    first.write_bytes(b"x" + first.read_bytes()[1:])
    again = Spool(tmp_path, ROOM)
    assert positions(again) == [n for n in range(1, 8) if n not in lost]
    assert files(tmp_path, ".damaged") == [first.with_suffix(".damaged")]
    assert "no readable header" in caplog.text


def test_a_file_from_before_the_first_sync_is_removed(tmp_path: Path) -> None:
    for content in (b"", b"call", b"\0" * 100):
        (tmp_path / "00000000000000000001.spool").write_bytes(content)
        assert positions(Spool(tmp_path, ROOM)) == []
        assert files(tmp_path) == []


class Disk:
    """An fsync that fails when it is set to."""

    def __init__(self) -> None:
        self.error: int | None = None

    def fsync(self, descriptor: int) -> None:
        if self.error is not None:
            raise OSError(self.error, os.strerror(self.error))
        os.fsync(descriptor)


@pytest.mark.parametrize("appended_before", [0, 3])
def test_what_a_failed_sync_leaves_behind_is_never_taken_for_durable(tmp_path: Path, appended_before: int) -> None:
    disk = Disk()
    spool = Spool(tmp_path, ROOM, fsync=disk.fsync)
    for n in range(1, appended_before + 1):
        spool.append([bundle(n)])
    disk.error = errno.EIO
    with pytest.raises(SpoolError, match="disk refuses") as failed:
        spool.append([bundle(90)])
    assert failed.value.maybe == (appended_before > 0)
    disk.error = None
    assert spool.append([bundle(91)]) == 1  # in another file
    assert positions(spool) == [*range(1, appended_before + 1), 91]
    spool.close()
    assert positions(Spool(tmp_path, ROOM)) == [*range(1, appended_before + 1), 91]


@pytest.mark.parametrize("written", [0, 1, 30])
def test_a_full_disk_leaves_the_spool_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int) -> None:
    spool = Spool(tmp_path, ROOM)
    spool.append([bundle(1)])
    size = files(tmp_path)[0].stat().st_size
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", _filled_after(written, os.write))
        with pytest.raises(SpoolError, match="the disk is full") as failed:
            spool.append([bundle(2, 100)])
    assert not failed.value.maybe
    assert files(tmp_path)[0].stat().st_size == size
    spool.append([bundle(3)])
    spool.close()
    assert positions(Spool(tmp_path, ROOM)) == [1, 3]


def _filled_after(room: int, write: Callable[[int, memoryview], int]) -> Callable[[int, memoryview], int]:
    left = room

    def limited(descriptor: int, data: memoryview) -> int:
        nonlocal left
        if left == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = write(descriptor, data[:left])
        left -= written
        return written

    return limited


def test_a_sender_cannot_forge_a_frame(tmp_path: Path) -> None:
    """A value that contains a whole segment stays a value: its frames have another mark."""
    other = Spool(tmp_path / "other", ROOM)
    other.append([bundle(77)])
    inner = files(tmp_path / "other")[0].read_bytes()
    spool = Spool(tmp_path / "this", ROOM)
    spool.append([Bundle(1, "pbx", [("calls", b"k", inner, [])]), bundle(2)])
    spool.close()
    (path,) = files(tmp_path / "this")
    data = bytearray(path.read_bytes())
    data[segments.HEADER_BYTES + segments.MARK_BYTES] ^= 1  # the length of the first frame
    path.write_bytes(data)
    assert positions(Spool(tmp_path / "this", ROOM)) == [2]
