"""The settings of the manager interface: address, login and timeouts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from streams.settings.fields import Secret, SecretForm, Text
from streams.settings.reader import Conflict
from streams.sources.live import LinkAccess, Port

_IS_NEEDED: Final = (
    "is needed with host: the secret of this user in manager.conf; best as the variable "
    "CALLPULSE_SOURCES__ASTERISK__AMI__SECRET"
)


class AmiAccess(LinkAccess, frozen=True, kw_only=True):
    """The connection to the manager interface of one PBX. Without `host` there is no listener.

    `login` is the form of the login: `md5` answers a challenge, so that the secret is not sent; `plain` sends it.
    """

    port: Port = 5038
    username: Text = "callpulse"
    secret: SecretForm = Secret()
    login: Literal["md5", "plain"] = "md5"

    def conflicts(self) -> Iterator[Conflict]:
        """Yield the contradictions between fields, and a secret that cannot be sent."""
        yield from super().conflicts()
        if self.host and not self.secret:
            yield ("secret", "host"), _IS_NEEDED
        if any(not char.isprintable() for char in self.secret.reveal()):
            yield ("secret",), "must not hold control characters"
