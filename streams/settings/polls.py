"""Settings of polls: the section `[gateway.polls]`, and the address of a system in a source's own table."""

from __future__ import annotations

import re
from typing import Annotated, Final, TypeAlias

from msgspec import Meta, Struct

from streams.settings.fields import Secret, Span, Text
from streams.settings.reader import Parse, kind_of

_ADDRESS: Final = re.compile(r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.%]+\])(?::[0-9]{1,5})?(?:/[^\s?#@]*)?")


def _secret_url(value: object) -> Secret:
    if not isinstance(value, str):
        # A Parse refuses every error with ValueError.
        raise ValueError(f"text was expected, not {kind_of(value)}")  # noqa: TRY004
    text = value.strip()
    if text and _ADDRESS.fullmatch(text) is None:
        # The value is not quoted: its path may be a secret.
        raise ValueError('is no address; it begins with "https://", and has no "?", "#", "@" or space')
    return Secret(text)


SecretUrl: TypeAlias = Annotated[Secret, Parse(_secret_url)]
"""An address that may be a secret itself, such as that of an incoming webhook. Empty: not set."""


class GatewayPolls(Struct, frozen=True, kw_only=True):
    """The limits of requests to other systems, and the way to them. Spans in milliseconds.

    `proxy` is the address of an HTTP proxy; proxies of the environment are not used. `cafile` has the trusted
    authorities, which replace the default ones.
    """

    enabled: bool = True
    deadline_ms: Annotated[Span, Meta(ge=100, le=300_000)] = 30_000
    max_body_bytes: Annotated[int, Meta(ge=1 << 16, le=1 << 28)] = 1 << 24
    proxy: SecretUrl = Secret()
    cafile: Text | None = None
