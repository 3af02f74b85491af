"""The settings of the manager interface: where the PBX is, who logs in, and how patient the listener is."""

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
    """How to reach the manager interface of one PBX. Without `host` nothing listens to it.

    `login` is how the secret is sent: `md5` answers a challenge, so that it is not on the wire; `plain` sends it.
    """

    port: Port = 5038
    username: Text = "callpulse"
    secret: SecretForm = Secret()
    login: Literal["md5", "plain"] = "md5"

    def conflicts(self) -> Iterator[Conflict]:
        """Yield what two fields must not say together, and a secret that cannot be sent."""
        yield from super().conflicts()
        if self.host and not self.secret:
            yield ("secret", "host"), _IS_NEEDED
        if any(not char.isprintable() for char in self.secret.reveal()):
            yield ("secret",), "must not hold control characters"
