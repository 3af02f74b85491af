"""Signatures of Standard Webhooks: `webhook-id`, `webhook-timestamp`, `webhook-signature` (HMAC-SHA256).

A delivery that is replayed within the tolerance is authentic. It changes nothing: the ids of its events are known.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final, Literal, TypeAlias

from streams.settings.access import SIGNING
from streams.settings.fields import Secret
from streams.units import SECOND_MS

ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"
TOLERANCE_MS: Final = 5 * 60 * SECOND_MS
_MOST: Final = 16
"""The most signatures of a request that are checked. A sender that changes its secret sends two."""
_LONGEST_ID: Final = 256

Verdict: TypeAlias = Literal["valid", "missing", "stale", "wrong"]


def is_signed(headers: Mapping[str, str]) -> bool:
    """Return whether a request has a signature. Names of headers are in lower case."""
    return SIGNATURE in headers


def verdict(secrets: Sequence[Secret], headers: Mapping[str, str], body: bytes, now_ms: int) -> Verdict:
    """Return whether one of the `secrets` signed the `body` within the tolerance of `now_ms`.

    Each secret is compared with each signature, whatever the outcome of those before, so the time reveals nothing.
    """
    identifier, stamp, given = (headers.get(name, "") for name in (ID, TIMESTAMP, SIGNATURE))
    if not (identifier and stamp and given):
        return "missing"
    if len(identifier) > _LONGEST_ID or not (stamp.isascii() and stamp.isdigit() and len(stamp) <= len("9999999999")):
        return "wrong"
    signatures = [_decoded(part.removeprefix("v1,")) for part in given.split(" ")[:_MOST] if part.startswith("v1,")]
    signed = b".".join((identifier.encode("utf-8", "surrogateescape"), stamp.encode(), body))
    valid = False
    for secret in secrets:
        expected = hmac.new(_key(secret), signed, sha256).digest()
        for signature in signatures:
            valid |= hmac.compare_digest(expected, signature)
    if not valid:
        return "wrong"
    return "valid" if abs(now_ms - int(stamp) * SECOND_MS) <= TOLERANCE_MS else "stale"


def _key(secret: Secret) -> bytes:
    return base64.b64decode(secret.reveal().removeprefix(SIGNING))


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
