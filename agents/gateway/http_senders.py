"""The senders of `/v1/events`: identified by token, signature or client certificate, and bound to allowed networks."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from agents.gateway.http_addresses import Network, is_within, networks_of
from agents.gateway.http_problems import ProblemError
from agents.web.addresses import Address
from streams.settings.access import Access, hashed
from streams.settings.fields import Secret
from streams.sources.http import signatures
from streams.sources.senders import HttpSender

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="callpulse"'}
_SCHEME = "bearer"


class Sender(NamedTuple):
    """A sender by its settings."""

    name: str
    has_tokens: bool
    secrets: tuple[Secret, ...]
    networks: tuple[Network, ...]
    certificates: tuple[str, ...]


class Tokens:
    """The hashes of the tokens of all sources."""

    def __init__(self, sources: Mapping[str, Access]) -> None:
        self._hashes = [(name, one.encode()) for name, held in sources.items() for one in held.tokens]

    def owner(self, token: str) -> str | None:
        """Return the source that owns the token. All hashes are compared, so the time taken reveals nothing."""
        given = hashed(token).encode()
        found = None
        for name, one in self._hashes:
            if hmac.compare_digest(given, one):
                found = name
        return found


class Senders:
    """The senders of `/v1/events`. `identified` comes before the body, `signed` after it."""

    def __init__(self, senders: Mapping[str, HttpSender]) -> None:
        self._tokens = Tokens(senders)
        self._senders = {
            name: Sender(name, bool(one.tokens), one.secrets, networks_of(one.networks), one.certificates)
            for name, one in senders.items()
        }

    def identified(
        self, headers: Mapping[str, str], address: Address | None, certificate: Sequence[str]
    ) -> Sender | None:
        """Return the sender that the headers identify. None: only the signature of the body can identify it.

        `certificate` has the names of the client certificate. Names of headers are in lower case.

        Raises:
            ProblemError: the headers identify no sender, or one that may not send from there.
        """
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == _SCHEME:
            sender = self._senders.get(self._tokens.owner(token.strip()) or "")
            if sender is None:
                raise ProblemError("unauthenticated", "the token is not known", headers=_CHALLENGE)
        elif signatures.is_signed(headers):
            return None
        else:
            sender = self._by_certificate(certificate)
            if sender is None:
                raise ProblemError("unauthenticated", headers=_CHALLENGE)
        _check(sender, address, certificate)
        if sender.secrets and not signatures.is_signed(headers):
            raise ProblemError("signature-invalid", "the signature of this sender is missing", source=sender.name)
        return sender

    def signed(
        self,
        sender: Sender | None,
        headers: Mapping[str, str],
        body: bytes,
        now_ms: int,
        address: Address | None,
        certificate: Sequence[str],
    ) -> Sender:
        """Return the sender that signed the body: `sender`, if it is known, or else one that has secrets and no tokens.

        Raises:
            ProblemError: the signature is of no sender, of one that may not send from there, or too old.
        """
        if sender is not None:
            return _verified([sender], headers, body, now_ms) if sender.secrets else sender
        found = _verified((one for one in self._senders.values() if one.secrets), headers, body, now_ms)
        if found.has_tokens:
            raise ProblemError(
                "unauthenticated", "this sender shows a token, too", headers=_CHALLENGE, source=found.name
            )
        _check(found, address, certificate)
        return found

    def _by_certificate(self, certificate: Sequence[str]) -> Sender | None:
        """Return the sender of this certificate that has neither tokens nor secrets."""
        for sender in self._senders.values():
            if not (sender.has_tokens or sender.secrets) and set(sender.certificates) & set(certificate):
                return sender
        return None


def _check(sender: Sender, address: Address | None, certificate: Sequence[str]) -> None:
    """Raise ProblemError for a sender that comes from elsewhere, or with another certificate."""
    if sender.networks and not is_within(address, sender.networks):
        raise ProblemError("network-not-allowed", source=sender.name)
    if sender.certificates and not set(sender.certificates) & set(certificate):
        raise ProblemError("certificate-not-allowed", source=sender.name)


def _verified(senders: Iterable[Sender], headers: Mapping[str, str], body: bytes, now_ms: int) -> Sender:
    found: Sender | None = None
    stale = False
    for sender in senders:
        verdict = signatures.verdict(sender.secrets, headers, body, now_ms)
        if verdict == "valid":
            found = sender
        stale |= verdict == "stale"
    if found is None:
        raise ProblemError(
            "signature-invalid",
            "the signature is older than 5 minutes, or from the future" if stale else "the signature is nobody's here",
        )
    return found
