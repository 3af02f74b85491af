"""The sources of events that have settings: the name of each table under `[sources]`, and its form.

The settings import no source; whoever loads them hands this over: `load(text, environ, SOURCES)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from streams.settings.settings import Named
from streams.sources.asterisk.mapping import AsteriskMapping
from streams.sources.files.mapping import FileMapping

SOURCES: Final[Mapping[str, type[Struct] | Named]] = MappingProxyType(
    {"asterisk": AsteriskMapping, "files": Named(FileMapping)}
)
