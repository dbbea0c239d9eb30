"""Which URLs a user may store for the server to call later: none that lead into the server's own network.

Only the text is looked at. Whoever calls the URL must check the address its host resolves to as well
(`addresses.may_dial`), at every call, for names change what they stand for.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from .addresses import Address, may_dial, networks_among
from .errors import BadRequest

_MAX_URL = 2048
_LOCAL_NAMES = ("localhost", "local", "internal", "intranet", "lan", "home", "corp")
"""Top-level names that only mean something inside a network; the first also stands alone."""


def check_url(
    url: str, where: str, *, schemes: Collection[str] = ("https", "http"), allowed: Collection[str] = ()
) -> str:
    """The URL, if it may be stored. Raises `BadRequest` that names the field `where` and the rule.

    Args:
        allowed: hosts, and networks (`10.0.0.0/8`), that the operator lets users name although they are private.
    """
    if len(url) > _MAX_URL or any(character <= " " or character == "\x7f" for character in url) or "\\" in url:
        raise BadRequest(f"`{where}` must be a URL of at most {_MAX_URL} characters without blanks and backslashes")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError as error:
        raise BadRequest(f"`{where}` is not a URL: {error}") from None
    if parts.scheme not in schemes:
        raise BadRequest(f"`{where}` must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    if not host or port == 0 or "%" in parts.netloc:
        raise BadRequest(f"`{where}` names no host")
    if "@" in parts.netloc:
        raise BadRequest(f"`{where}` must not hold a name or password: send an Authorization header instead")
    if not _host_allowed(host, allowed):
        raise BadRequest(
            f"`{where}` leads to {host!r}, inside a private network; the operator may allow it (private_destinations)"
        )
    return url


def _host_allowed(host: str, allowed: Collection[str]) -> bool:
    if host in allowed:
        return True
    address = _address(host)
    if address is not None:
        return may_dial(address, networks_among(allowed))
    # A number that is not written as an address is one to some resolvers all the same (2130706433, 0x7f.1).
    labels = host.split(".")
    if labels[-1][:1].isdigit() or labels[-1].startswith("0x"):
        return False
    return len(labels) > 1 and labels[-1] not in _LOCAL_NAMES


def _address(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
