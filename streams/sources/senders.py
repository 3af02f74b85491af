"""The settings of a sender of events to the open way in, `[sources.http.NAME]`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, TypeAlias

from msgspec import Meta

from streams.settings.access import Access, SigningSecret
from streams.settings.reader import Conflict

Subject: TypeAlias = Annotated[str, Meta(min_length=1, max_length=128)]


class HttpSender(Access, frozen=True, kw_only=True):
    """A sender of events to `/v1/events`: the table `[sources.http.NAME]`.

    With `tokens` it sends one, with `secrets` it signs as Standard Webhooks does, with `certificates` its client
    certificate has one of these names (common name or DNS name). It must fulfil each of them that is set.
    """

    secrets: tuple[SigningSecret, ...] = ()
    certificates: tuple[Subject, ...] = ()

    def conflicts(self) -> Iterator[Conflict]:
        """Yield the reasons why no sender, or any sender, could send."""
        if not (self.tokens or self.secrets or self.certificates):
            yield (
                ("tokens", "secrets", "certificates"),
                "is empty, and so are secrets and certificates: set one of them",
            )
