"""`callpulse listen cel`, `queue-log` and `cdr`: follow the record files of Asterisk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agents.cli.common import USAGE, BootstrapOption, ConfigOption, JsonOption, UserError, read_settings
from agents.cli.listen.followed import Followed, follow
from agents.cli.service import lead_secret
from streams.settings.settings import Settings
from streams.sources.asterisk.mapping import AsteriskMapping
from streams.sources.asterisk.records.sources import RECORD_FILES, CelSource, record_key, record_source
from streams.sources.people import People

PathArgument = Annotated[
    Path | None, typer.Argument(metavar="[FILE]", show_default=False, help="The file; else that of the settings.")
]


def cel(
    file: PathArgument = None,
    config: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Follow CEL, the channel event log: exact talk, transfers and calls.

    The settings are [sources.asterisk.cel]. Where a manager interface is listened to as well, CEL fills its gaps and
    nothing counts twice.

    For example:

        callpulse listen cel /var/log/asterisk/cel-custom/Master.csv
    """
    _listen("cel", file, read_settings(config, bootstrap), as_json=as_json)


def queue_log(
    file: PathArgument = None,
    config: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Follow queue_log: the talk, the rings and the presence of queues.

    The settings are [sources.asterisk.queue_log].

    For example:

        callpulse listen queue-log /var/log/asterisk/queue_log
    """
    _listen("queue_log", file, read_settings(config, bootstrap), as_json=as_json)


def cdr(
    file: PathArgument = None,
    config: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Follow CDR, the call detail records: which calls there were. The weakest evidence; use CEL where you can.

    The settings are [sources.asterisk.cdr]. Name Master.csv alone: the files per account hold the same rows.

    For example:

        callpulse listen cdr /var/log/asterisk/cdr-csv/Master.csv
    """
    _listen("cdr", file, read_settings(config, bootstrap), as_json=as_json)


def _listen(kind: str, file: Path | None, settings: Settings, *, as_json: bool) -> None:
    mapping = settings.source(AsteriskMapping)
    path = file or Path(getattr(mapping, kind).path)
    if path == Path():
        raise UserError(
            f"which file? Name it, or set sources.asterisk.{kind}.path; Asterisk writes {RECORD_FILES[kind]}.", USAGE
        )
    path, secret = path.absolute(), lead_secret(settings)
    name = f"{mapping.source}-{kind.replace('_', '-')}"
    source = record_source(kind, mapping, secret, settings.timezone, People.of(settings, secret))
    followed = Followed(
        path=path,
        source=source,
        key=f"{record_key(mapping.source, kind)}{path}",
        process=name,
        events_of=mapping.source,
        name=name,
        from_end=getattr(mapping, kind).begin == "end",
        read_until=source.read_until(mapping.source) if isinstance(source, CelSource) else None,
    )
    follow(settings, followed, as_json=as_json)
