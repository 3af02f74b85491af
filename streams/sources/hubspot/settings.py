"""The settings of HubSpot: the table `[sources.hubspot]`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, ClassVar, Final, TypeAlias

from msgspec import Meta

from streams.phone_numbers import has_number
from streams.settings.access import Access
from streams.settings.fields import Secret, SecretForm, Span
from streams.settings.polls import SecretUrl
from streams.settings.reader import Conflict
from streams.sources.numbers import NumberRules
from streams.units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS

NAME: Final = "hubspot"
Label: TypeAlias = Annotated[str, Meta(min_length=1, max_length=100)]


class HubspotSettings(Access, frozen=True, kw_only=True):
    """Access to the account, signatures of its webhooks, and its stages.

    - `token`: the access token of a private app.
    - `client_secret`: the key of the webhooks' signatures. `public_url`: the URL as HubSpot has it, if the gateway sees
      another one.
    - `stages`: those of the settings by the id of the account's stage. For others, the account decides what is won or
      lost.
    - `every`: the period of the poll. `since`: the span that the first one reads back. `sweep`: the period of the
      search for deleted deals.
    """

    # HubSpot tries a webhook for a day.
    memory_ms: ClassVar[int] = DAY_MS

    token: SecretForm = Secret()
    client_secret: SecretForm = Secret()
    public_url: str = ""
    stages: Mapping[str, Label] = MappingProxyType({})
    every_ms: Annotated[Span, Meta(ge=10 * SECOND_MS, le=DAY_MS)] = MINUTE_MS
    since_ms: Annotated[Span, Meta(ge=0, le=90 * DAY_MS)] = DAY_MS
    sweep_ms: Annotated[Span, Meta(ge=MINUTE_MS, le=7 * DAY_MS)] = HOUR_MS
    api_url: SecretUrl = Secret("https://api.hubapi.com")
    numbers: NumberRules = NumberRules()

    def conflicts(self) -> Iterator[Conflict]:
        """Yield the problems that keep the hook or the poll from working."""
        if self.tokens and not (self.client_secret and self.token):
            yield (
                ("client_secret", "tokens"),
                "is needed beside tokens, and so is token: a webhook is signed, and only starts a poll",
            )
        if any(has_number(name) for name in self.stages.values()):
            yield ("stages",), "has a stage that looks like a telephone number; these must not be published"
