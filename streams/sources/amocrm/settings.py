"""The settings of amoCRM: the table `[sources.amocrm]`."""

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
from streams.units import DAY_MS, MINUTE_MS, SECOND_MS

NAME: Final = "amocrm"
Label: TypeAlias = Annotated[str, Meta(min_length=1, max_length=100)]


class AmocrmSettings(Access, frozen=True, kw_only=True):
    """Access to the account, and its stages.

    - `address`: that of the account: `https://NAME.amocrm.ru`, or `https://NAME.kommo.com`.
    - `token`: a long-lived token of an integration of its own.
    - `stages`: those of the settings by the id of the account's status. 142 is won and 143 is lost, in every pipeline.
    - `calls`: count the notes of calls, which integrations of telephone systems write. Only where no other source has
      these calls.
    - `every`: the period of the poll. `since`: the span that the first one reads back.
    """

    address: SecretUrl = Secret()
    token: SecretForm = Secret()
    stages: Mapping[str, Label] = MappingProxyType({})
    calls: bool = False
    every_ms: Annotated[Span, Meta(ge=10 * SECOND_MS, le=DAY_MS)] = MINUTE_MS
    since_ms: Annotated[Span, Meta(ge=0, le=90 * DAY_MS)] = DAY_MS
    numbers: NumberRules = NumberRules()

    @property
    def is_asked(self) -> bool:
        """True if the settings suffice for a poll of the account."""
        return bool(self.address and self.token)

    def conflicts(self) -> Iterator[Conflict]:
        """Yield the problems that keep the poll from working."""
        if bool(self.address) != bool(self.token):
            yield ("address", "token"), "is needed beside the other: the account is asked with both"
        if any(has_number(name) for name in self.stages.values()):
            yield ("stages",), "has a stage that looks like a telephone number; these must not be published"
