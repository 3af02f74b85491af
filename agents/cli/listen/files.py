"""`callpulse listen files`: follow an exported file while another system writes it."""

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
from agents.cli.import_files import mapping_of
from agents.cli.listen.records import secret_of
from agents.repeated_lines import RepeatedLines
from streams.settings.settings import Settings
from streams.sources.files.followed import FollowedFile
from streams.sources.people import People


def files(
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False, help="The table [sources.files.NAME].")],
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False)],
    config: ConfigOption = None,
    bootstrap: BootstrapOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Follow a file of calls or deals that another system appends to, as the mapping [sources.files.NAME] describes it.

    It begins at the beginning of the file, and goes on where it was after a restart, also after a rotation. The place
    is kept in Kafka. A file that is written as a whole, time and again, is one for `callpulse import`.

    For example:

        callpulse listen files exports /srv/exports/calls.csv
    """
    settings = read_settings(config, bootstrap)
    mapping, secret = mapping_of(settings, name), secret_of(settings)
    if file.exists() and not file.is_file():
        raise UserError(f"{file} is no regular file.", USAGE)
    people = People.of(settings, secret)
    source = FollowedFile(name, mapping, people, secret, settings.thresholds.future_ms)
    if source.unusable:
        raise UserError(f"{source.unusable}.", USAGE)
    from agents.gateway.folder import FolderError  # noqa: PLC0415 - slow to import

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for handler in logging.getLogger().handlers:
        handler.addFilter(RepeatedLines())
    logging.getLogger("aiokafka").setLevel(logging.WARNING)
    try:
        run(_follow(name, mapping.source or name, file.absolute(), source, settings, as_json=as_json))
    except FolderError as error:
        raise UserError(str(error), INFRASTRUCTURE) from None
    except OSError as error:
        raise UserError(error.strerror or str(error), INFRASTRUCTURE) from None


async def _follow(
    name: str, events_of: str, path: Path, source: FollowedFile, settings: Settings, *, as_json: bool
) -> None:
    from agents.gateway.cursors import Cursors  # noqa: PLC0415 - slow to import
    from agents.gateway.follower import Follower, kept_position  # noqa: PLC0415 - as above
    from agents.gateway.following import GrowingFile  # noqa: PLC0415 - as above
    from agents.gateway.service import Service  # noqa: PLC0415 - as above

    key = f"files/{name} {path}"
    async with Service(settings, f"files-{name}") as service, Cursors(settings.kafka) as cursors:
        position = kept_position(cursors, key)
        if position is not None:
            source.restore(position.state)
        service.metrics.announce(events_of)
        follower = Follower(GrowingFile(path, position), source, service.sink, cursors, key=key, name=events_of)
        service.not_ready_while(follower.why_not_ready)
        service.background(follower.run())
        if as_json:
            print_json({"file": str(path), "status": service.url, "name": name})
        else:
            say(f"{path} is followed; state and metrics are at {service.url}/metrics")
        await service.run()
