"""The settings of Aircall, `[sources.aircall]`."""

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

NAME: Final = "aircall"
Label: TypeAlias = Annotated[str, Meta(min_length=1, max_length=100)]


class AircallSettings(Access, frozen=True, kw_only=True):
    """The table `[sources.aircall]`.

    - `webhook_token`: the token that Aircall made for the webhook; each request contains it.
    - `api_id`, `api_token`: the API key for the list of calls and the users.
    - `api_url`: the address of the API, if not Aircall's own.
    - `queues`: the names of Aircall's numbers, by their ids: the queues of missed calls. One without a name is
      `default_queue`.
    """

    webhook_token: SecretForm = Secret()
    api_id: str = ""
    api_token: SecretForm = Secret()
    api_url: SecretUrl = Secret()
    numbers: NumberRules = NumberRules()
    queues: Mapping[str, Label] = MappingProxyType({})
    default_queue: Label = "inbound"

    def conflicts(self) -> Iterator[Conflict]:
        """Yield the problems that keep the hook or the poll from working."""
        if self.tokens and not self.webhook_token.reveal():
            yield ("webhook_token", "tokens"), "is needed beside tokens: it stands in each request"
        if bool(self.api_id) is not bool(self.api_token.reveal()):
            yield ("api_id", "api_token"), "is needed together with api_token, or neither of them"
        if any(has_number(name) for name in self.queues.values()):
            yield ("queues",), "has what looks like a telephone number; these must not be published"
        if has_number(self.default_queue):
            yield ("default_queue",), "looks like a telephone number; these must not be published"
