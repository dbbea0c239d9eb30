"""Requests to servers that users name: where they may go, and that they end."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from receiver import Receiver
from wayframe.certificates import LocalAuthority, server_context
from wayframe.outgoing import HttpSender
from wayframe.outgoing import http_sender as module
from wayframe.services.sending import OutgoingRequest, SendFailed

pytestmark = pytest.mark.anyio

LOOPBACK = ("127.0.0.0/8",)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Names that stand for addresses, as a name server says."""
    known: dict[str, tuple[str, ...]] = {}
    real = socket.getaddrinfo

    def look_up(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        text = host.decode() if isinstance(host, bytes) else host
        if text in known:
            return [found for address in known[text] for found in real(address, port, *rest, **more)]
        return real(host, port, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)

    def say(name: str, *addresses: str) -> None:
        known[name] = addresses

    return say


def request(url: str, **headers: str) -> OutgoingRequest:
    return OutgoingRequest("POST", url, {"Content-Type": "application/json", **headers}, b'{"a":1}')


async def refusal(sender: HttpSender, url: str) -> SendFailed:
    with pytest.raises(SendFailed) as raised:
        await sender.send(request(url))
    return raised.value


async def test_a_request_arrives_whole(receiver: Receiver, names: Callable[..., None]) -> None:
    names("hooks.example.com", "127.0.0.1")
    await HttpSender(LOOPBACK).send(
        request(f"http://hooks.example.com:{receiver.port}/in?x=1", Authorization="Bearer k")
    )
    (got,) = receiver.seen
    assert (got.method, got.path, got.json) == ("POST", "/in?x=1", {"a": 1})
    assert got.headers["host"] == f"hooks.example.com:{receiver.port}"
    assert got.headers["authorization"] == "Bearer k"


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "192.168.1.1", "169.254.169.254", "0.0.0.0", "::1", "fd00::1", "fe80::1",
     "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "100.64.0.1", "224.0.0.1"],
)  # fmt: skip
async def test_a_public_name_does_not_lead_inside(receiver: Receiver, names: Callable[..., None], address: str) -> None:
    names("hooks.example.com", address)
    failed = await refusal(HttpSender(()), f"http://hooks.example.com:{receiver.port}/")
    assert (failed.retry, "private_destinations" in failed.reason) == (False, True)
    assert receiver.seen == []


async def test_the_address_that_was_checked_is_dialled(
    receiver: Receiver, names: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that stands for something else the next time is asked for only once."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def once(host: Any, *rest: Any, **more: Any) -> Any:
        asked.append(str(host))
        return real("127.0.0.1" if host == "hooks.example.com" else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", once)
    await HttpSender(LOOPBACK).send(request(f"http://hooks.example.com:{receiver.port}/"))
    assert asked.count("hooks.example.com") == 1
    assert len(receiver.seen) == 1


async def test_a_host_may_be_allowed_by_name(receiver: Receiver, names: Callable[..., None]) -> None:
    names("relay.lan", "127.0.0.1")
    await HttpSender(("relay.lan",)).send(request(f"http://relay.lan:{receiver.port}/"))
    assert len(receiver.seen) == 1


async def test_of_two_addresses_the_next_is_tried(receiver: Receiver, names: Callable[..., None]) -> None:
    names("hooks.example.com", "127.0.0.2", "127.0.0.1")
    await HttpSender(LOOPBACK).send(request(f"http://hooks.example.com:{receiver.port}/"))
    assert len(receiver.seen) == 1


@pytest.mark.parametrize(
    ("status", "retry"), [(301, False), (307, False), (400, False), (404, False), (408, True), (429, True), (503, True)]
)
async def test_only_a_2xx_is_taken(receiver: Receiver, status: int, retry: bool) -> None:
    receiver.answers = [status]
    failed = await refusal(HttpSender(LOOPBACK), receiver.url)
    assert (failed.retry, str(status) in failed.reason) == (retry, True)
    assert [got.path for got in receiver.seen] == ["/"]  # a redirect leads nowhere


async def test_a_server_that_is_away_or_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WHOLE_S", 0.3)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        assert (await refusal(HttpSender(LOOPBACK), f"http://127.0.0.1:{port}/")).retry
        silent.listen()
        failed = await refusal(HttpSender(LOOPBACK), f"http://127.0.0.1:{port}/")
        assert (failed.retry, "no answer" in failed.reason) == (True, True)
    assert (await refusal(HttpSender(LOOPBACK), "http://no.such.name.invalid/")).retry


async def test_a_certificate_is_checked_against_the_name(
    tmp_path: Path, names: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = LocalAuthority(tmp_path, ["hooks.example.com"])
    authority.prepare(time.time())
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.authority))
    context: ssl.SSLContext = server_context(authority.certificate, authority.key)
    with Receiver(tls=context) as secure:
        for name in ("hooks.example.com", "other.example.com"):
            names(name, "127.0.0.1")
        sender = HttpSender(LOOPBACK)
        await sender.send(request(f"https://hooks.example.com:{secure.port}/"))
        assert len(secure.seen) == 1
        assert "no connection" in (await refusal(sender, f"https://other.example.com:{secure.port}/")).reason
        monkeypatch.delenv("SSL_CERT_FILE")
        assert (
            "no connection" in (await refusal(HttpSender(LOOPBACK), f"https://hooks.example.com:{secure.port}/")).reason
        )
