"""`callpulse check-config`: every setting with its origin, or all errors in the settings."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import typer
from rich.table import Table
from rich.text import Text

from agents.cli.common import (
    USAGE,
    ConfigOption,
    JsonOption,
    console,
    environment,
    print_json,
    say,
    settings_text,
)
from streams.settings.settings import Problem, Settings, SettingsError, explain, load
from streams.sources import memory
from streams.sources.registry import SOURCES
from streams.tables.manager.series import series_count


def check_config(config: ConfigOption = None, *, as_json: JsonOption = False) -> None:
    """Read the settings as a worker would, and show each with its value and where it was set.

    Everything that is wrong is named at once, each under the key that has to change; the command then ends with 2. So
    is a thresholds.retry_horizon shorter than what the configured sources need, and so are files of TLS, passwords and
    tokens that cannot be used.
    Secrets are never shown.

    For example:

        callpulse check-config --config callpulse.toml

        CALLPULSE_THRESHOLDS__SHORT=90s callpulse check-config --json
    """
    try:
        settings = load(settings_text(config), environment(), SOURCES)
        series = series_count(settings)
        _check_memory(settings)
        _check_web_files(settings)
    except SettingsError as error:
        if as_json:
            problems = [{"key": problem.key, "message": problem.message} for problem in error.problems]
            print_json({"ok": False, "problems": problems})
        else:
            _show_problems(error, config)
        raise typer.Exit(USAGE) from None
    lines = explain(settings)
    if as_json:
        print_json({"ok": True, "series_per_manager": series, "settings": [line._asdict() for line in lines]})
        return
    table = Table("setting", "value", "from", box=None, header_style="bold", pad_edge=False)
    for line in lines:
        style = "" if line.source == "default" else "bold"
        # Not as markup: a pattern like "[a-z]+" would lose the text in its brackets.
        table.add_row(Text(line.key), Text(line.value), line.source, style=style)
    shown = console()
    shown.print(table)
    managers, teams = len(settings.managers), len(settings.teams)
    shown.print(f"\nNothing is wrong. {managers} managers in {teams} teams, {series} series a manager at most.")
    if not settings.privacy.lead_secret:
        say(
            "Note: privacy.lead_secret is not set; sources that know telephone numbers need it (CALLPULSE_LEAD_SECRET)."
        )


def _check_memory(settings: Settings) -> None:
    """Raise SettingsError if events of a source may come again after they are forgotten."""
    if found := memory.problems(settings):
        raise SettingsError(found)


def _check_web_files(settings: Settings) -> None:
    """Raise SettingsError for files of TLS, passwords and tokens that a process could not use."""
    worker, gateway = settings.worker, settings.gateway
    ports = {
        "worker.web_config": worker.web_config,
        "gateway.status_web_config": gateway.status_web_config,
        "gateway.http.web_config": gateway.http.web_config,
    }
    if not any((*ports.values(), worker.web_client)):
        return
    from agents.web.client import web_client  # noqa: PLC0415 - slow to import
    from agents.web.files import loaded  # noqa: PLC0415 - as above

    problems = []
    for key, path in ports.items():
        if path is not None:
            problems += _problem(key, partial(loaded, Path(path), key))
    problems += _problem("worker.web_client", partial(web_client, worker.web_client))
    if problems:
        raise SettingsError(problems)


def _problem(key: str, read: Callable[[], object]) -> list[Problem]:
    try:
        read()
    except OSError as error:
        return [Problem(key, str(error.strerror).removeprefix(f"{key}: "))]
    return []


def _show_problems(error: SettingsError, config: Path | None) -> None:
    count = len(error.problems)
    say(f"{config or 'The settings'}: {count} {'thing is' if count == 1 else 'things are'} wrong.\n")
    for problem in error.problems:
        say(f"  {problem.key or '(the file)'}\n      {problem.message}")
