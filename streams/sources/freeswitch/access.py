"""The settings of the event socket: where the PBX is, its password, and how patient the listener is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta, Struct

from streams.settings.fields import Secret, SecretForm, Span, Text
from streams.settings.reader import Conflict

_IS_NEEDED: Final = (
    "is needed with host: the password of event_socket.conf.xml; best as the variable "
    "CALLPULSE_SOURCES__FREESWITCH__ESL__PASSWORD"
)
Port: TypeAlias = Annotated[int, Meta(ge=1, le=65_535)]


class EslAccess(Struct, frozen=True, kw_only=True):
    """How to reach the event socket of one PBX. Without `host` nothing listens to it.

    `user` is a user of the directory, as `201@pbx.example`; without it the password is that of the socket itself.
    `subscription`: `calls` are the events of calls alone; with `all`, gaps of `Event-Sequence` show lost events.
    `queue_events` bounds the contract events that wait for Kafka; beyond it the listener hangs up until half of them
    are stored.
    """

    host: Annotated[str, Meta(max_length=255)] = ""
    port: Port = 8021
    user: Annotated[str, Meta(max_length=128)] = ""
    password: SecretForm = Secret()
    subscription: Literal["calls", "all"] = "calls"
    tls: bool = False
    ca_file: Text | None = None
    check_hostname: bool = True
    connect_timeout_ms: Annotated[Span, Meta(ge=100, le=300_000)] = 10_000
    ping_interval_ms: Annotated[Span, Meta(ge=100, le=300_000)] = 10_000
    ping_deadline_ms: Annotated[Span, Meta(ge=100, le=300_000)] = 10_000
    queue_events: Annotated[int, Meta(ge=100, le=10_000_000)] = 50_000

    def conflicts(self) -> Iterator[Conflict]:
        """Yield what two fields must not say together, and a password that cannot be sent."""
        if self.host != self.host.strip() or any(not char.isprintable() for char in self.host):
            yield ("host",), "is no name or address of a host"
        if self.host and not self.password:
            yield ("password", "host"), _IS_NEEDED
        if any(not char.isprintable() for char in self.password.reveal()):
            yield ("password",), "must not hold control characters"
        if any(not char.isprintable() or char.isspace() for char in self.user):
            yield ("user",), "must not hold spaces or control characters"
        if self.ca_file is not None and not self.tls:
            yield ("ca_file", "tls"), "has no effect: tls is false"
        if not self.check_hostname and not self.tls:
            yield ("check_hostname", "tls"), "has no effect: tls is false"
