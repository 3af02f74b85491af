"""Shared parts of the commands that run until a signal: the log, the secret, and errors in words."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from agents.cli.common import INFRASTRUCTURE, USAGE, UserError
from agents.repeated_lines import RepeatedLines
from streams.settings.settings import Settings


def log_to_stderr() -> None:
    """Write the log to standard error, without repeated lines."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for handler in logging.getLogger().handlers:
        handler.addFilter(RepeatedLines())
    logging.getLogger("aiokafka").setLevel(logging.WARNING)  # warnings of the client are for the log of a process


def lead_secret(settings: Settings, otherwise: str = "") -> bytes:
    """Return the secret that keys numbers. Raises UserError where there is none; `otherwise` names another way."""
    secret = settings.privacy.lead_secret.reveal().encode()
    if not secret:
        raise UserError(
            "privacy.lead_secret is not set, and without it numbers cannot be hashed: put at least 16 characters into "
            f"CALLPULSE_LEAD_SECRET, the same for every worker and source{otherwise}.",
            USAGE,
        )
    return secret


@contextmanager
def infrastructure_errors() -> Iterator[None]:
    """Raise UserError for a folder, a port or a file that cannot be used."""
    from agents.gateway.folder import FolderError  # noqa: PLC0415 - slow to import

    try:
        yield
    except FolderError as error:
        raise UserError(str(error), INFRASTRUCTURE) from None
    except OSError as error:
        raise UserError(error.strerror or str(error), INFRASTRUCTURE) from None
