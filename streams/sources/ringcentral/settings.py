"""The settings of RingCentral, `[sources.ringcentral]`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Final, TypeAlias

from msgspec import Meta

from streams.phone_numbers import has_number
from streams.settings.access import Access
from streams.settings.fields import Secret, SecretForm
from streams.settings.polls import SecretUrl
from streams.settings.reader import Conflict
from streams.sources.numbers import NumberRules

NAME: Final = "ringcentral"
Label: TypeAlias = Annotated[str, Meta(min_length=1, max_length=100)]


class RingCentralSettings(Access, frozen=True, kw_only=True):
    """The table `[sources.ringcentral]`.

    - `verification_token`: the token that the subscription was made with; it stands in a header of each notification.
    - `client_id`, `client_secret`, `jwt`: the app and the credential for the call log and the users.
    - `api_url`: the address of the API, if not RingCentral's own.
    - `queues`: the names of call queues, by the ids of their extensions.
    - `default_queue`: the name of a queue that neither the settings nor RingCentral names.
    """

    verification_token: SecretForm = Secret()
    client_id: str = ""
    client_secret: SecretForm = Secret()
    jwt: SecretForm = Secret()
    api_url: SecretUrl = Secret()
    numbers: NumberRules = NumberRules()
    queues: Mapping[str, Label] = MappingProxyType({})
    default_queue: Label = "inbound"

    @property
    def has_access(self) -> bool:
        """True if the settings suffice for a poll."""
        return bool(self.client_id and self.client_secret.reveal() and self.jwt.reveal())

    def conflicts(self) -> Iterator[Conflict]:
        """Yield the problems that keep the hook or the poll from working."""
        if self.tokens and not self.verification_token.reveal():
            yield ("verification_token", "tokens"), "is needed beside tokens: it stands in each notification"
        if not self.has_access and (self.client_id or self.client_secret.reveal() or self.jwt.reveal()):
            yield ("client_id", "client_secret", "jwt"), "are needed all three, or none of them"
        if any(has_number(name) for name in self.queues.values()):
            yield ("queues",), "has what looks like a telephone number; these must not be published"
        if has_number(self.default_queue):
            yield ("default_queue",), "looks like a telephone number; these must not be published"
