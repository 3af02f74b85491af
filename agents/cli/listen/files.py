"""`callpulse listen files`: follow an exported file while another system writes it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agents.cli.common import BootstrapOption, ConfigOption, JsonOption, read_settings
from agents.cli.import_files import mapping_of
from agents.cli.listen.followed import Followed, follow
from agents.cli.service import lead_secret
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
    mapping, secret = mapping_of(settings, name), lead_secret(settings)
    people = People.of(settings, secret)
    path = file.absolute()
    followed = Followed(
        path=path,
        source=FollowedFile(name, mapping, people, secret, settings.thresholds.future_ms),
        key=f"files/{name} {path}",
        process=f"files-{name}",
        events_of=mapping.source or name,
        name=name,
    )
    follow(settings, followed, as_json=as_json)
