"""`callpulse lead-key`: the lead key of a telephone number, hashed as the sources do."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

import typer
from msgspec import Struct

from agents.cli.common import FAILED, USAGE, ConfigOption, JsonOption, UserError, print_json, read_settings
from agents.cli.service import lead_secret
from streams.callers import reference
from streams.settings.settings import Settings
from streams.sources.numbers import NumberRules, Numbers

CONTRACT: Final = "events"
"""The name of the rules for senders of contract events: a plus, or the country of `privacy.region`."""
_LONGEST_LINE: Final = 1024


def lead_key(
    number: Annotated[
        str | None,
        typer.Argument(metavar="[NUMBER]", help="The telephone number. Without it, or -: a line of standard input."),
    ] = None,
    config: ConfigOption = None,
    *,
    source: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Only as this source reads numbers, such as asterisk.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print the short reference and the lead key of a telephone number: what an unknown caller is shown as.

    The number is read and hashed as the sources do it, with the secret of the settings (`privacy.lead_secret`). Where
    sources read it in different ways there is a line for each. The number itself is printed and logged nowhere. On the
    command line it stays in the history of the shell; on standard input it does not.

    For example:

        callpulse lead-key "+31 15 001 0001"

        callpulse explain anna.weber --lead 174605dd
    """
    settings = read_settings(config)
    secret = lead_secret(settings)
    rules = dict(_rules(settings))
    if source is not None:
        if source not in rules:
            raise UserError(f'"{source}" is no source that reads numbers; there are {", ".join(sorted(rules))}.', USAGE)
        rules = {source: rules[source]}
    else:
        rules = {name: one for name, one in rules.items() if name == CONTRACT or _is_set(settings, name)}
    text = number if number not in (None, "-") else sys.stdin.readline(_LONGEST_LINE)
    found: dict[str, list[str]] = {}
    for name, one in rules.items():
        if (key := one.lead(str(text), secret)) is not None:
            found.setdefault(key, []).append(name)
    if not found:
        raise UserError(
            "this is no number of a caller, as the settings read numbers: an extension, a service, or no number. "
            "Write it with a plus and the country code, or set privacy.region.",
            FAILED,
        )
    if as_json:
        print_json([{"reference": reference(key), "lead": key, "read_by": names} for key, names in found.items()])
        return
    for key, names in found.items():
        typer.echo(f"{reference(key)}  {key}" + (f"  {', '.join(names)}" if len(found) > 1 else ""))


def _rules(settings: Settings) -> Iterator[tuple[str, Numbers]]:
    """Yield the rules of the contract and of each source, by their names."""
    region = settings.privacy.region
    yield CONTRACT, Numbers(NumberRules(), region)
    for name in settings.sources.__struct_fields__:
        held: Any = getattr(settings.sources, name)
        tables: Mapping[str, Struct] = (
            {f"{name}.{table}": one for table, one in held.items()} if isinstance(held, Mapping) else {name: held}
        )
        for table, one in tables.items():
            if isinstance(numbers := getattr(one, "numbers", None), NumberRules):
                yield table, Numbers(numbers, getattr(one, "region", None) or region)


def _is_set(settings: Settings, source: str) -> bool:
    """Return whether the settings set a key of a source."""
    place = f"sources.{source}."
    return any(key.startswith(place) and origin != "privacy.region" for key, origin in settings.origins.items())
