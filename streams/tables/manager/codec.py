r"""Manager rows in the changelog: what is written at a checkpoint, and how a row is made of it again.

    key                     value
    MANAGER                 the live row: all of the moment, recent days, fresh legs, and the names of the valid blocks
    MANAGER \0 DAY          the counts of a local day that is neither today nor yesterday
    MANAGER \0 l NAME       a block: past legs; its name is a hash of them, so it never changes

A checkpoint writes a new block first, then the live row, then what the live row has made settled. The live row decides:
a block that it does not name is not valid, and what it holds itself overrides day records and blocks. So the records of
one checkpoint may be cut off at any point, and the row is as it was before them or as it is after them. The cost of a
checkpoint goes with what has changed, not with what is remembered.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Final, TypeAlias

import msgspec

from streams.calendars import LocalTime
from streams.tables.changelog import body, is_newer, position, seal
from streams.tables.manager.counts import pack_counts
from streams.tables.manager.legs import Leg, LegRecord, unpacked
from streams.tables.manager.row import LiveRecord, ManagerRow, all_days, awoken, is_timed_out

Record: TypeAlias = tuple[bytes, bytes | None]

SEPARATOR: Final = b"\0"
_BLOCK: Final = b"l"


RowRecord: TypeAlias = tuple[LiveRecord, dict[str, LegRecord], dict[int, list[int]], list[bytes]]
"""The live row as it is written: what is of the moment, fresh legs, recent days, and the names of the valid blocks."""

_encode: Final = msgspec.msgpack.Encoder().encode
_decode_live: Final = msgspec.msgpack.Decoder(RowRecord).decode
_decode_block: Final = msgspec.msgpack.Decoder(dict[str, LegRecord]).decode


class Packed:
    """The records of a row that nobody has asked for yet."""

    __slots__ = ("again", "blocks", "live")

    def __init__(self) -> None:
        self.live: bytes | None = None
        self.blocks: dict[bytes, bytes] = {}
        self.again: set[bytes] = set()  # valid blocks that were removed from the changelog by a suspended worker

    def thaw(self, row: ManagerRow) -> None:
        """Decode. Raise LayoutError for records of another release's layout."""
        names: list[bytes] = []
        if self.live is not None:
            record: RowRecord = _decode_live(body(self.live))
            days = record[2]
            names = record[3]
            for day in days:
                row.cold.pop(day, None)
            row.fill(awoken(record[0]), _legs(record[1]), days)
        horizon = row.live.horizon
        for name in names:
            packed = self.blocks.pop(name, None)
            if packed is None:
                continue  # its legs are forgotten early; nothing that was counted changes
            legs = {
                call: leg
                for call, leg in _legs(_decode_block(body(packed))).items()
                if leg.stamp >= horizon or is_timed_out(leg)
            }
            row.remember(legs)
            if name in self.again:
                row.fresh.update(legs)
            else:
                row.blocks[name] = list(legs)
        by_stamp = sorted(row.past.items(), key=_stamp)  # forgetting goes by this order
        row.past.clear()
        row.past.update(by_stamp)
        # Blocks of a checkpoint that was cut off. One that was written for a later position may belong to a live row
        # that is still on its way from a suspended worker.
        row.dropped.update({name: position(value) for name, value in self.blocks.items()})


def dump(row: ManagerRow) -> bytes:
    """Return the whole row in one value."""
    legs = {**row.past, **row.timed_out}
    return seal(row.live.pos, _encode((row.live.packed(), _packed(legs), all_days(row), [])))


def load(manager: str, local: LocalTime, value: bytes) -> ManagerRow:
    """Return the row that `dump` gave. Raise LayoutError for a value of another release's layout."""
    packed = Packed()
    packed.live = value
    row = ManagerRow(manager, local, frozen=packed)
    packed.thaw(row)
    row.frozen = None
    return row


