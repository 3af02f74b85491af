"""The section `[gateway]`: settings common to all commands that take events in from other systems."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from streams.settings.fields import Span, Text
from streams.settings.gateway_http import GatewayHttp
from streams.settings.polls import GatewayPolls
from streams.settings.reader import Conflict

if TYPE_CHECKING:
    from collections.abc import Iterator


class Gateway(Struct, frozen=True, kw_only=True):
    """The ports, the spool and the limits of a process of the way in. Spans in milliseconds.

    `status_web_config` is a file with TLS, passwords and tokens of the port of the state. `max_in_flight` counts events
    that are not answered yet. `spool_max_bytes` and `memory_bytes` hold per process.
    """

    http_host: Text = "127.0.0.1"
    http_port: Annotated[int, Meta(ge=0, le=65_535)] = 8790
    status_host: Text = "127.0.0.1"
    status_port: Annotated[int, Meta(ge=0, le=65_535)] = 8791
    status_web_config: Text | None = None
    data_dir: Text = "var/callpulse-gateway"
    spool_max_bytes: Annotated[int, Meta(ge=1 << 20, le=1 << 40)] = 1 << 30
    spool_after_ms: Annotated[Span, Meta(ge=10, le=60_000)] = 1_000
    deadline_ms: Annotated[Span, Meta(ge=100, le=300_000)] = 10_000
    max_in_flight: Annotated[int, Meta(ge=500, le=1_000_000)] = 20_000
    memory_bytes: Annotated[int, Meta(ge=1 << 16, le=1 << 34)] = 1 << 26
    memory_rebuild_ms: Annotated[Span, Meta(ge=0, le=86_400_000)] = 600_000
    http: GatewayHttp = GatewayHttp()
    polls: GatewayPolls = GatewayPolls()

    def conflicts(self) -> Iterator[Conflict]:
        """Yield the contradictions between fields."""
        if self.spool_after_ms >= self.deadline_ms:
            yield (
                ("spool_after_ms", "deadline_ms"),
                "must be shorter than deadline, or nothing is spooled in time",
            )
