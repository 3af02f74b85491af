"""What all live links have in common: the dialogue of a connection, and how to reach the other side.

A session is pure: bytes in, bytes out. Whoever has the connection moves them, watches the clock and connects again.
"""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

Cause: TypeAlias = Literal["wrong_server", "unsupported", "refused"]


class CannotListenError(Exception):
    """The other side cannot be listened to before somebody changes something. The text says what to do.

    After `refused` (the login was) another attempt soon would be one more failed login in the other side's log.
    """

    def __init__(self, cause: Cause, text: str) -> None:
        super().__init__(text)
        self.cause: Cause = cause


class LinkAccess(Protocol):
    """How to reach the other side, and how patient to be. Settings of sources have these fields."""

    @property
    def host(self) -> str: ...  # noqa: D102 - as the setting
    @property
    def port(self) -> int: ...  # noqa: D102
    @property
    def tls(self) -> bool: ...  # noqa: D102
    @property
    def ca_file(self) -> str | None: ...  # noqa: D102
    @property
    def check_hostname(self) -> bool: ...  # noqa: D102
    @property
    def connect_timeout_ms(self) -> int: ...  # noqa: D102
    @property
    def ping_interval_ms(self) -> int: ...  # noqa: D102
    @property
    def ping_deadline_ms(self) -> int: ...  # noqa: D102
    @property
    def queue_events(self) -> int: ...  # noqa: D102


class Session(Protocol):
    """The dialogue of one connection. Each session takes the stream by a method of its own, `receive`.

    - `is_up`: the login was accepted.
    - `waits_for_ping`: a ping is not answered yet.
    - `said_goodbye`: the other side ended the session in good order.
    - `clock_ahead_ms`: its clock minus ours, None while that is not known.
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
        """Ask for an answer."""
        ...

    def log_off(self) -> None:
        """End the session in good order."""
        ...

    def is_torn(self) -> bool:
        """Return whether the stream, which has ended, ended within a message."""
        ...
