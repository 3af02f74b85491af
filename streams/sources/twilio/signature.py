"""The signature of a callback: base64 of HMAC-SHA1 over the URL and the sorted fields of the form.

Source: Twilio, "Validating requests". Twilio signs over the URL with or without its port, so both are tried, as its own
libraries do. Empty fields are signed, too.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha1
from typing import Final
from urllib.parse import parse_qsl, urlsplit, urlunsplit

FORM: Final = "application/x-www-form-urlencoded"
MOST_FIELDS: Final = 500
_PORTS: Final[Mapping[str, int]] = {"https": 443, "http": 80}

Fields = Sequence[tuple[str, str]]


def fields_of(body: bytes) -> Fields | None:
    """Return the fields of a form in their order, empty ones too; None for another body or too many fields."""
    try:
        return parse_qsl(
            body.decode("ascii", "surrogateescape"),
            keep_blank_values=True,
            errors="surrogateescape",
            max_num_fields=MOST_FIELDS,
        )
    except ValueError:
        return None


def is_signed(signature: str, key: str, url: str, fields: Fields) -> bool:
    """Return whether a signature is that of a callback. No signature is valid with an empty key."""
    if not key:
        return False
    given = signature.encode("utf-8", "surrogateescape")
    # Every value of a name, each once, in their order: as Twilio's libraries write them.
    text = "".join(name + value for name, value in sorted(set(fields)))
    signed = [hmac.compare_digest(given, _signature(key, one + text)) for one in _spellings(url)]
    return any(signed)


def _signature(key: str, text: str) -> bytes:
    return base64.b64encode(hmac.new(key.encode(), text.encode("utf-8", "surrogateescape"), sha1).digest())


def _spellings(url: str) -> Iterator[str]:
    """Yield a URL as it is, and with or without the port that its scheme implies."""
    yield url
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return
    usual = _PORTS.get(parts.scheme)
    if usual is None:
        return
    if port is None:
        yield urlunsplit(parts._replace(netloc=f"{parts.netloc}:{usual}"))
    elif port == usual:
        yield urlunsplit(parts._replace(netloc=parts.netloc.rpartition(":")[0]))