class ManagerRecords:
    """Writes and reads the changelog of manager rows.

    `local_of` gives a manager's local time; day rows are kept for `day_rows` days. Past legs go into a block once there
    are `block_legs` of them.
    """

    def __init__(self, local_of: Callable[[str], LocalTime], day_rows: int, block_legs: int = 16) -> None:
        self._local_of = local_of
        self._day_rows = day_rows
        self._block_legs = block_legs

    def changelog(self, key: bytes, row: ManagerRow) -> list[Record]:
        """Return the records that bring the changelog up to `row`, in the order they must be written."""
        live = row.live
        pos = live.pos
        prefix = key + SEPARATOR
        records: list[Record] = []
        _drop_forgotten(row)
        if len(row.fresh) >= self._block_legs:
            payload = _encode(_packed(row.fresh))
            name = blake2b(payload, digest_size=8).hexdigest().encode()
            records.append((prefix + _BLOCK + name, seal(pos, payload)))
            row.blocks[name] = list(row.fresh)
            row.dropped.pop(name, None)
            row.fresh.clear()
        record: RowRecord = (live.packed(), _packed(row.fresh), row.days, list(row.blocks))
        records.append((key, seal(pos, _encode(record))))
        if len(row.days) > 1:
            yesterday = max(row.days) - 1
            settled = [day for day in row.days if day < yesterday]
            for day in settled:
                row.cold[day] = pack_counts(row.days.pop(day), pos)
            row.again.update(settled)
        expired = self.expired(row, row.local.day(live.watermark)) if row.again else []
        if row.again:
            records += [(prefix + _decimal(day), row.cold[day]) for day in sorted(row.again) if day in row.cold]
            row.again.clear()
        if row.dropped:
            removed = [name for name, since in row.dropped.items() if since < pos]
            for name in removed:
                del row.dropped[name]
            records += [(prefix + _BLOCK + name, None) for name in removed]
        records += [(day_key, None) for day_key in expired]
        return records

    def expired(self, row: ManagerRow, today: int) -> list[bytes]:
        """Forget the day rows that are older than is kept; return their keys, for tombstones."""
        oldest = today - self._day_rows
        gone = [day for day in row.cold if day < oldest]
        for day in gone:
            del row.cold[day]
        key = row.id.encode() + SEPARATOR
        return [key + _decimal(day) for day in gone]

    def restore(self, rows: dict[bytes, ManagerRow], key: bytes, value: bytes | None) -> bytes | None:
        """Apply one changelog record to `rows`. None of them may have been asked for anything yet.

        Return the key of a row that must be written again because the record was older than what was there.
        """
        manager, separator, rest = key.partition(SEPARATOR)
        row = rows.get(manager)
        if row is None:
            name = manager.decode()
            row = rows[manager] = ManagerRow(name, self._local_of(name), frozen=Packed())
        if separator and rest[:1] != _BLOCK:
            return manager if _restore_day(row, int(rest), value) else None
        packed = row.frozen
        if not isinstance(packed, Packed):
            raise RuntimeError(  # noqa: TRY004 - it is the moment that is wrong, not a type
                f"a changelog record came for a row that is in use already: {key!r}"
            )
        if separator:
            return manager if _restore_block(packed, rest[1:], value) else None
        if value is not None and packed.live is not None and is_newer(packed.live, value):
            return manager
        packed.live = value
        return None


def _restore_day(row: ManagerRow, day: int, value: bytes | None) -> bool:
    """Apply a day record; tell whether it was stale."""
    if value is None:
        row.cold.pop(day, None)
        return False
    present = row.cold.get(day)
    if present is not None and is_newer(present, value):
        row.again.add(day)
        return True
    row.cold[day] = value
    return False


def _restore_block(packed: Packed, name: bytes, value: bytes | None) -> bool:
    """Apply a block record; tell whether it was the removal of a block that is still valid."""
    if value is not None:
        packed.blocks[name] = value
        packed.again.discard(name)
        return False
    if name in packed.blocks and packed.live is not None and name in _names(packed.live):
        packed.again.add(name)
        return True
    packed.blocks.pop(name, None)
    return False


def _names(live: bytes) -> list[bytes]:
    """Return the names of the blocks that a live row declares valid."""
    record: RowRecord = _decode_live(body(live))
    return record[3]


def _packed(legs: dict[str, Leg]) -> dict[str, LegRecord]:
    return {call: leg.packed() for call, leg in legs.items()}


def _legs(records: dict[str, LegRecord]) -> dict[str, Leg]:
    return {call: unpacked(record) for call, record in records.items()}


def _drop_forgotten(row: ManagerRow) -> None:
    """Give up the blocks of which no leg is remembered."""
    past, timed_out = row.past, row.timed_out
    for name in [
        name for name, calls in row.blocks.items() if not any(call in past or call in timed_out for call in calls)
    ]:
        del row.blocks[name]
        row.dropped[name] = -1


def _decimal(day: int) -> bytes:
    return b"%d" % day


def _stamp(item: tuple[str, Leg]) -> int:
    return item[1].stamp
