"""The kept files of a release, and their writing and reading. Plain MessagePack and JSON, no names of modules.

settings.toml     the settings of the installation
input.xz          the records that sources sent: topic, key, value, moment of arrival
topics.xz         every topic of the installation: key and value of each record, by partition, in order
rows.xz           the rows on a worker's disk: the contents of RocksDB, by table and column family
readings.xz       every checkpoint, with the ends of all topics; for some of them, the figures read at that moment
"""

from __future__ import annotations

import lzma
import math
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct

FOLDER: Final = Path(__file__).parent
FORMAT: Final = 1
_SETTINGS: Final = "settings.toml"

Key: TypeAlias = bytes | None
Value: TypeAlias = bytes | None
Figures: TypeAlias = dict[str, float]
"""The value of each series, by its name and labels as Prometheus writes them, the labels in alphabetical order."""
Families: TypeAlias = dict[str, list[tuple[bytes, bytes]]]
"""Keys and values of each column family of a RocksDB database."""


class Arrival(Struct, frozen=True, array_like=True):
    """A record that a source sent. `topic` is the name in the declaration of topics; `at_ms` is its arrival."""

    topic: str
    key: Key
    value: bytes
    at_ms: int


class Reading(Struct, frozen=True, array_like=True):
    """A checkpoint at `at_ms`: `ends` has the end of each partition of each topic. `figures`: None if not read."""

    at_ms: int
    ends: dict[str, list[int]]
    figures: Figures | None


class Frozen(Struct, frozen=True):
    """The fixtures of one release."""

    release: str
    settings: str
    input: list[Arrival]
    topics: dict[str, list[list[tuple[Key, Value]]]]
    rows: dict[str, Families]
    readings: list[Reading]

    def read(self) -> list[int]:
        """Return the numbers of the readings that have figures."""
        return [number for number, reading in enumerate(self.readings) if reading.figures is not None]

    def last(self) -> Figures:
        """Return the figures of the last reading."""
        figures = self.readings[-1].figures
        assert figures is not None
        return figures


_PARTS: Final[dict[str, Any]] = {
    "input": msgspec.msgpack.Decoder(tuple[int, list[Arrival]]),
    "topics": msgspec.msgpack.Decoder(tuple[int, dict[str, list[list[tuple[Key, Value]]]]]),
    "rows": msgspec.msgpack.Decoder(tuple[int, dict[str, Families]]),
    "readings": msgspec.msgpack.Decoder(tuple[int, list[Reading]]),
}


def releases() -> list[str]:
    """Return the names of the releases that are kept."""
    return sorted(path.parent.name for path in FOLDER.glob(f"*/{_SETTINGS}"))


def write(frozen: Frozen, folder: Path) -> None:
    """Write the fixtures into `folder`. Raise FileExistsError if it exists: kept fixtures never change."""
    folder.mkdir(parents=True)
    (folder / _SETTINGS).write_text(frozen.settings, encoding="utf-8")
    for name in _PARTS:
        packed = msgspec.msgpack.encode((FORMAT, getattr(frozen, name)))
        (folder / f"{name}.xz").write_bytes(lzma.compress(packed, preset=9 | lzma.PRESET_EXTREME))


def read(release: str, folder: Path = FOLDER) -> Frozen:
    """Return the fixtures of a release. Raise FileNotFoundError where there are none."""
    found: dict[str, Any] = {}
    for name, decoder in _PARTS.items():
        packed = lzma.decompress((folder / release / f"{name}.xz").read_bytes())
        format_, found[name] = decoder.decode(packed)
        assert format_ == FORMAT, f"{release}/{name}.xz has format {format_}; these tests read {FORMAT}"
    return Frozen(release=release, settings=(folder / release / _SETTINGS).read_text(encoding="utf-8"), **found)


def differences(found: Figures, expected: Figures) -> dict[str, tuple[float | None, float | None]]:
    """Return the series that are not as expected: found, expected. Metrics that the release did not have do not count.

    Values may differ by rounding: the build that is compiled, and other C libraries, round otherwise.
    """
    names = {series.partition("{")[0] for series in expected}
    compared = expected.keys() | {series for series in found if series.partition("{")[0] in names}
    pairs = {series: (found.get(series), expected.get(series)) for series in compared}
    return {series: pair for series, pair in pairs.items() if not _same(*pair)}


def _same(found: float | None, expected: float | None) -> bool:
    if found is None or expected is None:
        return False
    return math.isclose(found, expected, rel_tol=1e-9) or (math.isnan(found) and math.isnan(expected))
