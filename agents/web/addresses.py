"""The addresses of clients, and what tells clients apart that are not known."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import Final, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address

_CLIENT_BITS: Final = 64


def client_of(address: Address | None) -> str:
    """Return what tells clients apart that are not known: the address, or the network of 64 bits of an IPv6 address.

    A client of IPv6 mostly has such a network to itself, with as many addresses as it likes.
    """
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, _CLIENT_BITS), strict=False))
    return "unknown" if address is None else str(address)


@lru_cache(maxsize=4096)  # a sender sends many requests
def address_of(text: str) -> Address | None:
    """Return an address, with or without a port and brackets. An IPv4 address within IPv6 is the IPv4 address."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
