"""The settings of Pipedrive: the table `[sources.pipedrive]`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Final, TypeAlias

from msgspec import Meta

from streams.phone_numbers import has_number
from streams.settings.access import Access
from streams.settings.fields import Secret, SecretForm, Span
from streams.settings.polls import SecretUrl
from streams.settings.reader import Conflict
from streams.sources.numbers import NumberRules
from streams.units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS

NAME: Final = "pipedrive"
Label: TypeAlias = Annotated[str, Meta(min_length=1, max_length=100)]


class PipedriveSettings(Access, frozen=True, kw_only=True):
    """Access to the account, authentication of its webhooks, and its stages.

    - `address`: that of the account: `https://NAME.pipedrive.com`. `token`: the API token of a user.
    - `user`, `password`: the HTTP authentication of the webhooks.
    - `stages`: those of the settings by the id of the account's stage. Won and lost are no stages there, but values of
      a deal's status.
    - `every`: the period of the poll. `since`: the span that the first one reads back. `sweep`: the period of the
      search for deleted deals.
    """

    address: SecretUrl = Secret()
    token: SecretForm = Secret()
    user: str = "callpulse"
    password: SecretForm = Secret()
    stages: Mapping[str, Label] = MappingProxyType({})
    every_ms: Annotated[Span, Meta(ge=10 * SECOND_MS, le=DAY_MS)] = 2 * MINUTE_MS
    since_ms: Annotated[Span, Meta(ge=0, le=30 * DAY_MS)] = DAY_MS
    sweep_ms: Annotated[Span, Meta(ge=MINUTE_MS, le=7 * DAY_MS)] = HOUR_MS
    numbers: NumberRules = NumberRules()

    @property
    def is_asked(self) -> bool:
        """True if the settings suffice for a poll of the account."""
        return bool(self.address and self.token)

    def conflicts(self) -> Iterator[Conflict]:
        """Yield the problems that keep the hook or the poll from working."""
        if bool(self.address) != bool(self.token):
            yield ("address", "token"), "is needed beside the other: the account is asked with both"
        if self.tokens and not self.password:
            yield ("password", "tokens"), "is needed beside tokens: the webhooks authenticate themselves with it"
        if any(has_number(name) for name in self.stages.values()):
            yield ("stages",), "has a stage that looks like a telephone number; these must not be published"
