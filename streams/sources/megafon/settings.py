"""The settings of MegaFon's virtual PBX, `[sources.megafon]`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final, Literal

from msgspec import Meta

from streams.phone_numbers import has_number
from streams.settings.access import Access
from streams.settings.fields import Secret, SecretForm, Zone
from streams.settings.polls import SecretUrl
from streams.settings.reader import Conflict
from streams.sources.numbers import NumberRules

NAME: Final = "megafon"


class MegafonSettings(Access, frozen=True, kw_only=True):
    """The table `[sources.megafon]`.

    - `crm_token`: the key of the CRM, which each request contains.
    - `api_url`, `api_key`: the address of the PBX and its key, for the history of calls.
    - `timezone`: the zone of `start`, for a PBX that writes local times in spite of their Z.
    - `duration`: whether `duration` is the talk, or the ringing (`wait`), too.
    - `default_queue`: the name of the queue of missed calls that name neither a group nor a user.
    """

    crm_token: SecretForm = Secret()
    api_url: SecretUrl = Secret()
    api_key: SecretForm = Secret()
    timezone: Zone | None = None
    duration: Literal["talk", "total"] = "talk"
    numbers: NumberRules = NumberRules(international=True)
    default_queue: Annotated[str, Meta(min_length=1, max_length=100)] = "inbound"

    def conflicts(self) -> Iterator[Conflict]:
        """Yield the problems that keep the hook from working."""
        if self.tokens and not self.crm_token.reveal():
            yield ("crm_token", "tokens"), "is needed beside tokens: it stands in each request"
        if bool(self.api_url) is not bool(self.api_key):
            yield ("api_url", "api_key"), "is needed together with api_key, or neither of them"
        if has_number(self.default_queue):
            yield ("default_queue",), "looks like a telephone number; these must not be published"
