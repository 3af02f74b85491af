"""The section `[gateway.http]`: limits, proxies and TLS of the HTTP way in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct

from streams.settings.access import Network
from streams.settings.fields import Secret, SecretForm, Span, Text, Url
from streams.settings.reader import Conflict

if TYPE_CHECKING:
    from collections.abc import Iterator


class GatewayHttp(Struct, frozen=True, kw_only=True):
    """The limits of requests, the trusted proxies, and TLS. Spans in milliseconds.

    `max_requests` and `max_request_bytes` bound all requests in flight; a source may have its share of them.
    `header_deadline` holds for a connection that is new, `idle_deadline` for one that waits for another request.
    `metrics` is true if this port serves /metrics too, beside the port of the state. `public_url` is the URL that
    senders use, for proxies whose headers do not name it. `web_config` is a file with TLS, and with passwords and
    tokens of those who read pages; senders have tokens of their own.
    """

    max_body_bytes: Annotated[int, Meta(ge=1 << 10, le=1 << 26)] = 1 << 20
    max_header_bytes: Annotated[int, Meta(ge=1 << 10, le=1 << 16)] = 8190
    max_requests: Annotated[int, Meta(ge=2, le=100_000)] = 512
    max_request_bytes: Annotated[int, Meta(ge=1 << 20, le=1 << 34)] = 1 << 26
    max_connections: Annotated[int, Meta(ge=2, le=100_000)] = 1_000
    header_deadline_ms: Annotated[Span, Meta(ge=100, le=300_000)] = 10_000
    body_deadline_ms: Annotated[Span, Meta(ge=100, le=300_000)] = 20_000
    idle_deadline_ms: Annotated[Span, Meta(ge=100, le=3_600_000)] = 90_000
    stop_delay_ms: Annotated[Span, Meta(ge=0, le=300_000)] = 0
    reuse_port: bool = False
    metrics: bool = True
    trusted_proxies: tuple[Network, ...] = ()
    forwarded: Literal["x-forwarded", "forwarded"] = "x-forwarded"
    public_url: Url = ""
    tls_certfile: Text | None = None
    tls_keyfile: Text | None = None
    tls_password: SecretForm = Secret()
    tls_client_cafile: Text | None = None
    web_config: Text | None = None

    def conflicts(self) -> Iterator[Conflict]:
        """Yield the contradictions between fields."""
        for name in ("tls_keyfile", "tls_client_cafile", "tls_password"):
            if getattr(self, name) and not self.tls_certfile:
                yield ("tls_certfile", name), f"is needed with {name}"
        if self.web_config and self.tls_certfile:
            yield (
                ("web_config", "tls_certfile"),
                "and tls_certfile both stand for TLS: keep one of them",
            )
        if self.max_request_bytes < 2 * self.max_body_bytes:
            yield ("max_request_bytes", "max_body_bytes"), "must hold two bodies of max_body_bytes at least"
