"""`callpulse token`: make a token for a sender. The settings hold only its hash."""

from __future__ import annotations

import secrets
from typing import Annotated, Final

import typer

from agents.cli.common import USAGE, UserError, print_json, say, write
from streams.settings.access import hashed
from streams.settings.settings import NAME_OF_A_SOURCE
from streams.sources.registry import HOOKS

_BYTES: Final = 32
_PREFIX: Final = "cp_"

app = typer.Typer(help="Make tokens for senders.", no_args_is_help=True)


@app.command("new")
def new(
    source: Annotated[str, typer.Argument(metavar="NAME", help="The name of the sender in the settings.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output, for scripts.")] = False,
) -> None:
    """Print a new token, once, and the line to add to the settings: they hold its hash. With a hook, also its URL.

    Several tokens of a sender are valid at once: add the new hash, restart the gateways, give the sender the new token,
    and take the old hash out.

    For example:

        callpulse token new crm
    """
    if NAME_OF_A_SOURCE.fullmatch(source) is None:
        raise UserError(
            f'"{source}" is no name of a source: a letter, then up to 31 letters, digits, dashes or underscores, in '
            "lower case",
            USAGE,
        )
    token = _PREFIX + secrets.token_urlsafe(_BYTES)
    is_hook = source in HOOKS
    table = f"sources.{source}" if is_hook else f"sources.http.{source}"
    path = f"/hooks/{source}/{token}" if is_hook else "/v1/events"
    if as_json:
        print_json({"token": token, "table": table, "hash": hashed(token), "path": path})
        return
    say("The token, which is shown only now:")
    write(token.encode() + b"\n")
    say(f'Add its hash to the settings, and restart the gateways:\n\n[{table}]\ntokens = ["{hashed(token)}"]')
    if is_hook:
        say(f"\nThe URL for the system, with the gateway's name in place of HOST:\n\nhttps://HOST{path}")
