"""The worker's session in its group: when the group last answered, and whether the membership may be over.

A worker that is cut off from Kafka goes on running. Once its session is over, the group gives its partitions to other
workers, so it must not export its managers any more.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Final

from aiokafka.errors import GroupAuthorizationFailedError

from agents.exit import Fail

log = logging.getLogger("callpulse")

_OK: Final = 0
_ILLEGAL_GENERATION: Final = 22
_UNKNOWN_MEMBER: Final = 25
_REBALANCING: Final = 27
_DENIED: Final = 30
_FENCED: Final = 82
_HEARTBEAT: Final = 12
_SYNC_GROUP: Final = 14
_EXPELLED_AGAIN_S: Final = 60.0


class DuplicateWorkerError(RuntimeError):
    """Another process has joined the group under this worker's id."""


class Session:
    """Noted by the thread that talks to the group, read by all. Times are in seconds."""

    def __init__(
        self,
        *,
        timeout_ms: int,
        heartbeat_ms: int,
        worker: str,
        group: str,
        fail: Fail,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._timeout_s = timeout_ms / 1000
        self._silence_s = max(2.0, 2 * heartbeat_ms / 1000)
        self._worker = worker
        self._group = group
        self._fail = fail
        self._clock = clock
        self._joined = False
        self._heard = clock()
        self._expelled_at = self._heard - _EXPELLED_AGAIN_S

    @property
    def silent_s(self) -> float:
        """Seconds since the group's last answer or, before the first one, since the start of the worker."""
        return self._clock() - self._heard

    @property
    def is_silent(self) -> bool:
        """True once two heartbeats in a row got no answer."""
        return self.silent_s > self._silence_s

    @property
    def is_over(self) -> bool:
        """True once the membership may be over, so that other workers may own the partitions."""
        return self._joined and self.silent_s > self._timeout_s

    def heard(self, sent_at: float | None = None) -> None:
        """Note that the group answered a request that was sent at `sent_at` (None: now). The session begins then."""
        self._joined = True
        self._heard = self._clock() if sent_at is None else max(sent_at, self._heard)

    def lost(self) -> None:
        """Note that this member is no longer in the group."""
        self._heard = min(self._heard, self._clock() - self._timeout_s - 1)

    def watch(self, coordinator: Any) -> None:
        """Note the answers that aiokafka's group coordinator gets."""
        send = coordinator._send_req  # noqa: SLF001 - see agents/kafka/internals.py

        async def send_and_note(request: Any) -> Any:
            sent_at = self._clock()
            response = await send(request)
            self.note(request.API_KEY, getattr(response, "error_code", None), sent_at)
            return response

        coordinator._send_req = send_and_note  # noqa: SLF001 - see agents/kafka/internals.py

    def note(self, request: int, code: int | None, sent_at: float) -> None:
        """Note the answer to a request with this API key.

        A worker whose place was taken ends, and so does one that may not be in the group: Faust would wait for ever.
        """
        if code == _FENCED:
            self._replaced()
        elif code == _DENIED:
            self._fail(GroupAuthorizationFailedError(self._group))
        elif request in {_HEARTBEAT, _SYNC_GROUP}:
            if code in {_OK, _REBALANCING}:
                self.heard(sent_at)
            elif code in {_ILLEGAL_GENERATION, _UNKNOWN_MEMBER}:
                if code == _UNKNOWN_MEMBER and request == _HEARTBEAT and not self.is_over:
                    self._expelled()
                self.lost()

    def _expelled(self) -> None:
        """Note that the group expelled this member within its session: another process took its place, or Kafka did it.

        Two processes with one id take each other's place within seconds, again and again.
        """
        now = self._clock()
        again = now - self._expelled_at < _EXPELLED_AGAIN_S
        self._expelled_at = now
        if again:
            self._replaced()
        else:
            log.error(
                "group %s does not know this member any more. Does another process run as worker.id %s?",
                self._group,
                self._worker,
            )

    def _replaced(self) -> None:
        self._fail(
            DuplicateWorkerError(
                f"another process has joined group {self._group} as worker.id {self._worker}: each worker needs a "
                "worker.id of its own (CALLPULSE_WORKER_ID)"
            )
        )
