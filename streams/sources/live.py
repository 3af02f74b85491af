"""The common part of all live links: the dialogue of a connection, and the settings of the connection.

A session is pure: bytes in, bytes out. The owner of the connection transfers them, watches the clock and reconnects.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Protocol, TypeAlias

from msgspec import Meta, Struct

from streams.settings.fields import Span, Text
from streams.settings.reader import Conflict

Port: TypeAlias = Annotated[int, Meta(ge=1, le=65_535)]
Cause: TypeAlias = Literal["wrong_server", "unsupported", "refused"]


class CannotListenError(Exception):
    """The listener cannot work before an operator changes something. The text is the remedy.

    After `refused` (the login was) another attempt soon would be one more failed login in the other side's log.
    """

    def __init__(self, cause: Cause, text: str) -> None:
        super().__init__(text)
        self.cause: Cause = cause


class LinkAccess(Struct, frozen=True, kw_only=True):
    """The address of the other side, and the timeouts. The settings of a source extend it, with a port of its own.

    Without `host` nothing listens. `queue_events` bounds the contract events that wait for Kafka; beyond it the
    listener hangs up until half of them are stored.
    """

    host: Annotated[str, Meta(max_length=255)] = ""
    port: Port = 1
    tls: bool = False
    ca_file: Text | None = None
    check_hostname: bool = True
    connect_timeout_ms: Annotated[Span, Meta(ge=100, le=300_000)] = 10_000
    ping_interval_ms: Annotated[Span, Meta(ge=100, le=300_000)] = 10_000
    ping_deadline_ms: Annotated[Span, Meta(ge=100, le=300_000)] = 10_000
    queue_events: Annotated[int, Meta(ge=100, le=10_000_000)] = 50_000

    def conflicts(self) -> Iterator[Conflict]:
        """Yield the contradictions between fields, and an invalid host."""
        if self.host != self.host.strip() or not self.host.isprintable():
            yield ("host",), "is no name or address of a host"
        if self.ca_file is not None and not self.tls:
            yield ("ca_file", "tls"), "has no effect: tls is false"
        if not self.check_hostname and not self.tls:
            yield ("check_hostname", "tls"), "has no effect: tls is false"


class Session(Protocol):
    """The dialogue of one connection. Each session takes the stream by a method of its own, `receive`.

    - `is_up`: the login was accepted.
    - `waits_for_ping`: a ping is not answered yet.
    - `said_goodbye`: the other side ended the session in good order.
    - `clock_ahead_ms`: its clock minus that of callpulse, None while unknown.
    """

    @property
    def is_up(self) -> bool: ...  # noqa: D102 - above
    @property
    def waits_for_ping(self) -> bool: ...  # noqa: D102
    @property
    def said_goodbye(self) -> bool: ...  # noqa: D102
    @property
    def clock_ahead_ms(self) -> int | None: ...  # noqa: D102

    def take_output(self) -> bytes:
        """Return the bytes to send now."""
        ...

    def ping(self, now_ms: int) -> None:
        """Send a ping."""
        ...

    def log_off(self) -> None:
        """End the session in good order."""
        ...

    def is_torn(self) -> bool:
        """Return whether the stream, which has ended, ended within a message."""
        ...
