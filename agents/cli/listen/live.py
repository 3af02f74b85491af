"""Listening live to any telephone system: the process, until a signal ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.cli.common import FAILED, UserError, print_json, run, say
from agents.cli.service import infrastructure_errors, log_to_stderr
from streams.settings.settings import Settings

if TYPE_CHECKING:
    from agents.gateway.live import LiveSource
    from agents.gateway.live_connection import S


def listen(settings: Settings, name: str, source: LiveSource[S], *, as_json: bool) -> None:
    """Listen to a source until a signal. `name` is the folder of the process. Raises UserError."""
    from agents.gateway import live_service  # noqa: PLC0415 - slow to import

    log_to_stderr()

    def ready(url: str) -> None:
        if as_json:
            print_json({"url": url, "metrics": f"{url}/metrics"})
        else:
            say(f"the listener answers at {url}/metrics")

    with infrastructure_errors():
        lost = run(live_service.run(settings, name, source, on_ready=ready))
    if lost:
        raise UserError(f"{lost} events that were heard could not be stored", FAILED)
