"""The settings of Mango Office, `[sources.mango]`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, TypeAlias

from msgspec import Meta

from streams.phone_numbers import has_number
from streams.settings.access import Access
from streams.settings.fields import Secret, SecretForm, Span
from streams.settings.polls import SecretUrl
from streams.settings.reader import Conflict
from streams.sources.numbers import NumberRules
from streams.units import HOUR_MS

Label: TypeAlias = Annotated[str, Meta(min_length=1, max_length=100)]


class MangoSettings(Access, frozen=True, kw_only=True):
    """The table `[sources.mango]`.

    - `api_key`, `api_salt`: the key of the PBX and the key of its signature, from the API connector.
    - `api_url`: the address of the statistics, if not Mango's own.
    - `queues`: the names of the groups, by their extensions. A group without a name keeps its extension.
    - `default_queue`: the name of the queue of missed calls outside any group.
    - `clock_ahead`: the span by which Mango's timestamps are ahead of UTC.
    """

    api_key: SecretForm = Secret()
    api_salt: SecretForm = Secret()
    api_url: SecretUrl = Secret()
    numbers: NumberRules = NumberRules(international=True)
    queues: Mapping[str, Label] = MappingProxyType({})
    default_queue: Label = "inbound"
    clock_ahead_ms: Annotated[Span, Meta(ge=0, le=14 * HOUR_MS)] = 0

    def conflicts(self) -> Iterator[Conflict]:
        """Yield the problems that keep the hook from working."""
        if self.tokens and not (self.api_key.reveal() and self.api_salt.reveal()):
            yield ("api_key", "api_salt", "tokens"), "is needed beside tokens, and so is api_salt: events are signed"
        if any(has_number(name) for name in self.queues.values()):
            yield ("queues",), "has what looks like a telephone number; these must not be published"
        if has_number(self.default_queue):
            yield ("default_queue",), "looks like a telephone number; these must not be published"
