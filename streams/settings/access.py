"""Access of senders: the notation of tokens, networks and signing secrets, and the settings common to all senders."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from hashlib import sha256
from typing import Annotated, Final, TypeAlias

from msgspec import Struct

from streams.settings.fields import Secret
from streams.settings.reader import Parse, kind_of, quoted

HASHED: Final = "sha256:"
SIGNING: Final = "whsec_"
_HASH: Final = re.compile(r"sha256:[0-9a-f]{64}")
_SHORTEST_KEY: Final = 24
_LONGEST_KEY: Final = 64


def hashed(token: str) -> str:
    """Return the hash of a token, as written in the settings.

    A token is random and long, so one round of SHA-256 suffices.
    """
    return HASHED + sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def _token_hash(value: object) -> str:
    text = _string(value).strip()
    if _HASH.fullmatch(text) is None:
        # The value is not quoted: it may be the token itself.
        raise ValueError('is no hash of a token; `callpulse token new NAME` prints one: "sha256:" and 64 hex digits')
    return text


def _network(value: object) -> str:
    text = _string(value).strip()
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        raise ValueError(f'{quoted(text)} is no network; write for example "10.0.0.0/8" or "2001:db8::/32"') from None


def _signing_secret(value: object) -> Secret:
    text = _string(value).strip()
    try:
        key = base64.b64decode(text.removeprefix(SIGNING), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not text.startswith(SIGNING) or not _SHORTEST_KEY <= len(key) <= _LONGEST_KEY:
        raise ValueError(
            f'is no signing secret; it is "{SIGNING}" and {_SHORTEST_KEY} to {_LONGEST_KEY} random bytes in base64'
        )
    return Secret(text)


def _string(value: object) -> str:
    if not isinstance(value, str):
        # A Parse refuses every error with ValueError.
        raise ValueError(f"text was expected, not {kind_of(value)}")  # noqa: TRY004
    return str(value)


TokenHash: TypeAlias = Annotated[str, Parse(_token_hash)]
Network: TypeAlias = Annotated[str, Parse(_network)]
SigningSecret: TypeAlias = Annotated[Secret, Parse(_signing_secret)]


class Access(Struct, frozen=True, kw_only=True):
    """The access of the senders of a source. The form of a source that has a hook extends it.

    `tokens` are hashes; each of them is valid, so that a new token can be set before the old one goes. `networks` are
    those of allowed addresses of senders; none: all.
    """

    tokens: tuple[TokenHash, ...] = ()
    networks: tuple[Network, ...] = ()
