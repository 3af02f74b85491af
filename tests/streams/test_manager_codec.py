"""Manager rows in the changelog: the written records, and the rows that are restored from them."""

from __future__ import annotations

import msgspec
import pytest

from streams.calendars import local_time
from streams.contract.events import CallsEvent
from streams.tables.changelog import LayoutError, position
from streams.tables.manager.codec import ManagerRecords, Record
from streams.tables.manager.counts import OUTBOUND, unpack_counts
from streams.tables.manager.row import ManagerRow
from tests.streams.timeline import (
    DAY,
    HOUR,
    MANAGER,
    MINUTE,
    NINE,
    ZONE,
    ended,
    folded,
    new_row,
    passing,
    seen,
    started,
)

KEY = MANAGER.encode()
BLOCK = KEY + b"\0l"


def records(block_legs: int = 16) -> ManagerRecords:
    return ManagerRecords(lambda _: local_time(ZONE), day_rows=400, block_legs=block_legs)


def restored(log: list[Record]) -> ManagerRow:
    rows: dict[bytes, ManagerRow] = {}
    for key, value in log:
        records().restore(rows, key, value)
    return rows[KEY]


def calls(first: int, last: int, at: int = NINE) -> list[CallsEvent]:
    return [ended(f"c{number}", at + number * 1000, begun=at, talk=number * 1000) for number in range(first, last)]


def test_a_row_with_few_legs_of_today_is_one_record() -> None:
    row, _ = folded(calls(0, 5))
    log = records().changelog(KEY, row)
    assert [key for key, _ in log] == [KEY]
    assert restored(log) == row


def test_finished_legs_go_into_a_block_before_the_live_row_that_names_it() -> None:
    row, _ = folded(calls(0, 16))
    log = records().changelog(KEY, row)
    assert [key.startswith(BLOCK) for key, _ in log] == [True, False]
    assert restored(log) == row
    folded(calls(16, 18), row)
    more = records().changelog(KEY, row)
    assert [key for key, _ in more] == [KEY]
    assert restored(log + more) == row


def test_what_a_checkpoint_writes_does_not_grow_with_what_is_remembered() -> None:
    codec = records()
    row, sizes = ManagerRow(MANAGER, local_time(ZONE)), []
    for batch in range(40):
        folded(calls(batch * 20, batch * 20 + 20), row)
        sizes.append(sum(len(value or b"") for _, value in codec.changelog(KEY, row)))
    assert len(row.past) == 800
    assert max(sizes[20:]) < 1.5 * sizes[1]


def test_a_block_one_of_whose_legs_changed_is_written_anew_under_another_name() -> None:
    codec = records(block_legs=2)
    row, _ = folded(calls(0, 2))
    log = codec.changelog(KEY, row)
    (old,) = [key for key, _ in log if key != KEY]
    folded([ended("c1", NINE + HOUR, begun=NINE, talk=HOUR)], row)
    log += codec.changelog(KEY, row)
    (new,) = {key for key, value in log if key != KEY and value is not None} - {old}
    assert new != old
    assert log[-1] == (old, None)  # only after the live row that does not name it any more
    assert restored(log) == row


def test_a_block_whose_legs_are_all_forgotten_is_removed() -> None:
    codec = records(block_legs=2)
    row, _ = folded(calls(0, 2))
    log = codec.changelog(KEY, row)
    folded(passing(NINE, NINE + 7 * HOUR), row)
    more = codec.changelog(KEY, row)
    assert [key for key, value in more if value is None] == [log[0][0]]
    assert (row.past, row.blocks) == ({}, {})
    assert restored(log + more) == row


def test_days_are_written_once_they_are_past() -> None:
    codec = records()
    row, _ = folded(calls(0, 1) + calls(1, 2, NINE + DAY))
    log = codec.changelog(KEY, row)
    assert [key for key, _ in log] == [KEY]  # today and yesterday are part of the live row
    folded(calls(2, 3, NINE + 2 * DAY), row)
    more = codec.changelog(KEY, row)
    first = row.local.day(NINE)
    assert [key for key, _ in more] == [KEY, KEY + b"\0%d" % first]
    assert unpack_counts(more[1][1] or b"")[OUTBOUND] == 1
    assert list(row.cold) == [first]
    assert restored(log + more) == row


def test_a_late_event_changes_a_day_that_was_written() -> None:
    codec = records()
    row, _ = folded(calls(0, 1) + calls(1, 2, NINE + 5 * DAY))
    log = codec.changelog(KEY, row)
    folded(calls(7, 8), row)
    more = codec.changelog(KEY, row)
    assert [key for key, _ in more] == [KEY, KEY + b"\0%d" % row.local.day(NINE)]
    assert restored(log + more[:1]) == row  # the live row alone has all of it
    assert seen(restored(log + more), NINE + 5 * DAY).counts["7d"][OUTBOUND] == 3


def test_days_that_are_no_longer_kept_are_removed() -> None:
    codec = records()
    row, _ = folded(calls(0, 1) + calls(1, 2, NINE + 200 * DAY))
    log = codec.changelog(KEY, row)
    folded(calls(2, 3, NINE + 401 * DAY), row)
    more = codec.changelog(KEY, row)
    assert (KEY + b"\0%d" % row.local.day(NINE), None) in more
    assert row.local.day(NINE) not in row.cold
    assert restored(log + more) == row
    assert codec.expired(row, row.local.day(NINE + 601 * DAY)) == [KEY + b"\0%d" % row.local.day(NINE + 200 * DAY)]


