"""The settings of the event socket: address, password and timeouts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final, Literal

from msgspec import Meta

from streams.settings.fields import Secret, SecretForm
from streams.settings.reader import Conflict
from streams.sources.live import LinkAccess, Port

_IS_NEEDED: Final = (
    "is needed with host: the password of event_socket.conf.xml; best as the variable "
    "CALLPULSE_SOURCES__FREESWITCH__ESL__PASSWORD"
)


class EslAccess(LinkAccess, frozen=True, kw_only=True):
    """The connection to the event socket of one PBX. Without `host` there is no listener.

    `user` is a user of the directory, as `201@pbx.example`; without it the password is that of the socket itself.
    `subscription`: `calls` are the events of calls alone; with `all`, gaps of `Event-Sequence` show lost events.
    """

    port: Port = 8021
    user: Annotated[str, Meta(max_length=128)] = ""
    password: SecretForm = Secret()
    subscription: Literal["calls", "all"] = "calls"

    def conflicts(self) -> Iterator[Conflict]:
        """Yield the contradictions between fields, and a password that cannot be sent."""
        yield from super().conflicts()
        if self.host and not self.password:
            yield ("password", "host"), _IS_NEEDED
        if any(not char.isprintable() for char in self.password.reveal()):
            yield ("password",), "must not hold control characters"
        if any(not char.isprintable() or char.isspace() for char in self.user):
            yield ("user",), "must not hold spaces or control characters"
