"""The bytes of lead rows."""

from __future__ import annotations

from typing import Final

import msgspec

from streams.tables.changelog import HEAD, LayoutError
from streams.tables.lead.state import LeadState, StateRecord, unpacked

VERSION: Final = 2
"""The version of the layout of lead rows; it follows the header that all changelog records have."""
_TIME_BYTES: Final = 6
_PREFIX: Final = 1 + _TIME_BYTES

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(StateRecord).decode


def pack(state: LeadState) -> bytes:
    """Return a state as bytes: the version, `heard_at`, then the state in MessagePack."""
    return bytes([VERSION]) + state.heard_at.to_bytes(_TIME_BYTES, "big") + _encode(state.packed())


def unpack(payload: bytes | memoryview) -> LeadState:
    """Restore the state from the result of `pack`.

    Raise LayoutError for another version, and msgspec.MsgspecError for bytes that are no state.
    """
    if len(payload) <= _PREFIX or payload[0] != VERSION:
        raise LayoutError(
            f"a lead row has version {payload[0] if payload else 'none'}; this release reads {VERSION}. Start the "
            "release that wrote it, or delete the changelog topic and let the table be built from its source topic"
        )
    return unpacked(_decode(payload[_PREFIX:]))


def heard_at(value: bytes) -> int:
    """Return `LeadState.heard_at` of a changelog value, ms, without decoding the value."""
    return int.from_bytes(value[HEAD + 1 : HEAD + _PREFIX], "big")
