"""Bytes of a file as lines of text: its real format, its encoding, and lines of bounded length."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

LONGEST_LINE: Final = 1 << 20
_HEAD: Final = 1 << 16
_KINDS: Final = (
    (b"PK\x03\x04", "is a ZIP archive or an Excel workbook (.xlsx): save it as CSV"),
    (b"\xd0\xcf\x11\xe0", "is an old Office document (.xls): save it as CSV"),
    (b"\x1f\x8b", "is compressed with gzip: unpack it"),
    (b"BZh", "is compressed with bzip2: unpack it"),
    (b"\xfd7zXZ", "is compressed with xz: unpack it"),
    (b"%PDF", "is a PDF document"),
    (b"SQLite format", "is a database"),
    (b"{\\rtf", "is an RTF document"),
)
_UTF16: Final = ("utf-16", "utf-16-le", "utf-16-be")
_CYRILLIC: Final = re.compile("[\u0400-\u04ff]")
_NULS: Final = 4  # text in UTF-16 has a NUL in half of its bytes; one in a damaged file is no sign


class UnreadableFileError(Exception):
    """No row of the file can be read with the settings.

    The text names the likely format of the file, and quotes no value.
    """


class Line(NamedTuple):
    """A line without its end, and its number, from 1. `is_long`: it was longer than `LONGEST_LINE`, and was dropped."""

    number: int
    text: str
    is_long: bool = False


class Lines:
    """Splits the bytes of one file into lines. Invalid bytes of the encoding become lone surrogates."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        # A wrong byte spoils its row, and no other.
        codec = "utf-8-sig" if encoding == "utf-8" else encoding
        self._decoder = codecs.getincrementaldecoder(codec)("surrogateescape")
        self._seen_first = False
        self._rest = ""
        self._dropping = False
        self._number = 0

    def feed(self, data: bytes) -> Iterator[Line]:
        """Yield the lines that end in `data`.

        Raises: UnreadableFileError: the first bytes show that the file has another format.
        """
        if data and not self._seen_first:
            check(data[:_HEAD], self._encoding)
            self._seen_first = True
        yield from self._split(self._decode(data, final=False))

    def finish(self) -> Iterator[Line]:
        """Yield the last line, if it has no end."""
        yield from self._split(self._decode(b"", final=True))
        if self._rest or self._dropping:
            self._number += 1
            yield Line(self._number, self._rest, self._dropping)
            self._rest, self._dropping = "", False

    def _decode(self, data: bytes, *, final: bool) -> str:
        try:
            return self._decoder.decode(data, final)
        except UnicodeDecodeError:  # UTF-16 and UTF-32 have no place for a single byte
            raise UnreadableFileError(f"is no {self._encoding} throughout") from None

    def _split(self, text: str) -> Iterator[Line]:
        if "\r" in text:
            text = text.replace("\r\n", "\n")
        *ended, rest = (self._rest + text).split("\n")
        for line in ended:
            self._number += 1
            yield Line(self._number, "" if self._dropping else line.removesuffix("\r"), self._dropping)
            self._dropping = False
        if len(rest) > LONGEST_LINE:
            self._dropping, rest = True, ""
        self._rest = "" if self._dropping else rest


def check(head: bytes, encoding: str) -> None:
    """Refuse a file whose first bytes are not in `encoding`, with their likely encoding. Raises UnreadableFileError."""
    for begin, likely in _KINDS:
        if head.startswith(begin):
            raise UnreadableFileError(likely)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or head.count(0) * _NULS > len(head):
        if encoding not in _UTF16:
            raise UnreadableFileError(f'seems to be UTF-16, not {encoding}: set encoding = "utf-16"')
        return
    if encoding in _UTF16:
        raise UnreadableFileError(f'is no UTF-16: set encoding = "{_likely(head)}"')
    if head.isascii():
        return
    if encoding == "utf-8":
        if not _is_utf8(head):
            raise UnreadableFileError(f'is no UTF-8: set encoding = "{_likely(head)}"')
    elif _is_utf8(head):
        raise UnreadableFileError(f'seems to be UTF-8, not {encoding}: set encoding = "utf-8"')


def _is_utf8(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)  # a character at the end may be cut
    except UnicodeDecodeError:
        return False
    return True


def _likely(head: bytes) -> str:
    """Return the encoding that these bytes are probably in."""
    if _is_utf8(head):
        return "utf-8"
    high = bytes(byte for byte in head if byte > 127)  # noqa: PLR2004  beyond ASCII
    found = {name: len(_CYRILLIC.findall(high.decode(name, "replace"))) for name in ("cp1251", "cp866", "koi8-r")}
    lower = {name: sum(char.islower() for char in high.decode(name, "replace")) for name in found}
    best = max(found, key=lambda name: (found[name] + lower[name], name == "cp1251"))
    return best if found[best] * 10 >= len(high) * 9 else "cp1252"
