"""`callpulse sources stages NAME`: the stages of a CRM, as a block for the settings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

import msgspec
import typer

from agents.cli.common import FAILED, USAGE, ConfigOption, JsonOption, UserError, print_json, read_settings, run
from streams.settings.settings import Settings
from streams.sources.polls import Asking, Polled, PollError, Stage, Staged


def stages(
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False, help="The source, such as bitrix24.")],
    config: ConfigOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Ask a CRM for its stages, and print them as a block for the settings: correct the right side of each line.

    Stages that the CRM itself calls won or lost are so whatever the settings say.

    For example:

        callpulse sources stages bitrix24 >> callpulse.toml
    """
    settings = read_settings(config)
    from streams.sources.registry import POLLS  # noqa: PLC0415 - slow to import

    make = POLLS.get(name)
    if make is None:
        raise UserError(f"{name} cannot be asked for stages; these can: {', '.join(sorted(POLLS)) or 'none'}.", USAGE)
    source = make(settings)
    if source is None:
        raise UserError(f"[sources.{name}] does not say where to ask (docs/sources/{name}.md).", USAGE)
    if not isinstance(source, Staged):
        raise UserError(f"{name} has no stages.", USAGE)
    try:
        found = run(_asked(settings, name, source, source.stages()))
    except PollError as error:
        raise UserError(f"{name} cannot be asked: {error}.", FAILED) from None
    if as_json:
        print_json([msgspec.to_builtins(stage) for stage in found])
        return
    for line in block(name, found, settings):
        typer.echo(line)


def block(name: str, found: Sequence[Stage], settings: Settings) -> Iterator[str]:
    """Yield the lines of a table that maps the stages. One with an unknown name is mapped to the first stage."""
    ours = [*settings.results.stages]
    yield f"[sources.{name}.stages]"
    pipeline = None
    for stage in found:
        if stage.pipeline != pipeline:
            pipeline = stage.pipeline
            yield f"# {_plain(pipeline)}"
        key = msgspec.json.encode(stage.key).decode()
        yield f'{key} = "{_guess(stage, ours)}"  # {_plain(stage.name)}'


def _guess(stage: Stage, ours: Sequence[str]) -> str:
    if stage.is_won or stage.is_lost:
        return "won" if stage.is_won else "lost"
    own = stage.name.strip().casefold()
    return own if own in ours else next((one for one in ours if one not in {"won", "lost"}), "new")


def _plain(text: str) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


async def _asked(settings: Settings, name: str, source: Polled, steps: Asking[list[Stage]]) -> list[Stage]:
    from agents.gateway.metrics import GatewayMetrics  # noqa: PLC0415 - slow to import
    from agents.gateway.poll_client import PollClient, session  # noqa: PLC0415 - slow to import

    polls = settings.gateway.polls
    async with session(polls) as http:
        return await PollClient(name, source, http, polls, GatewayMetrics().polls).conduct(steps)
