"""Following one file of any format: the sink, the cursor in Kafka, and the port of the process."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from agents.cli.common import USAGE, UserError, print_json, run, say
from agents.cli.service import infrastructure_errors, log_to_stderr
from streams.settings.settings import Settings
from streams.sources.frame import LineSource, ReadUntil


class Followed(Struct, frozen=True, kw_only=True):
    """A file to follow.

    `key` names its cursor, `process` the folder of the process's spool, `events_of` the source in metrics and dead
    letters, `name` the file in the output. With `from_end`, a file that was never read before is read from its end on.
    `read_until`: the file fills gaps of a live listener.
    """

    path: Path
    source: LineSource
    key: str
    process: str
    events_of: str
    name: str
    from_end: bool = False
    read_until: ReadUntil | None = None


def follow(settings: Settings, followed: Followed, *, as_json: bool) -> None:
    """Follow a file until a signal ends the process. Raises UserError."""
    if followed.path.exists() and not followed.path.is_file():
        raise UserError(f"{followed.path} is no regular file.", USAGE)
    if followed.source.unusable:
        raise UserError(f"{followed.source.unusable}.", USAGE)
    log_to_stderr()
    with infrastructure_errors():
        run(_follow(settings, followed, as_json=as_json))


async def _follow(settings: Settings, followed: Followed, *, as_json: bool) -> None:
    from agents.gateway.cursors import Cursors  # noqa: PLC0415 - slow to import
    from agents.gateway.follower import Follower, kept_position  # noqa: PLC0415 - as above
    from agents.gateway.following import GrowingFile  # noqa: PLC0415 - as above
    from agents.gateway.service import Service  # noqa: PLC0415 - as above

    source, key, name = followed.source, followed.key, followed.events_of
    async with Service(settings, followed.process) as service, Cursors(settings.kafka) as cursors:
        position = kept_position(cursors, key)
        growing = GrowingFile(followed.path, position)
        if position is not None:
            source.restore(position.state)
        elif followed.from_end:
            growing.skip_to_end()
        service.metrics.announce(name)
        follower = Follower(growing, source, service.sink, cursors, key=key, name=name, meters=service.metrics)
        follower.read_until = followed.read_until
        service.not_ready_while(follower.why_not_ready)
        service.background(follower.run())
        if as_json:
            print_json({"file": str(followed.path), "status": service.url, "name": followed.name})
        else:
            say(f"{followed.path} is followed; state and metrics are at {service.url}/metrics")
        await service.run()
