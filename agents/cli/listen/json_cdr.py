"""`callpulse listen json-cdr`: read the records that a FreeSWITCH could not post."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agents.cli.common import (
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
from agents.cli.service import infrastructure_errors, lead_secret, log_to_stderr
from streams.settings.settings import Settings
from streams.sources.freeswitch import FreeSwitchMapping
from streams.sources.freeswitch.hook import parties_of, translated
from streams.sources.freeswitch.legs import Legs

if TYPE_CHECKING:
    from agents.gateway.record_folder import RecordFolder
    from agents.gateway.service import Service

_NAME = "freeswitch-json-cdr"


def json_cdr(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", show_default=False, help="The folder; else that of the settings.")
    ] = None,
    config: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Read the folder in which mod_json_cdr of a FreeSWITCH leaves the records that it could not post (err-log-dir).

    Each file is read once; none is changed or removed. What is there at the start is read first, so this imports a
    folder, too. The events have the ids of those that are posted or heard live, and nothing counts twice.

    For example:

        callpulse listen json-cdr /var/log/freeswitch/json_cdr
    """
    settings = read_settings(config, bootstrap)
    mapping = settings.source(FreeSwitchMapping)
    path = folder or (Path(mapping.err_log_dir) if mapping.err_log_dir else None)
    if path is None:
        raise UserError(
            "which folder? Name it, or set sources.freeswitch.err_log_dir to err-log-dir of json_cdr.conf.xml.", USAGE
        )
    if not path.is_dir():
        raise UserError(f"{path} is no folder.", USAGE)
    lead_secret(settings)
    log_to_stderr()
    with infrastructure_errors():
        run(_listen(settings, mapping, path.absolute(), as_json=as_json))


async def _listen(settings: Settings, mapping: FreeSwitchMapping, path: Path, *, as_json: bool) -> None:
    from agents.gateway.cursors import Cursors  # noqa: PLC0415 - slow to import
    from agents.gateway.record_folder import RecordFolder  # noqa: PLC0415 - as above
    from agents.gateway.service import Service  # noqa: PLC0415 - as above

    legs = Legs(parties_of(settings, mapping))
    async with Service(settings, _NAME) as service, Cursors(settings.kafka) as cursors:
        reader = RecordFolder(
            path,
            lambda body: translated(legs, body),
            service.sink,
            cursors,
            key=f"freeswitch/json-cdr {path}",
            source=mapping.source,
        )
        await _run(service, reader, mapping.source, path, as_json=as_json)


async def _run(service: Service, reader: RecordFolder, source: str, path: Path, *, as_json: bool) -> None:
    service.metrics.announce(source)
    service.not_ready_while(reader.why_not_ready)
    service.background(reader.run())
    if as_json:
        print_json({"folder": str(path), "status": service.url})
    else:
        say(f"{path} is read; state and metrics are at {service.url}/metrics")
    await service.run()
