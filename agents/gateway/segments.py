"""The segments of the spool: their bytes, and the frames that are left after a crash or on a damaged disk.

A segment begins with a header: the magic number, a mark of eight random bytes, and a checksum of both. A frame is the
mark, the length of its payload, a checksum of length and payload, and the payload, a `Bundle` in MessagePack. The mark
cannot be guessed by a sender, so the next frame is found behind damaged bytes in linear time.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from agents.gateway.entries import Bundle

MAGIC: Final = b"callpulse spool 1\n"
MARK_BYTES: Final = 8
_CHECKSUM: Final = struct.Struct("<I")
_FRAME: Final = struct.Struct("<II")
HEADER_BYTES: Final = len(MAGIC) + MARK_BYTES + _CHECKSUM.size
FRAME_BYTES: Final = MARK_BYTES + _FRAME.size
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Bundle).decode


class Frame(NamedTuple):
    """A bundle in a segment, and where its frame begins and ends."""

    bundle: Bundle
    begin: int
    end: int


class Found(NamedTuple):
    """The frames of a segment. `whole_to` is the end of the undamaged frames that follow each other from the start.

    `is_readable` is False for a damaged header: nothing can be read.
    """

    frames: list[Frame]
    whole_to: int
    is_readable: bool


def new_header() -> tuple[bytes, bytes]:
    """Return the header of a new segment, and its mark."""
    mark = os.urandom(MARK_BYTES)
    begin = MAGIC + mark
    return begin + _CHECKSUM.pack(zlib.crc32(begin)), mark


def frame(mark: bytes, bundle: Bundle) -> bytes:
    """Return the frame of a bundle."""
    payload = _encode(bundle)
    length = len(payload)
    return mark + _FRAME.pack(length, _checksum(length, payload)) + payload


def read(data: bytes) -> Found:
    """Return the frames of a segment, also those behind damaged bytes."""
    mark = mark_of(data)
    if mark is None:
        return Found([], 0, is_readable=False)
    frames = list(frames_in(data, mark, HEADER_BYTES))
    whole_to = HEADER_BYTES
    for found in frames:
        if found.begin != whole_to:
            break
        whole_to = found.end
    return Found(frames, whole_to, is_readable=True)


def mark_of(data: bytes) -> bytes | None:
    """Return the mark in a header; None for a damaged header."""
    begin = len(MAGIC) + MARK_BYTES
    if len(data) < HEADER_BYTES or not data.startswith(MAGIC):
        return None
    if _CHECKSUM.unpack_from(data, begin)[0] != zlib.crc32(data[:begin]):
        return None
    return data[len(MAGIC) : begin]


def frames_in(data: bytes, mark: bytes, at: int = 0) -> Iterator[Frame]:
    """Yield the frames in a part of a segment, from `at` on. Damaged bytes between them are left out."""
    while (begin := data.find(mark, at)) >= 0:
        at = begin + MARK_BYTES
        if begin + FRAME_BYTES > len(data):
            return
        length, checksum = _FRAME.unpack_from(data, at)
        end = begin + FRAME_BYTES + length
        payload = memoryview(data)[begin + FRAME_BYTES : end]
        if len(payload) != length or _checksum(length, payload) != checksum:
            continue
        try:
            bundle = _decode(payload)
        except msgspec.MsgspecError:
            continue
        yield Frame(bundle, begin, end)
        at = end


def _checksum(length: int, payload: bytes | memoryview) -> int:
    return zlib.crc32(payload, zlib.crc32(_CHECKSUM.pack(length)))
