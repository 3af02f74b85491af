"""The sources of events that have settings: the name of each table under `[sources]`, and its form.

The settings import no source; whoever loads them hands this over: `load(text, environ, SOURCES)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from msgspec import Struct

from streams.settings.settings import Named, Settings
from streams.sources.asterisk.mapping import AsteriskMapping
from streams.sources.files.mapping import FileMapping
from streams.sources.frame import Hook
from streams.sources.senders import HttpSender

SOURCES: Final[Mapping[str, type[Struct] | Named]] = MappingProxyType(
    {"asterisk": AsteriskMapping, "files": Named(FileMapping), "http": Named(HttpSender)}
)

MakeHook: TypeAlias = Callable[[Settings], Hook]
HOOKS: Final[Mapping[str, MakeHook]] = MappingProxyType({})
"""The sources that are pushed to `/hooks/NAME/TOKEN`, by their names. Each one's settings extend `Access`."""
