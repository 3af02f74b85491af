"""The origin of a request behind any number of proxies: the sender's address and the public URL.

Headers of proxies count only from a trusted proxy, and only those of the kind that the settings name: a proxy passes
headers of the other kind on as a client wrote them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import Final, Literal, NamedTuple, TypeAlias

from agents.web.addresses import Address, address_of

Network: TypeAlias = IPv4Network | IPv6Network
Kind: TypeAlias = Literal["x-forwarded", "forwarded"]

_MOST_HOPS: Final = 16
_LONGEST: Final = 4096
_PAIR: Final = re.compile(r'\s*([A-Za-z]+)=("[^"\\]*"|[^\s";,]*)\s*')
_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?")
_SCHEMES: Final = ("http", "https")


class Origin(NamedTuple):
    """The sender's address of a request (None: not known), and the scheme and host that the sender used."""

    address: Address | None
    scheme: str
    host: str


class _Hop(NamedTuple):
    address: Address | None
    scheme: str = ""
    host: str = ""


class Proxies:
    """The trusted proxies. `networks` are theirs, `kind` is the kind of headers that they set."""

    def __init__(self, networks: Iterable[str], kind: Kind = "x-forwarded") -> None:
        self._networks = networks_of(networks)
        self._hops = _x_forwarded if kind == "x-forwarded" else _forwarded

    def origin(self, peer: str | None, scheme: str, host: str, headers: Mapping[str, str]) -> Origin:
        """Return the origin of a request. `peer` is the address of the connection. Names of headers: lower case."""
        address = address_of(peer or "")
        found = Origin(address, scheme, host if _HOST.fullmatch(host) else "")
        if address is None or not self._are_trusted(address):
            return found
        for hop in reversed(self._hops(headers)):
            found = Origin(
                hop.address,
                hop.scheme if hop.scheme in _SCHEMES else found.scheme,
                hop.host if _HOST.fullmatch(hop.host) else found.host,
            )
            if hop.address is None or not self._are_trusted(hop.address):
                break
        return found

    def _are_trusted(self, address: Address) -> bool:
        return is_within(address, self._networks)


def networks_of(texts: Iterable[str]) -> tuple[Network, ...]:
    """Return networks that the settings have checked."""
    return tuple(ipaddress.ip_network(text) for text in texts)


def is_within(address: Address | None, networks: Sequence[Network]) -> bool:
    """Return whether an address is in one of the networks."""
    return address is not None and any(address in network for network in networks)


def _x_forwarded(headers: Mapping[str, str]) -> list[_Hop]:
    """Return the hops of X-Forwarded-For. Scheme and host are those of the request to the last proxy before us."""
    addresses = headers.get("x-forwarded-for", "")[-_LONGEST:].split(",")[-_MOST_HOPS:]
    if addresses == [""]:
        return []
    scheme = headers.get("x-forwarded-proto", "").rpartition(",")[2].strip().lower()
    host = headers.get("x-forwarded-host", "").rpartition(",")[2].strip()
    return [_Hop(address_of(text), scheme, host) for text in addresses]


def _forwarded(headers: Mapping[str, str]) -> list[_Hop]:
    """Return the hops of Forwarded (RFC 7239)."""
    hops = []
    for element in headers.get("forwarded", "")[-_LONGEST:].split(",")[-_MOST_HOPS:]:
        pairs = {}
        for part in element.split(";"):
            if (pair := _PAIR.fullmatch(part)) is not None:
                pairs[pair[1].lower()] = pair[2].strip('"')
        if pairs:
            hops.append(_Hop(address_of(pairs.get("for", "")), pairs.get("proto", "").lower(), pairs.get("host", "")))
    return hops
