"""Transcript rows, and the changelog records that hold them.

The key of a row is the manager and the call, so all rows of a manager are in the partition of the manager.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from streams.contract.events import Capabilities
from streams.contract.features import HeardCall, SpokenLeg
from streams.speech.marks import UtteranceMarks
from streams.tables.changelog import HEAD, body, is_newer, seal

SEPARATOR: Final = "\x1f"
_HEARD_BYTES: Final = 6


def row_key(manager: str, call: str) -> bytes:
    """Return the key of the row of a leg."""
    return f"{manager}{SEPARATOR}{call}".encode()


class TranscriptState(Struct, array_like=True, gc=False):
    """The state of one leg's transcript.

    `pos` is the position of the last record that changed the row, `heard_at` the arrival of that record in ms. `ended`
    is true if the transcript is complete, `unsent` if it has changed since its features were sent. `sent` has the
    features that were sent.
    """

    pos: int = -1
    heard_at: int = 0
    leg: SpokenLeg | None = None
    ended: bool = False
    unsent: bool = False
    capabilities: Capabilities | None = None
    marks: dict[str, UtteranceMarks] = {}
    sent: HeardCall | None = None


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(TranscriptState).decode


class TranscriptRow:
    """The row of a leg: its bytes, or its state while it is in use."""

    __slots__ = ("packed", "unpacked")

    def __init__(self, packed: bytes | None = None) -> None:
        self.packed = packed
        self.unpacked: TranscriptState | None = None

    @property
    def state(self) -> TranscriptState:
        """The state, decoded at the first use."""
        state = self.unpacked
        if state is None:
            packed = self.packed
            state = self.unpacked = (
                TranscriptState() if packed is None else _decode(memoryview(body(packed))[_HEARD_BYTES:])
            )
        return state

    @property
    def heard_at(self) -> int:
        """The arrival of the last record that changed the row, ms, without decoding it."""
        if self.unpacked is not None or self.packed is None:
            return self.state.heard_at
        return int.from_bytes(self.packed[HEAD : HEAD + _HEARD_BYTES], "big")

    def __eq__(self, other: object) -> bool:
        """Compare the states."""
        return self.state == other.state if isinstance(other, TranscriptRow) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # rows change


class TranscriptRecords:
    """Writes and reads the changelog of transcript rows: one record per leg."""

    def changelog(self, key: bytes, row: TranscriptRow) -> list[tuple[bytes, bytes | None]]:
        """Return the changelog record of `row`, and keep the row as these bytes too."""
        state = row.state
        row.packed = seal(state.pos, state.heard_at.to_bytes(_HEARD_BYTES, "big") + _encode(state))
        return [(key, row.packed)]

    def restore(self, rows: dict[bytes, TranscriptRow], key: bytes, value: bytes | None) -> bytes | None:
        """Apply one changelog record. Return `key` if the record is older than the present row."""
        if value is None:
            rows.pop(key, None)
            return None
        row = rows.get(key)
        if row is None:
            rows[key] = TranscriptRow(value)
        elif row.packed is not None and is_newer(row.packed, value):
            return key
        else:
            row.packed = value
            row.unpacked = None
        return None
