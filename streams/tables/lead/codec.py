"""The bytes of lead rows."""

from __future__ import annotations

from typing import Final

import msgspec

from streams.tables.changelog import HEAD, LayoutError
from streams.tables.lead.state import (
    DEFINITION,
    LeadState,
    StateRecord,
    StateWithDealsRecord,
    unpacked,
    unpacked_with_deals,
)

LAYOUT: Final = 2
"""The version of the layout of lead rows. A row begins with it, or with a higher number: `LAYOUT` + definition - 1."""
_TIME_BYTES: Final = 6
_PREFIX: Final = 1 + _TIME_BYTES

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(StateRecord).decode
_decode_with_deals: Final = msgspec.msgpack.Decoder(StateWithDealsRecord).decode
_WITH_DEALS: Final = 0x90 | 14
"""The first byte of MessagePack's array of 14 elements."""


def pack(state: LeadState) -> bytes:
    """Return a state as bytes: layout and definition, `heard_at`, then the state in MessagePack."""
    return (
        bytes([LAYOUT + state.definition - 1]) + state.heard_at.to_bytes(_TIME_BYTES, "big") + _encode(state.packed())
    )


def unpack(payload: bytes | memoryview) -> LeadState:
    """Restore the state from the result of `pack`.

    Raise LayoutError for another layout, and msgspec.MsgspecError for bytes that are no state.
    """
    if len(payload) <= _PREFIX or not LAYOUT <= payload[0] < LAYOUT + DEFINITION:
        raise LayoutError(
            f"a lead row has version {payload[0] if payload else 'none'}; this release reads {LAYOUT} to "
            f"{LAYOUT + DEFINITION - 1}. Start the release that wrote it, or delete the changelog topic and let the "
            "table be built from its source topic"
        )
    record = payload[_PREFIX:]
    has_deals = record[0] == _WITH_DEALS
    state = unpacked_with_deals(_decode_with_deals(record)) if has_deals else unpacked(_decode(record))
    state.definition = payload[0] - LAYOUT + 1
    return state


def heard_at(value: bytes) -> int:
    """Return `LeadState.heard_at` of a changelog value, ms, without decoding the value."""
    return int.from_bytes(value[HEAD + 1 : HEAD + _PREFIX], "big")
