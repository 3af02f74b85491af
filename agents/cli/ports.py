"""The URLs of callpulse's ports, by the settings, and the login of commands at them."""

from __future__ import annotations

from collections.abc import Sequence

from agents.cli.common import USAGE, UserError
from agents.telemetry.scrape import metrics_url
from agents.web.client import WebClient, own_url, web_client
from streams.settings.settings import Settings


def client_of(settings: Settings) -> WebClient:
    """Return the client that logs in by worker.web_client. Raises UserError for a file that cannot be used."""
    try:
        return web_client(settings.worker.web_client)
    except OSError as error:
        raise UserError(error.strerror or str(error), USAGE) from None


def worker_url(settings: Settings) -> str:
    """Return the URL on this machine of the worker of the settings."""
    worker = settings.worker
    return own_url(worker.http_host, worker.http_port, worker.web_config)


def worker_metrics(settings: Settings, workers: Sequence[str] | None) -> list[str]:
    """Return the URLs of the metrics of these workers; without them, of the worker of the settings."""
    return [metrics_url(one) for one in workers or [worker_url(settings)]]


def status_metrics(settings: Settings, at: Sequence[str] | None) -> list[str]:
    """Return the URLs of the metrics of these processes of the way in; without them, of the one of the settings."""
    gateway = settings.gateway
    own = own_url(gateway.status_host, gateway.status_port, gateway.status_web_config)
    return [metrics_url(one) for one in at or [own]]
