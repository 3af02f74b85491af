"""The settings of Bitrix24: the table `[sources.bitrix24]`."""

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

NAME: Final = "bitrix24"
Label: TypeAlias = Annotated[str, Meta(min_length=1, max_length=100)]


class Bitrix24Settings(Access, frozen=True, kw_only=True):
    """Access to the portal, and its stages.

    - `webhook`: the address of the incoming webhook, a secret.
    - `application_token`: the token in requests of the outgoing webhook.
    - `stages`: those of the settings by the portal's `STAGE_ID`. The portal's semantics decide what is won and lost.
    - `calls`, `deals`: whether they are read.
    - `every`: the period of the poll. `since`: the span that the first one reads back.
    - `sweep`: the period of the check whether known deals still exist.
    - `per_second`, `burst`: the limit of the portal's plan, minus the share of other applications of the portal.
    - `queue`: the name of the queue of missed calls without a user in the portal.
    """

    webhook: SecretUrl = Secret()
    application_token: SecretForm = Secret()
    stages: Mapping[str, Label] = MappingProxyType({})
    calls: bool = True
    deals: bool = True
    every_ms: Annotated[Span, Meta(ge=10 * SECOND_MS, le=DAY_MS)] = MINUTE_MS
    since_ms: Annotated[Span, Meta(ge=0, le=90 * DAY_MS)] = DAY_MS
    sweep_ms: Annotated[Span, Meta(ge=MINUTE_MS, le=7 * DAY_MS)] = HOUR_MS
    per_second: Annotated[float, Meta(gt=0, le=5)] = 2.0
    burst: Annotated[int, Meta(ge=1, le=250)] = 25
    queue: Label = "inbound"
    numbers: NumberRules = NumberRules(international=True)

    def conflicts(self) -> Iterator[Conflict]:
        """Yield the problems that keep the hook or the poll from working."""
        if self.tokens and not self.application_token:
            yield ("application_token", "tokens"), "is needed beside tokens: the outgoing webhook shows it"
        if not (self.calls or self.deals):
            yield ("calls", "deals"), "is off, and so is deals: there is nothing to read"
        if any(has_number(name) for name in (self.queue, *self.stages.values())):
            yield ("queue", "stages"), "or a stage looks like a telephone number; these must not be published"