def test_restoring_gives_the_row_whose_position_is_highest() -> None:
    codec = records()
    row, _ = folded(calls(0, 3))
    old = codec.changelog(KEY, row)
    folded(calls(3, 5), row)
    new = codec.changelog(KEY, row)
    rows: dict[bytes, ManagerRow] = {}
    assert [codec.restore(rows, key, value) for key, value in new + old] == [None, KEY]
    assert rows[KEY] == row
    assert position(new[-1][1] or b"") == 4


def test_a_day_row_that_comes_late_from_a_suspended_worker_is_passed_over_and_written_again() -> None:
    codec = records()
    day = KEY + b"\0%d" % new_row().local.day(NINE)
    row, _ = folded(calls(0, 1) + calls(1, 2, NINE + 5 * DAY))
    suspended = codec.changelog(KEY, row)
    folded(calls(7, 8), row)
    log = codec.changelog(KEY, row)
    rows: dict[bytes, ManagerRow] = {}
    stale = [codec.restore(rows, key, value) for key, value in [*log, *suspended]]
    assert stale == [None, None, KEY, KEY]
    assert rows[KEY] == row
    assert dict(codec.changelog(KEY, rows[KEY]))[day] == dict(log)[day]


def test_a_block_that_a_suspended_worker_removes_while_it_is_valid_is_written_again() -> None:
    codec = records(block_legs=2)
    row, _ = folded(calls(0, 2))
    log = codec.changelog(KEY, row)
    (block,) = [key for key, _ in log if key != KEY]
    rows: dict[bytes, ManagerRow] = {}
    assert [codec.restore(rows, key, value) for key, value in [*log, (block, None)]] == [None, None, KEY]
    log += [(block, None), *codec.changelog(KEY, rows[KEY])]
    assert rows[KEY] == row
    assert restored(log) == row


def test_a_block_of_a_checkpoint_that_was_cut_off_is_removed_once_the_row_has_moved_on() -> None:
    codec = records(block_legs=2)
    row, _ = folded(calls(0, 1))
    log = codec.changelog(KEY, row)
    folded(calls(1, 2), row)
    block = codec.changelog(KEY, row)[0]
    found = restored([*log, block])
    assert found.live.pos == 0
    folded(calls(5, 6), found)  # offset 1, which the cut-off checkpoint had seen too
    assert (block[0], None) not in codec.changelog(KEY, found)
    folded(calls(6, 7), found)
    assert (block[0], None) in codec.changelog(KEY, found)


def test_rows_of_many_managers_are_restored_side_by_side() -> None:
    codec = records()
    rows: dict[bytes, ManagerRow] = {}
    for manager in (b"anna", b"\xd0\xb0\xd0\xbd\xd0\xbd\xd0\xb0", b"queue:sales"):
        row = ManagerRow(manager.decode(), local_time(ZONE))
        folded(calls(0, 1) + calls(1, 2, NINE + 9 * DAY), row)
        for key, value in codec.changelog(manager, row):
            codec.restore(rows, key, value)
    assert [row.id for row in rows.values()] == ["anna", "анна", "queue:sales"]
    assert {seen(row, NINE + 9 * DAY).counts["30d"][OUTBOUND] for row in rows.values()} == {2}


def test_days_without_a_live_row_make_a_row_that_has_seen_nothing() -> None:
    codec = records()
    row, _ = folded(calls(0, 1) + calls(1, 2, NINE + 9 * DAY))
    rows: dict[bytes, ManagerRow] = {}
    for key, value in codec.changelog(KEY, row):
        if key != KEY:
            codec.restore(rows, key, value)
    assert rows[KEY].live.pos == -1


def test_a_restored_row_is_decoded_only_when_it_is_asked_for() -> None:
    row, _ = folded([*calls(0, 1), started("open", NINE + MINUTE)])
    found = restored(records().changelog(KEY, row))
    assert found.encoded is not None
    assert set(found.live.open) == {"open"}
    assert found.encoded is None


def test_a_row_in_use_cannot_be_restored_over() -> None:
    codec = records()
    row, _ = folded(calls(0, 1))
    with pytest.raises(RuntimeError, match="in use already"):
        codec.restore({KEY: row}, *codec.changelog(KEY, row)[0])


@pytest.mark.parametrize("value", [b"", b"\x02" + bytes(20)])
def test_a_record_of_another_layout_is_refused_with_what_to_do(value: bytes) -> None:
    with pytest.raises(LayoutError, match="delete the changelog topic"):
        assert restored([(KEY, value)]).live
    with pytest.raises(LayoutError):
        unpack_counts(value)


def test_a_broken_record_is_refused() -> None:
    [(_, value)] = records().changelog(KEY, folded(calls(0, 1))[0])
    assert value is not None
    with pytest.raises(msgspec.DecodeError):
        assert restored([(KEY, value[:-4])]).live


def test_a_day_counted_with_fewer_histogram_bounds_is_read_and_counted_on() -> None:
    row, _ = folded(calls(0, 1))
    day = row.local.day(NINE)
    row.days[day] = row.days[day][:-3]
    assert seen(row, NINE).counts["today"][OUTBOUND] == 1
    folded(calls(1, 2), row)
    assert seen(row, NINE).counts["today"][OUTBOUND] == 2
