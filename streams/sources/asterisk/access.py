"""The settings of the manager interface: where the PBX is, who logs in, and how patient the listener is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta, Struct

from streams.settings.fields import Secret, SecretForm, Span, Text
from streams.settings.reader import Conflict

_IS_NEEDED: Final = (
    "is needed with host: the secret of this user in manager.conf; best as the variable "
    "CALLPULSE_SOURCES__ASTERISK__AMI__SECRET"
)
Port: TypeAlias = Annotated[int, Meta(ge=1, le=65_535)]


class AmiAccess(Struct, frozen=True, kw_only=True):
    """How to reach the manager interface of one PBX. Without `host` nothing listens to it.

    `login` is how the secret is sent: `md5` answers a challenge, so that it is not on the wire; `plain` sends it.
    `queue_events` bounds the contract events that wait for Kafka; beyond it the listener hangs up until half of them
    are stored.
    """

    host: Annotated[str, Meta(max_length=255)] = ""
    port: Port = 5038
    username: Text = "callpulse"
    secret: SecretForm = Secret()
    login: Literal["md5", "plain"] = "md5"
    tls: bool = False
    ca_file: Text | None = None
    check_hostname: bool = True
    connect_timeout_ms: Annotated[Span, Meta(ge=100, le=300_000)] = 10_000
    ping_interval_ms: Annotated[Span, Meta(ge=100, le=300_000)] = 10_000
    ping_deadline_ms: Annotated[Span, Meta(ge=100, le=300_000)] = 10_000
    queue_events: Annotated[int, Meta(ge=100, le=10_000_000)] = 50_000

    def conflicts(self) -> Iterator[Conflict]:
        """Yield what two fields must not say together, and a secret that cannot be sent."""
        if self.host != self.host.strip() or any(not char.isprintable() for char in self.host):
            yield ("host",), "is no name or address of a host"
        if self.host and not self.secret:
            yield ("secret", "host"), _IS_NEEDED
        if any(not char.isprintable() for char in self.secret.reveal()):
            yield ("secret",), "must not hold control characters"
        if self.ca_file is not None and not self.tls:
            yield ("ca_file", "tls"), "has no effect: tls is false"
        if not self.check_hostname and not self.tls:
            yield ("check_hostname", "tls"), "has no effect: tls is false"
