from __future__ import annotations

import time
from pathlib import Path

import pytest

from agents.gateway.folder import Folder, FolderError


def test_positions_grow_within_a_process_and_over_restarts_whatever_the_clock_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []
    for now_ns in (2_000_000_000_000, 1_000_000_000, 5_000_000_000_000, 0):
        monkeypatch.setattr(time, "time_ns", lambda now_ns=now_ns: now_ns)
        folder = Folder(tmp_path)
        given += [folder.next_position() for _ in range(5)]
        folder.close()
    assert given == sorted(set(given))


def test_a_process_that_runs_longer_than_one_range_reserves_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours_ns = iter(range(10**18, 10**18 + 10**17, 3_600 * 10**9))
    now = [next(hours_ns)]
    monkeypatch.setattr(time, "time_ns", lambda: now[0])
    folder = Folder(tmp_path)
    given = []
    for _ in range(10):
        given.append(folder.next_position())
        now[0] = next(hours_ns)
    folder.close()
    now[0] = 0
    again = Folder(tmp_path)
    assert again.next_position() > max(given)
    again.close()


def test_the_identity_stays_with_the_folder(tmp_path: Path) -> None:
    identities = []
    for name in ("a", "a", "b"):
        folder = Folder(tmp_path / name)
        identities.append(folder.identity)
        folder.close()
    assert identities[0] == identities[1] != identities[2]


def test_a_position_that_kafka_has_is_not_given_out_again(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    ahead = folder.next_position() + (1 << 40)
    folder.skip_to(ahead)
    assert folder.next_position() == ahead + 1
    folder.close()
    again = Folder(tmp_path)
    assert again.next_position() > ahead + 1
    again.close()


def test_a_folder_in_use_or_damaged_or_no_folder_is_refused_and_says_what_to_do(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "used")
    with pytest.raises(FolderError, match=r"in use by another process.*gateway\.data_dir"):
        Folder(tmp_path / "used")
    folder.close()
    Folder(tmp_path / "used").close()
    (tmp_path / "used" / "state.json").write_bytes(b"{")
    with pytest.raises(FolderError, match="is damaged"):
        Folder(tmp_path / "used")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FolderError, match=r"cannot be used.*gateway\.data_dir"):
        Folder(tmp_path / "file")
