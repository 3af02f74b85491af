"""The settings of Amazon Connect: the table `[sources.amazon_connect]`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, ClassVar, Final, TypeAlias

from msgspec import Meta

from streams.settings.access import Access
from streams.settings.fields import Secret, SecretForm
from streams.sources.numbers import NumberRules
from streams.units import DAY_MS

NAME: Final = "amazon_connect"
Label: TypeAlias = Annotated[str, Meta(min_length=1, max_length=100)]


class ConnectSettings(Access, frozen=True, kw_only=True):
    """Authentication of EventBridge, and facts that contact events lack.

    - `api_key`: the value of the connection's API key, in the header `api_key_header`. Empty: the token in the URL
      decides alone.
    - `number_tag`: the key of the contact tag that has the customer's number. Contact events have no number of their
      own; a flow can set a tag. Empty: calls have no lead.
    - `queues`: the name of each queue, by its ARN or by the id at the end of it.
    - `queue`: the name of the queue of a missed call whose queue is not named.
    """

    # EventBridge tries for a day.
    memory_ms: ClassVar[int] = DAY_MS

    api_key: SecretForm = Secret()
    api_key_header: Label = "X-Callpulse-Key"
    number_tag: str = ""
    queues: Mapping[str, Label] = MappingProxyType({})
    queue: Label = "inbound"
    numbers: NumberRules = NumberRules()
