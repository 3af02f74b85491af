"""Rows on a worker's disk without the project's own store: reads a RocksDB folder, and makes one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec
import rocksdict

from tests.upgrade.frozen import Families

DEFAULT: Final = "default"
MARK: Final = b""
_AT_MS: Final = 2
"""The place in a store checkpoint of the moment at which its rows were last known to be whole."""


def _options() -> Any:
    options = rocksdict.Options(raw_mode=True)
    options.create_if_missing(True)
    options.create_missing_column_families(True)
    options.set_compression_type(rocksdict.DBCompressionType.lz4())
    return options


def read(folder: Path) -> Families:
    """Return all rows of a database. It must not be open elsewhere."""
    found: Families = {}
    rows = str(folder / "rows")
    names = [name for name in rocksdict.Rdict.list_cf(rows) if name != DEFAULT]
    database = rocksdict.Rdict(rows, _options(), column_families={name: _options() for name in names})
    try:
        found[DEFAULT] = _items(database)
        for name in sorted(names):
            family = database.get_column_family(name)
            found[name] = _items(family)
            family.close()
        return found
    finally:
        database.close()


def write(folder: Path, families: Families) -> None:
    """Make a database that holds `families`."""
    folder.mkdir(parents=True)
    names = [name for name in families if name != DEFAULT]
    database = rocksdict.Rdict(str(folder / "rows"), _options(), column_families={name: _options() for name in names})
    try:
        for name, items in families.items():
            family = database if name == DEFAULT else database.get_column_family(name)
            for key, value in items:
                family[key] = value
            if name != DEFAULT:
                family.close()
    finally:
        database.close()


def written_at(families: Families, at_ms: int) -> Families:
    """Return the same rows, as if they had last been known to be whole at `at_ms`: older ones are not used."""
    return {
        name: [(key, _dated(value, at_ms) if name != DEFAULT and key == MARK else value) for key, value in items]
        for name, items in families.items()
    }


def _items(family: Any) -> list[tuple[bytes, bytes]]:
    return list(family.items())


def _dated(checkpoint: bytes, at_ms: int) -> bytes:
    fields = msgspec.msgpack.decode(checkpoint)
    fields[_AT_MS] = at_ms
    return msgspec.msgpack.encode(fields)
