"""Lead rows as bytes. There may be millions of rows, so one that is not being changed is kept as its bytes alone."""

from __future__ import annotations

from typing import Any, Final, final

import msgspec
from mypy_extensions import mypyc_attr

from streams.tables.changelog import HEAD, LayoutError, body, is_newer, seal
from streams.tables.lead.state import LeadState, StateRecord, unpacked

VERSION: Final = 2
"""The layout of lead rows, behind that of all records."""
_MOMENT: Final = 6
_PREFIX: Final = 1 + _MOMENT

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(StateRecord).decode


def pack(state: LeadState) -> bytes:
    """Return a state as bytes: the version, the moment it was heard of, then the state in MessagePack."""
    return bytes([VERSION]) + state.heard_at.to_bytes(_MOMENT, "big") + _encode(state.packed())


def unpack(payload: bytes | memoryview) -> LeadState:
    """Return the state that `pack` gave. Raise LayoutError for another version, msgspec.MsgspecError for no state."""
    if len(payload) <= _PREFIX or payload[0] != VERSION:
        raise LayoutError(
            f"a lead row has version {payload[0] if payload else 'none'}; this release reads {VERSION}. Start the "
            "release that wrote it, or delete the changelog topic and let the table be built from its source topic"
        )
    return unpacked(_decode(payload[_PREFIX:]))


def heard_at(value: bytes) -> int:
    """Return the newest moment of anything that the row `value` holds, ms, without decoding it."""
    return int.from_bytes(value[HEAD + 1 : HEAD + _PREFIX], "big")


@final
@mypyc_attr(acyclic=True)
class LeadRow:
    """A lead's row: its bytes, or its state while it is being changed.

    `known` is what the fold wants to find again the next time, as long as the row is not packed.
    """

    __slots__ = ("known", "packed", "unpacked")

    def __init__(self, packed: bytes | None = None, unpacked: LeadState | None = None) -> None:
        self.packed = packed
        self.unpacked = unpacked
        self.known: Any = None

    @property
    def state(self) -> LeadState:
        """The row, decoded when it is first asked for."""
        state = self.unpacked
        if state is None:
            state = self.unpacked = LeadState() if self.packed is None else unpack(body(self.packed))
        return state

    def __eq__(self, other: object) -> bool:
        """Tell whether both rows hold the same."""
        return self.state == other.state if isinstance(other, LeadRow) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # rows change


def dump(row: LeadRow) -> bytes:
    """Return the row as one value."""
    return seal(row.state.revision, pack(row.state))


def load(value: bytes) -> LeadRow:
    """Return the row that `dump` gave. Raise LayoutError for a value of another release's layout."""
    return LeadRow(None, unpack(body(value)))


class LeadRecords:
    """Writes and reads the changelog of lead rows: one record a lead."""

    def changelog(self, key: bytes, row: LeadRow) -> list[tuple[bytes, bytes | None]]:
        """Return the record that brings the changelog up to `row`, which is kept as these bytes from now on."""
        row.packed = dump(row)
        row.unpacked = row.known = None
        return [(key, row.packed)]

    def restore(self, rows: dict[bytes, LeadRow], key: bytes, value: bytes | None) -> bytes | None:
        """Apply one changelog record; return `key` if the record was older than what was there."""
        if value is None:
            rows.pop(key, None)
            return None
        row = rows.get(key)
        if row is None:
            rows[key] = LeadRow(value)
        elif row.packed is not None and is_newer(row.packed, value):
            return key
        else:
            row.packed = value
        return None
