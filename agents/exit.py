"""The end of a worker that must not go on: at once, without a commit."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import Final

log = logging.getLogger("callpulse")

EXIT_INFRASTRUCTURE: Final = 70
"""EX_SOFTWARE. A supervisor should start the worker again."""

Fail = Callable[[BaseException], None]
"""A function that takes the error that a worker cannot survive. Workers use `abort`."""


def leave() -> None:
    """End the process at once with 0. For a stop that must not wait for threads that wait for Kafka."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def abort(error: BaseException) -> None:
    """End the process at once and without a commit. The next worker folds the records again that were not durable."""
    log.critical("leaving without a commit: %s: %s", type(error).__name__, error)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(EXIT_INFRASTRUCTURE)
