"""Chooses the test for the name of a source: of a live connection, a file, or the input of a running process."""

from __future__ import annotations

import time
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from agents.cli.common import USAGE, UserError, run
from agents.cli.listen.ami import check_ami
from agents.cli.listen.esl import check_esl
from agents.web.client import NOBODY, WebClient
from streams.contract.topics import SPEECH
from streams.settings.access import Access
from streams.settings.settings import Settings
from streams.sources.asterisk import AsteriskMapping
from streams.sources.asterisk.records.sources import RECORD_FILES
from streams.sources.files.mapping import FileMapping
from streams.sources.freeswitch import FreeSwitchMapping
from streams.sources.registry import HOOKS
from streams.sources.senders import HttpSender
from streams.sources.transcripts.formats import FORMATS
from streams.sources.transcripts.settings import NAME as TRANSCRIPTS

if TYPE_CHECKING:
    from agents.gateway.source_report import Report


class Asked(Struct, frozen=True, kw_only=True):
    """The source to test, and the parameters of the test.

    `names` are those of all configured sources, `gateways` the URLs of metrics. `client` logs in at these.
    """

    name: str
    seconds: float
    secret: bytes
    names: Collection[str]
    gateways: Collection[str]
    client: WebClient = NOBODY
    file: Path | None = None


def report_of(settings: Settings, asked: Asked) -> Report:
    """Return the report of the test of a source. Raises UserError for a name or a file that is missing."""
    table, _, part = asked.name.partition(".")
    if asked.name in settings.named("files", FileMapping) or table == "files":
        return _mapping(settings, asked, part or asked.name)
    if table in ("asterisk", settings.source(AsteriskMapping).source):
        kind = part.replace("-", "_")
        return _records(settings, asked, kind) if kind in RECORD_FILES else _live(settings, asked, "asterisk", part)
    name = part if table == "http" else asked.name
    if name in settings.named("http", HttpSender):
        return _pushed(settings, asked, name, ())
    access = getattr(settings.sources, name, None)
    is_pushed = isinstance(access, Access) and bool(access.tokens)
    if name in HOOKS and is_pushed and not _is_live(settings, table, part):
        return _pushed(settings, asked, name, HOOKS[name](settings).cannot_know)
    if name in asked.names:
        return _pushed(settings, asked, name, ())
    return _live(settings, asked, _table(settings, table), part)


def _table(settings: Settings, name: str) -> str:
    """Return the table of a source, which may be called by the name of its events."""
    return "freeswitch" if name == settings.source(FreeSwitchMapping).source else name


def _is_live(settings: Settings, table: str, part: str) -> bool:
    """Return whether the test is of the live connection to a PBX that may also push."""
    return _table(settings, table) == "freeswitch" and (
        part == "esl" or bool(settings.source(FreeSwitchMapping).esl.host)
    )


def _live(settings: Settings, asked: Asked, table: str, part: str) -> Report:
    from agents.gateway.source_tests import TESTS  # noqa: PLC0415 - slow to import

    tester = TESTS.get(table)
    if tester is None:
        these = sorted({*TESTS, *(f"asterisk.{kind}" for kind in RECORD_FILES), *asked.names})
        raise UserError(f"there is no source {asked.name}; these can be tested: {', '.join(these)}.", USAGE)
    if table == "asterisk":
        check_ami(settings)
    elif table == "freeswitch":
        check_esl(settings)
    return run(tester(settings, part, asked.seconds, asked.secret))


def _mapping(settings: Settings, asked: Asked, name: str) -> Report:
    from agents.cli.import_files import mapping_of  # noqa: PLC0415 - slow to import
    from agents.gateway.file_test import test_mapping  # noqa: PLC0415 - as above

    mapping_of(settings, name)
    if asked.file is None:
        raise UserError(f"which file? callpulse sources test {asked.name} FILE", USAGE)
    return test_mapping(settings, name, asked.file, asked.secret, int(time.time() * 1000))


def _records(settings: Settings, asked: Asked, kind: str) -> Report:
    from agents.gateway.file_test import test_records  # noqa: PLC0415 - slow to import

    path = asked.file or Path(getattr(settings.source(AsteriskMapping), kind).path)
    if path == Path():
        raise UserError(
            f"which file? Name it, or set sources.asterisk.{kind}.path; Asterisk writes {RECORD_FILES[kind]}.", USAGE
        )
    return test_records(settings, kind, path, asked.secret, int(time.time() * 1000))


def _pushed(settings: Settings, asked: Asked, name: str, cannot_know: Collection[str]) -> Report:
    from agents.gateway import push_test  # noqa: PLC0415 - slow to import

    # A sender chooses the source of its events itself: any name that no other source has.
    is_sender = name in settings.named("http", HttpSender)
    is_meant = partial(_is_free, name, frozenset(asked.names)) if is_sender else name.__eq__
    pushed = push_test.Pushed(name=name, is_meant=is_meant, cannot_know=tuple(cannot_know))
    if name == TRANSCRIPTS:
        pushed = replace(pushed, is_meant=FORMATS.__contains__, topics=(SPEECH,))
    return run(push_test.test(settings, pushed, asked.gateways, asked.seconds, asked.secret, asked.client))


def _is_free(name: str, taken: frozenset[str], source: str) -> bool:
    return source == name or source not in taken
