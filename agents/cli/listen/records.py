"""`callpulse listen cel`, `queue-log` and `cdr`: follow the files in which Asterisk writes what happened."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from agents.cli.common import (
    INFRASTRUCTURE,
    USAGE,
    BootstrapOption,
    ConfigOption,
    JsonOption,
    UserError,
    print_json,
    read_settings,
    run,
    say,
)
from agents.repeated_lines import RepeatedLines
from streams.settings.settings import Settings
from streams.sources.asterisk.mapping import AsteriskMapping
from streams.sources.asterisk.records.sources import RECORD_FILES, RecordSource, record_source
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


def secret_of(settings: Settings) -> bytes:
    """Return the secret that keys numbers. Raises UserError where there is none."""
    secret = settings.privacy.lead_secret.reveal().encode()
    if not secret:
        raise UserError(
            "privacy.lead_secret is not set, and without it numbers cannot be hashed: put at least 16 characters into "
            "CALLPULSE_LEAD_SECRET, the same for every worker and source.",
            USAGE,
        )
    return secret


def source_of(settings: Settings, kind: str) -> RecordSource:
    """Return the reader of a kind of record file, by the settings."""
    secret = secret_of(settings)
    mapping = settings.source(AsteriskMapping)
    return record_source(kind, mapping, secret, settings.timezone, People.of(settings, secret))


def _listen(kind: str, file: Path | None, settings: Settings, *, as_json: bool) -> None:
    mapping = settings.source(AsteriskMapping)
    path = file or Path(getattr(mapping, kind).path)
    if not str(path) or path == Path():
        raise UserError(
            f"which file? Name it, or set sources.asterisk.{kind}.path; Asterisk writes {RECORD_FILES[kind]}.", USAGE
        )
    if path.exists() and not path.is_file():
        raise UserError(f"{path} is no regular file.", USAGE)
    source = source_of(settings, kind)
    from agents.gateway.folder import FolderError  # noqa: PLC0415 - slow to import

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for handler in logging.getLogger().handlers:
        handler.addFilter(RepeatedLines())
    logging.getLogger("aiokafka").setLevel(logging.WARNING)  # what the client warns of is for the log of a process
    try:
        run(_follow(kind, path.absolute(), source, settings, as_json=as_json))
    except FolderError as error:
        raise UserError(str(error), INFRASTRUCTURE) from None
    except OSError as error:
        raise UserError(error.strerror or str(error), INFRASTRUCTURE) from None


async def _follow(kind: str, path: Path, source: RecordSource, settings: Settings, *, as_json: bool) -> None:
    from agents.gateway.cursors import Cursors  # noqa: PLC0415 - slow to import
    from agents.gateway.follower import Follower, kept_position  # noqa: PLC0415 - as above
    from agents.gateway.following import GrowingFile  # noqa: PLC0415 - as above
    from agents.gateway.service import Service  # noqa: PLC0415 - as above

    mapping = settings.source(AsteriskMapping)
    key = f"{mapping.source}/{kind} {path}"
    name = f"{mapping.source}-{kind.replace('_', '-')}"
    async with Service(settings, name) as service, Cursors(settings.kafka) as cursors:
        position = kept_position(cursors, key)
        growing = GrowingFile(path, position)
        if position is not None:
            source.restore(position.state)
        elif getattr(mapping, kind).begin == "end":
            growing.skip_to_end()
        service.metrics.announce(mapping.source)
        follower = Follower(growing, source, service.sink, cursors, key=key, name=mapping.source)
        service.not_ready_while(follower.why_not_ready)
        service.background(follower.run())
        if as_json:
            print_json({"file": str(path), "status": service.url, "name": name})
        else:
            say(f"{path} is followed; state and metrics are at {service.url}/metrics")
        await service.run()
