"""Changelog records: a byte for the layout, the position for which the row was written, then the row in MessagePack.

The position decides which of two records is newer, whichever was written last: a suspended worker may still write a row
that another worker has changed since.
"""

from __future__ import annotations

from typing import Final

LAYOUT: Final = 1
HEAD: Final = 9
FORGOTTEN_AT: Final = 1
"""The value of `heard_at` (ms) of a row that was emptied to be forgotten; no event has this time."""
_LAYOUT_BYTE: Final = bytes([LAYOUT])


class LayoutError(ValueError):
    """A record that this release cannot read."""


def seal(pos: int, payload: bytes) -> bytes:
    """Return the value of a record that holds `payload` as it is at position `pos` (-1 or more)."""
    return _LAYOUT_BYTE + (pos + 1).to_bytes(8, "big") + payload


def position(value: bytes) -> int:
    """Return the position for which `value` was written."""
    return int.from_bytes(value[1:HEAD], "big") - 1


def is_newer(value: bytes, than: bytes) -> bool:
    """Return whether `value` was written for a later position than `than`."""
    return value[1:HEAD] > than[1:HEAD]


def body(value: bytes) -> memoryview:
    """Return the payload. Raise LayoutError for the layout of another release."""
    if not value or value[0] != LAYOUT:
        layout = value[0] if value else "none"
        raise LayoutError(
            f"a changelog record has layout {layout}; this release reads {LAYOUT}. Start the release that wrote it, "
            "or delete the changelog topic and let the table be built from its source topic"
        )
    return memoryview(value)[HEAD:]
