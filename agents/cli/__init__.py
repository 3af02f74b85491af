"""The command line: `callpulse COMMAND`. One module a command; each imports heavy modules only when it runs."""

from __future__ import annotations

import logging
import signal
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Final

import typer

from agents.cli import (
    check_config,
    coaching,
    demo,
    explain,
    forget,
    gateway,
    import_files,
    kafka,
    lead_key,
    leads,
    lexicon,
    listen,
    metrics,
    rebuild,
    reconcile,
    rejected,
    replay,
    schema,
    simulate,
    sources,
    token,
    top,
    topics,
    unmapped,
    up,
    worker,
)
from agents.cli.common import INFRASTRUCTURE, INTERRUPTED, UserError, say
from agents.exit import leave

__all__ = ["app", "main"]

EPILOG: Final = (
    "Exit codes: 0 done; 1 the answer is no (a check found something, figures do not agree); 2 the command line or the "
    "settings are wrong; 70 Kafka, Java, a port or a file cannot be used; 130 interrupted."
)


app = typer.Typer(
    name="callpulse",
    help="A live monitor for sales departments that work by phone: is activity turning into result?",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        try:
            typer.echo(f"callpulse {version('callpulse')}")
        except PackageNotFoundError:
            typer.echo("callpulse, run from its source folder without being installed")
        raise typer.Exit


@app.callback()
def _options(
    *,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the log of the clients of Kafka.")] = False,
    _show: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    from agents.kafka.clients import quiet  # noqa: PLC0415 - slow to import; --help and --version do not need it

    if verbose:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    else:
        quiet()


app.command("demo")(demo.demo)
app.command("up")(up.up)
app.command("worker")(worker.worker)
app.command("gateway")(gateway.gateway)
app.add_typer(listen.app, name="listen")
app.add_typer(token.app, name="token")
app.command("top")(top.top)
app.command("explain")(explain.explain)
app.command("coaching")(coaching.coaching)
app.command("leads")(leads.leads)
app.command("lead-key")(lead_key.lead_key)
app.command("forget")(forget.forget)
app.command("simulate")(simulate.simulate)
app.add_typer(replay.app, name="replay")
app.add_typer(lexicon.app, name="lexicon")
app.command("import")(import_files.import_)
app.command("unmapped")(unmapped.unmapped)
app.add_typer(sources.app, name="sources")
app.add_typer(rejected.app, name="rejected")
app.command("kafka")(kafka.kafka)
app.add_typer(topics.app, name="topics")
app.command("rebuild")(rebuild.rebuild)
app.command("reconcile")(reconcile.reconcile_day)
app.command("check-config")(check_config.check_config)
app.command("metrics")(metrics.metrics)
app.command("schema")(schema.schema)


def main() -> None:
    """Run the command line; the entry point of the console script."""
    if sys.argv[1:2] in (["worker"], ["gateway"], ["listen"]):
        signal.signal(signal.SIGTERM, _stop_early)
    try:
        app(prog_name="callpulse")
    except UserError as trouble:
        say(f"callpulse: {trouble}")
        sys.exit(trouble.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        if not _expected(error):
            raise
        say(f"callpulse: {error}")
        sys.exit(INFRASTRUCTURE)


def _stop_early(*_: object) -> None:
    """End a process that gets a signal before it handles signals itself: it has no state to write."""
    say("callpulse: stopped while it was starting")
    leave()


def _expected(error: Exception) -> bool:
    """Return whether an error has a text with the remedy, so that a traceback would only hide it."""
    from agents.embedded import EmbeddedKafkaError  # noqa: PLC0415 - slow to import
    from agents.kafka.clients import KafkaUnusableError  # noqa: PLC0415 - slow to import
    from agents.kafka.internals import IncompatibleLibraryError  # noqa: PLC0415 - slow to import
    from agents.processes import ProcessError  # noqa: PLC0415 - slow to import

    return isinstance(error, KafkaUnusableError | EmbeddedKafkaError | ProcessError | IncompatibleLibraryError)
