"""Sending one HTTP request: the name is resolved here, the address is checked, and that very address is dialled.

No redirect is followed, no proxy and no credential of this machine takes part, and everything has an end: the time of
the whole, and the bytes of the answer, of which only the status counts.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Collection

import httpx

from wayframe.model.addresses import may_dial, networks_among
from wayframe.services.sending import OutgoingRequest, SendFailed

_RESOLVE_S = 5.0
_WHOLE_S = 20.0
_ADDRESSES = 2
"""Addresses of one name that are tried."""
_HTTP = httpx.Timeout(10.0)
_MAY_PASS = (408, 425, 429)
"""Refusals that may be over later, besides all of 5xx."""


class HttpSender:
    """Sends requests for `services.HookCalls`."""

    def __init__(self, destinations: Collection[str]) -> None:
        """`destinations`: hosts and networks that may be dialled although they are not public."""
        self._hosts = frozenset(destinations)
        self._networks = networks_among(destinations)
        self._tls: ssl.SSLContext | None = None

    async def send(self, request: OutgoingRequest) -> None:
        """Send it once. Raises `SendFailed` unless the answer is a 2xx."""
        try:
            async with asyncio.timeout(_WHOLE_S):
                status = await self._status(request)
        except TimeoutError:
            raise SendFailed(f"no answer within {_WHOLE_S:g} s") from None
        if 300 <= status < 400:
            raise SendFailed(f"the server answered {status}: redirects are not followed", retry=False)
        if not 200 <= status < 300:
            raise SendFailed(f"the server answered {status}", retry=status >= 500 or status in _MAY_PASS)

    async def _status(self, request: OutgoingRequest) -> int:
        try:
            url = httpx.URL(request.url)
        except httpx.InvalidURL as error:
            raise SendFailed(f"this is no URL: {error}", retry=False) from None
        failed = SendFailed("the host is not known")
        host = url.raw_host.decode("ascii").rstrip(".")
        for address in await self._resolved(host, url.port or (443 if url.scheme == "https" else 80)):
            try:
                return await self._dial(request, url, host, address)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failed = SendFailed(f"no connection to the server: {type(error).__name__}")
            except httpx.HTTPError as error:
                raise SendFailed(f"the connection broke off: {type(error).__name__}") from None
        raise failed

    async def _dial(self, request: OutgoingRequest, url: httpx.URL, host: str, address: str) -> int:
        # A client each: a connection that is kept for an address could serve another name than it was checked for.
        async with (
            httpx.AsyncClient(verify=await self._context(), trust_env=False, timeout=_HTTP) as client,
            client.stream(
                request.method,
                url.copy_with(host=address),
                headers={"User-Agent": "wayframe", **request.headers, "Host": url.netloc.decode("ascii")},
                content=request.body,
                extensions={"sni_hostname": host},
            ) as answer,
        ):
            return answer.status_code

    async def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = await asyncio.to_thread(_trusting)
        return self._tls

    async def _resolved(self, host: str, port: int) -> list[str]:
        """Addresses of a host that may be dialled. Raises `SendFailed` where there are only others."""
        try:
            async with asyncio.timeout(_RESOLVE_S):
                found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, TimeoutError, UnicodeError):
            return []
        addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
        good = [text for text in addresses if host in self._hosts or self._may_dial(text)]
        if addresses and not good:
            raise SendFailed(
                "the host has no public address; private ones must be named in the setting private_destinations",
                retry=False,
            )
        return good[:_ADDRESSES]

    def _may_dial(self, text: str) -> bool:
        return may_dial(ipaddress.ip_address(text.partition("%")[0]), self._networks)


def _trusting() -> ssl.SSLContext:
    """The authorities of the public internet, and those this machine trusts besides."""
    context = httpx.create_ssl_context(trust_env=False)
    context.load_default_certs()
    return context
