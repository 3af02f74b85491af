r"""Manager rows in the changelog: the records of a checkpoint, and the row that is restored from them.

    key                     value
    MANAGER                 the live row: the current part, recent days, fresh legs, and the names of the valid blocks
    MANAGER \0 DAY          the counts of a local day that is neither today nor yesterday
    MANAGER \0 l NAME       a block of past legs; its name is a hash of its content, so a block never changes

A checkpoint writes a new block first, then the live row, then the records of days that are now settled. The live row is
authoritative: a block that it does not name is invalid, and its own content overrides day records and blocks. So the
records of one checkpoint may be cut off at any point, and the row is restored either as it was before them or as it is
after them. The size of a checkpoint depends on the changes, not on the size of the row.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Final, TypeAlias

import msgspec

from streams.calendars import LocalTime
from streams.tables.changelog import body, is_newer, position, seal
from streams.tables.manager.counts import pack_counts
from streams.tables.manager.legs import Leg, leg_from_record
from streams.tables.manager.records import LegRecord
from streams.tables.manager.row import LiveRecord, ManagerRow, is_timed_out, live_from_record

Record: TypeAlias = tuple[bytes, bytes | None]

SEPARATOR: Final = b"\0"
_BLOCK: Final = b"l"


RowRecord: TypeAlias = tuple[LiveRecord, dict[str, LegRecord], dict[int, list[int]], list[bytes]]
"""The live row as it is written: the current part, fresh legs, recent days, and the names of the valid blocks."""
RowRecordWithOrigins: TypeAlias = tuple[
    LiveRecord, dict[str, LegRecord], dict[int, list[int]], list[bytes], dict[int, int]
]
"""The live row of a manager of whom misrouted records came: their origins are behind the rest."""

_encode: Final = msgspec.msgpack.Encoder().encode
_decode_plain: Final = msgspec.msgpack.Decoder(RowRecord).decode
_decode_with_origins: Final = msgspec.msgpack.Decoder(RowRecordWithOrigins).decode
_ARRAY_OF_5: Final = 0x95  # MessagePack's first byte of a list of five
_decode_block: Final = msgspec.msgpack.Decoder(dict[str, LegRecord]).decode


class RestoredRecords:
    """The records of a restored row that has not been read yet.

    `rewrite` names valid blocks that a suspended worker removed from the changelog.
    """

    __slots__ = ("blocks", "live", "rewrite")

    def __init__(self) -> None:
        self.live: bytes | None = None
        self.blocks: dict[bytes, bytes] = {}
        self.rewrite: set[bytes] = set()

    def decode_into(self, row: ManagerRow) -> None:
        """Fill `row` with what the records hold. Raise LayoutError for records in the layout of another release."""
        names: list[bytes] = []
        if self.live is not None:
            record, origins = _decode_live(self.live)
            days = record[2]
            names = record[3]
            for day in days:
                row.cold.pop(day, None)
            live = live_from_record(record[0])
            live.origins = origins
            row.fill(live, _legs(record[1]), days)
        horizon = row.live.horizon
        for name in names:
            packed = self.blocks.pop(name, None)
            if packed is None:
                continue  # its legs are forgotten earlier than others; no figure changes
            legs = {
                call: leg
                for call, leg in _legs(_decode_block(body(packed))).items()
                if leg.stamp >= horizon or is_timed_out(leg)
            }
            row.remember(legs)
            if name in self.rewrite:
                row.fresh.update(legs)
            else:
                row.blocks[name] = list(legs)
        by_stamp = sorted(row.past.items(), key=_stamp)  # legs are forgotten in this order
        row.past.clear()
        row.past.update(by_stamp)
        # Blocks of a checkpoint that was cut off. A block that was written for a later position may belong to a live
        # row that a suspended worker has yet to write.
        row.dropped.update({name: position(value) for name, value in self.blocks.items()})


class ManagerRecords:
    """Writes and reads the changelog of manager rows.

    `local_of` returns the local time of a manager. Day records are kept for `day_rows` days. Fresh legs are moved into
    a block once there are `block_legs` of them.
    """

    def __init__(self, local_of: Callable[[str], LocalTime], day_rows: int, block_legs: int = 16) -> None:
        self._local_of = local_of
        self._day_rows = day_rows
        self._block_legs = block_legs

    def changelog(self, key: bytes, row: ManagerRow) -> list[Record]:
        """Return the records that bring the changelog up to date with `row`, in the order in which to write them."""
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
        record = (live.packed(), _packed(row.fresh), row.days, list(row.blocks))
        # A row without origins is written as it was before there were any.
        records.append((key, seal(pos, _encode((*record, live.origins) if live.origins else record))))
        if len(row.days) > 1:
            yesterday = max(row.days) - 1
            settled = [day for day in row.days if day < yesterday]
            for day in settled:
                row.cold[day] = pack_counts(row.days.pop(day), pos)
            row.rewrite.update(settled)
        expired = self.expired(row, row.local.day(live.watermark)) if row.rewrite else []
        if row.rewrite:
            records += [(prefix + _decimal(day), row.cold[day]) for day in sorted(row.rewrite) if day in row.cold]
            row.rewrite.clear()
        if row.dropped:
            removed = [name for name, since in row.dropped.items() if since < pos]
            for name in removed:
                del row.dropped[name]
            records += [(prefix + _BLOCK + name, None) for name in removed]
        records += [(day_key, None) for day_key in expired]
        return records

    def expired(self, row: ManagerRow, today: int) -> list[bytes]:
        """Remove the days that are too old to be kept; return the keys of their records, for tombstones."""
        oldest = today - self._day_rows
        gone = [day for day in row.cold if day < oldest]
        for day in gone:
            del row.cold[day]
        key = row.id.encode() + SEPARATOR
        return [key + _decimal(day) for day in gone]

    def restore(self, rows: dict[bytes, ManagerRow], key: bytes, value: bytes | None) -> bytes | None:
        """Apply one changelog record to `rows`. No row may have been read before all records are applied.

        Return the key of the row if it must be written again because the record was older than the one before it.
        """
        manager, separator, rest = key.partition(SEPARATOR)
        row = rows.get(manager)
        if row is None:
            name = manager.decode()
            row = rows[manager] = ManagerRow(name, self._local_of(name), encoded=RestoredRecords())
        if separator and rest[:1] != _BLOCK:
            return manager if _restore_day(row, int(rest), value) else None
        records = row.encoded
        if not isinstance(records, RestoredRecords):
            raise RuntimeError(  # noqa: TRY004 - the moment is wrong, not a type
                f"a changelog record came for a row that is in use already: {key!r}"
            )
        if separator:
            return manager if _restore_block(records, rest[1:], value) else None
        if value is not None and records.live is not None and is_newer(records.live, value):
            return manager
        records.live = value
        return None


def _restore_day(row: ManagerRow, day: int, value: bytes | None) -> bool:
    """Apply a day record; return whether it was stale."""
    if value is None:
        row.cold.pop(day, None)
        return False
    present = row.cold.get(day)
    if present is not None and is_newer(present, value):
        row.rewrite.add(day)
        return True
    row.cold[day] = value
    return False


def _restore_block(records: RestoredRecords, name: bytes, value: bytes | None) -> bool:
    """Apply a block record; return whether it was the removal of a block that is still valid."""
    if value is not None:
        records.blocks[name] = value
        records.rewrite.discard(name)
        return False
    if name in records.blocks and records.live is not None and name in _names(records.live):
        records.rewrite.add(name)
        return True
    records.blocks.pop(name, None)
    return False


def _names(live: bytes) -> list[bytes]:
    """Return the names of the blocks that a live row declares valid."""
    return _decode_live(live)[0][3]


def _decode_live(value: bytes) -> tuple[RowRecord, dict[int, int]]:
    """Return a live row and its origins."""
    payload = body(value)
    if payload[0] == _ARRAY_OF_5:
        whole: RowRecordWithOrigins = _decode_with_origins(payload)
        return (whole[0], whole[1], whole[2], whole[3]), whole[4]
    record: RowRecord = _decode_plain(payload)
    return record, {}


def _packed(legs: dict[str, Leg]) -> dict[str, tuple[object, ...]]:
    return {call: leg.packed() for call, leg in legs.items()}


def _legs(records: dict[str, LegRecord]) -> dict[str, Leg]:
    return {call: leg_from_record(record) for call, record in records.items()}


def _drop_forgotten(row: ManagerRow) -> None:
    """Drop the blocks whose legs are all forgotten."""
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
