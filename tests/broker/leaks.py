"""Finds customers' numbers and secrets in the files and topics that a run leaves behind, in all their encodings."""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

import rocksdict

BLOCKS: Final = {
    rb"(?:495|812|843|499)0000\d{3}": "7",  # the story's department, and the wrong inputs
    rb"999000\d{4}": "7",
    rb"1713920\d{3}": "49",  # the real Asterisk
    rb"30555\d{6}": "49",  # sessions after bug reports
}
"""National numbers that the fixtures give to customers, and the code of their country."""
_PREFIX: Final = rb"(?<![\d.])(?:\+|00)?(?:[4578]{0,2}49|7|8|0)?"
_SEPARATORS: Final = b" ()-./_"
_RUN: Final = re.compile(rb"[0-9]{9,}")
_LAST: Final = 7
# In a hash or a time, seven digits mean nothing: they count where they stand alone.
_ALONE: Final = re.compile(rb"(?<![0-9A-Za-z.+/=])[0-9]{7}(?![0-9A-Za-z+/=])")
_AROUND: Final = 40


def customers(folders: Iterable[Path]) -> dict[str, str]:
    """Return the national numbers of the customers in all files below the folders, each with its country."""
    known = [(re.compile(_PREFIX + b"(" + block + rb")(?!\d)"), country) for block, country in BLOCKS.items()]
    found = {}
    for path in (path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()):
        data = path.read_bytes().translate(None, _SEPARATORS)
        for pattern, country in known:
            found.update(dict.fromkeys((each.decode() for each in pattern.findall(data)), country))
    return found


class Needles:
    """The texts to search for: customers' numbers (national number → country) and secrets."""

    def __init__(self, numbers: Mapping[str, str], secrets: Collection[str]) -> None:
        self._nationals = [national.encode() for national in numbers]
        self._forms: dict[bytes, str] = {}
        for national, country in numbers.items():
            self._forms.update((form, national) for form in _forms(national))
            value = int(country + national)
            self._forms[value.to_bytes((value.bit_length() + 7) // 8, "big")] = national
            self._forms[value.to_bytes((value.bit_length() + 7) // 8, "little")] = national
        for secret in secrets:
            self._forms.update(
                (form, f"the secret {secret[:6]}…") for form in (*_forms(secret), quote(secret).encode())
            )
        self._ends = {national[-_LAST:].encode() for national in numbers}

    def within(self, data: bytes) -> Iterator[str]:
        """Yield the findings in the data, with the bytes around each."""
        for form, what in self._forms.items():
            if (at := data.find(form)) >= 0:
                yield f"{what}: {data[max(at - _AROUND, 0) : at + len(form) + _AROUND]!r}"
        for run in _RUN.finditer(data.translate(None, _SEPARATORS)):
            yield from (
                f"{national.decode()}: {run[0]!r} without separators"
                for national in self._nationals
                if national in run[0]
            )
        for alone in _ALONE.finditer(data):
            if alone[0] in self._ends:
                yield f"{alone[0]!r}: {data[max(alone.start() - _AROUND, 0) : alone.end() + _AROUND]!r}"


def _forms(text: str) -> Iterator[bytes]:
    """Yield the bytes of a text, plain and in the encodings that hide it from a plain search."""
    plain = text.encode()
    yield plain
    yield plain.hex().encode()
    yield text.encode("utf-16-le")
    for before in range(3):  # base64 depends on where the text begins
        whole = base64.b64encode(bytes(before) + plain)
        first, last = -(-before * 4 // 3), (before + len(plain)) // 3 * 4
        yield whole[first + (before > 0) : last]


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield every file below the folder, by its path, and every row of every RocksDB there, whose files are packed."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield str(path.relative_to(folder)), str(path.relative_to(folder)).encode() + b"\n" + path.read_bytes()
        if path.name == "CURRENT":
            yield from rows(path.parent)


def rows(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the rows of a RocksDB, of all column families."""
    options = rocksdict.Options(raw_mode=True)
    names = rocksdict.Rdict.list_cf(str(folder), options)
    database = rocksdict.Rdict(
        str(folder), options, column_families={name: rocksdict.Options(raw_mode=True) for name in names}
    )
    try:
        for name in names:
            for key, value in database.get_column_family(name).items():
                assert isinstance(key, bytes)  # in raw mode
                assert isinstance(value, bytes)
                yield f"{folder.name} {name}", key + b"\n" + value
    finally:
        database.close()
