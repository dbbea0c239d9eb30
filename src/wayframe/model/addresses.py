"""Which addresses this server may dial because somebody else says so: never its own house, unless its operator says so.

Ask about the address that is really dialled, after the name was resolved; a name may resolve to something else next
time.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_WRAPPING = (
    ipaddress.ip_network("64:ff9b::/96"),
    ipaddress.ip_network("64:ff9b:1::/48"),
    ipaddress.ip_network("2002::/16"),
    ipaddress.ip_network("2001::/32"),
    ipaddress.ip_network("::/96"),
)
"""IPv6 addresses that stand for an IPv4 address: NAT64, 6to4, Teredo, compatible ones."""


def networks(text: str) -> tuple[Network, ...]:
    """A comma list of addresses or networks. Raises ValueError."""
    return tuple(ipaddress.ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip())


def networks_among(destinations: Iterable[str]) -> tuple[Network, ...]:
    """The addresses and networks in a list that holds host names too."""
    found: list[Network] = []
    for text in destinations:
        try:
            found.append(ipaddress.ip_network(text, strict=False))
        except ValueError:
            continue  # a host name
    return tuple(found)


def may_dial(address: Address, allowed: Sequence[Network]) -> bool:
    """Whether it is a public address, or in one of the networks that are allowed besides."""
    real: Address = getattr(address, "ipv4_mapped", None) or address
    if any(real in network for network in allowed):
        return True
    if not real.is_global or real.is_multicast or real.is_reserved:
        return False
    return not any(real in network for network in _WRAPPING)
