"""The settings of Zadarma and Novofon, `[sources.zadarma]`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final

from msgspec import Meta

from streams.phone_numbers import has_number
from streams.settings.access import Access
from streams.settings.fields import Secret, SecretForm, Zone
from streams.settings.polls import SecretUrl
from streams.settings.reader import Conflict
from streams.sources.numbers import NumberRules

NAME: Final = "zadarma"


class ZadarmaSettings(Access, frozen=True, kw_only=True):
    """The table `[sources.zadarma]`.

    - `secret`: the secret of the API keys, by which notifications and requests are signed.
    - `api_key`: the key beside it, for the statistics. Without it there is no poll.
    - `api_url`: the address of the statistics, if not Zadarma's own.
    - `statistics_timezone`: the zone of the moments in them, if not that of the account.
    - `timezone`: the zone of the account, in which Zadarma writes the beginning of a call.
    - `default_queue`: the name of the queue of unanswered calls; Zadarma names no queue.
    """

    secret: SecretForm = Secret()
    api_key: SecretForm = Secret()
    api_url: SecretUrl = Secret()
    statistics_timezone: Zone | None = None
    timezone: Zone | None = None
    numbers: NumberRules = NumberRules(international=True)
    default_queue: Annotated[str, Meta(min_length=1, max_length=100)] = "inbound"

    def conflicts(self) -> Iterator[Conflict]:
        """Yield the problems that keep the hook from working."""
        if self.tokens and not self.secret.reveal():
            yield ("secret", "tokens"), "is needed beside tokens: notifications are signed"
        if self.tokens and self.timezone is None:
            yield ("timezone", "tokens"), "is needed beside tokens: Zadarma writes local times"
        if self.api_key and not (self.secret and self.timezone is not None):
            yield ("api_key", "secret", "timezone"), "needs secret and timezone: the statistics are asked for with them"
        if has_number(self.default_queue):
            yield ("default_queue",), "looks like a telephone number; these must not be published"
