"""Lead rows, and the changelog records that hold them.

There may be millions of rows. A row is kept as its bytes alone, except while it is being changed.
"""

from __future__ import annotations

from typing import final

from mypy_extensions import mypyc_attr

from streams.tables.changelog import body, is_newer, seal
from streams.tables.lead.codec import pack, unpack
from streams.tables.lead.state import LeadState
from streams.tables.lead.summary import LeadSummary


@final
@mypyc_attr(acyclic=True)
class LeadRow:
    """The row of a lead: its bytes, or its state while it is being changed.

    `summary` belongs to the fold: it is the summary of the present state, or None if it has to be computed. It exists
    only while the row is unpacked.
    """

    __slots__ = ("packed", "summary", "unpacked")

    def __init__(self, packed: bytes | None = None, unpacked: LeadState | None = None) -> None:
        self.packed = packed
        self.unpacked = unpacked
        self.summary: LeadSummary | None = None

    @property
    def state(self) -> LeadState:
        """The state, decoded at the first use."""
        state = self.unpacked
        if state is None:
            state = self.unpacked = LeadState() if self.packed is None else unpack(body(self.packed))
        return state

    def __eq__(self, other: object) -> bool:
        """Compare the states."""
        return self.state == other.state if isinstance(other, LeadRow) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # rows change


def dump(row: LeadRow) -> bytes:
    """Return the row as a changelog value."""
    return seal(row.state.revision, pack(row.state))


def load(value: bytes) -> LeadRow:
    """Restore a row from the result of `dump`. Raise LayoutError for a value of an unknown layout."""
    return LeadRow(None, unpack(body(value)))


class LeadRecords:
    """Writes and reads the changelog of lead rows: one record per lead."""

    def changelog(self, key: bytes, row: LeadRow) -> list[tuple[bytes, bytes | None]]:
        """Return the changelog record of `row`, and keep the row as these bytes from now on."""
        row.packed = dump(row)
        row.unpacked = row.summary = None
        return [(key, row.packed)]

    def restore(self, rows: dict[bytes, LeadRow], key: bytes, value: bytes | None) -> bytes | None:
        """Apply one changelog record. Return `key` if the record is older than the present row."""
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
