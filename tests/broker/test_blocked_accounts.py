"""A blocked account, at every door: channels, devices, tokens, people, MQTT sessions, links; and all of it back."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from wire import Wire

from e2e.house import free_ports
from e2e.terminal import Terminal
from inside import InsideHouse, until
from wayframe.mqtt import Reason, Wish
from wayframe.mqtt.packets import Disconnect
from wayframe.simulator import bodies808 as b808
from wayframe.simulator.wire808 import Layout, Msg

MDVR = 5


class Branch:
    """A subaccount with a channel, two devices, a token, a person and a file."""

    def __init__(self, house: InsideHouse) -> None:
        self.house = house
        self.id = int(house.result("POST", "/platform/subaccounts", [{"name": "branch"}])[0]["id"])
        self.path = f"/platform/subaccounts/{self.id}"
        made = self.make("POST", "/platform/tokens", [{"ttl": 3600, "access": {"type": 1}}])
        self.key = str(made["key"])
        self.port = free_ports(1)[0]
        channel = {"protocol_id": 552, "configuration": {"port": str(self.port)}}
        self.channel = int(self.make("POST", "/gw/channels", [channel])["id"])
        self.devices = [self.device(f"1390000030{number}") for number in range(2)]
        person = {"identity": "bea@example.org", "password": "correct horse battery"}
        self.make("POST", "/platform/users", [person])
        self.login = person
        answer = house.send_file(self.devices[0], b"a file", "a.bin", {})
        self.file = f"/media/{answer.json()['result'][0]['uuid']}"
        link = house.ask("GET", f"/api/gallery/{self.devices[0]}/upload-url?filename=b.bin").json()["upload_url"]
        self.link = urlsplit(link).path

    def make(self, method: str, path: str, body: Any) -> dict[str, Any]:
        found = self.house.result(method, path, body, headers={"x-flespi-cid": str(self.id)})[0]
        assert isinstance(found, dict)
        return found

    def device(self, ident: str) -> int:
        body = {"device_type_id": MDVR, "configuration": {"ident": ident}}
        return int(self.make("POST", "/gw/devices", [body])["id"])

    def block(self, blocked: bool) -> None:
        self.house.result("PUT", self.path, {"blocked": blocked})

    def listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def put_link(self, content: bytes) -> int:
        return httpx.put(self.house.url + self.link, content=content, trust_env=False).status_code

    def logs_in(self) -> int:
        return self.house.ask("POST", "/api/auth/login", self.login, key="").status_code


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InsideHouse]:
    inside = InsideHouse(tmp_path_factory.mktemp("blocked"))
    yield inside
    inside.close()


def test_a_blocked_account_is_shut_at_every_door_and_opens_again(house: InsideHouse) -> None:
    branch, main_port = Branch(house), house.device_ports()["channel-1"]
    until(branch.listens)
    own = house.run(Terminal("13900000300", branch.port).sign_in())
    parents = house.run(Terminal("13900000301", main_port).sign_in())  # over a channel of the account above
    wire = Wire(house.node.mqtt.port, branch.key)
    assert wire.connect("branch", session_expiry_interval=600).reason == 0
    wire.subscribe(Wish("news", 1))
    session = house.ask("POST", "/api/auth/login", branch.login, key="").json()["token"]
    branch.block(True)
    house.run(own.closed())
    house.run(parents.closed())
    assert wire.take(Disconnect).reason == Reason.NOT_AUTHORIZED
    until(lambda: not branch.listens())
    refused = house.run(Terminal("13900000301", main_port).dial())
    house.run(registers(refused, accepted=False))
    assert house.ask("GET", "/gw/devices/all", key=branch.key).status_code == 403
    assert Wire(house.node.mqtt.port, branch.key).connect().reason == Reason.BANNED
    assert branch.logs_in() == 403
    bearer = {"Authorization": f"Bearer {session}"}
    assert house.ask("GET", f"/api/gallery/{branch.devices[0]}/stats", key="", headers=bearer).status_code == 403
    assert house.ask("POST", "/api/auth/refresh", key="", headers=bearer).status_code == 403
    assert house.ask("GET", branch.file, key="").status_code == 403
    assert house.ask("GET", branch.file).content == b"a file"  # the account above looks after it
    assert branch.put_link(b"over a link") == 403
    assert house.send_file(branch.devices[0], b"x", "x.bin", {}).status_code == 403
    names = {record["error_text"] for record in house.result("GET", "/gw/channels/1/logs") if "error_text" in record}
    assert "the account is blocked" in names

    branch.block(False)
    until(branch.listens)
    again = house.run(Terminal("13900000300", branch.port).sign_in())
    other = house.run(Terminal("13900000301", main_port).sign_in())
    assert house.result("GET", "/gw/devices/all?fields=connected", key=branch.key) == [{"connected": True}] * 2
    assert branch.logs_in() == 200
    assert house.ask("GET", branch.file, key="").content == b"a file"
    assert branch.put_link(b"over a link") == 200
    space = house.node.mqtt.broker.spaces.of(branch.id)
    until(lambda: not space.clients["branch"].who.revoked)
    back = Wire(house.node.mqtt.port, branch.key)
    assert back.connect("branch-2").reason == 0
    back.publish("news", b"while away", 1)
    back.close()
    returned = Wire(house.node.mqtt.port, branch.key)
    assert returned.connect("branch", clean=False, session_expiry_interval=600).session_present
    assert returned.message().payload == b"while away"
    for terminal in (again, other):
        terminal.close()
    returned.close()


def test_with_an_account_everything_below_it_is_shut(house: InsideHouse) -> None:
    top = int(house.result("POST", "/platform/subaccounts", [{"name": "top"}])[0]["id"])
    as_top = {"headers": {"x-flespi-cid": str(top)}}
    below = int(house.result("POST", "/platform/subaccounts", [{"name": "below"}], **as_top)[0]["id"])
    as_below = {"headers": {"x-flespi-cid": str(below)}}
    body = {"device_type_id": MDVR, "configuration": {"ident": "13900000310"}}
    house.result("POST", "/gw/devices", [body], **as_below)
    port = free_ports(1)[0]
    house.result("POST", "/gw/channels", [{"protocol_id": 552, "configuration": {"port": str(port)}}], **as_below)
    until(lambda: port in house.device_ports().values())
    terminal = house.run(Terminal("13900000310", port).sign_in())
    house.result("PUT", f"/platform/subaccounts/{top}", {"blocked": True})
    house.run(terminal.closed())
    until(lambda: port not in house.device_ports().values())
    house.result("PUT", f"/platform/subaccounts/{below}", {"name": "still shut"})
    assert port not in house.device_ports().values()
    house.result("PUT", f"/platform/subaccounts/{top}", {"blocked": False})
    until(lambda: port in house.device_ports().values())


def test_what_moves_to_another_account_is_cut_off_where_it_may_not_come(house: InsideHouse) -> None:
    left, right = (int(house.result("POST", "/platform/subaccounts", [{"name": n}])[0]["id"]) for n in ("l", "r"))
    port = free_ports(1)[0]
    as_left = {"headers": {"x-flespi-cid": str(left)}}
    body = {"protocol_id": 552, "configuration": {"port": str(port)}}
    channel = house.result("POST", "/gw/channels", [body], **as_left)[0]["id"]
    until(lambda: port in house.device_ports().values())
    made = {"device_type_id": MDVR, "configuration": {"ident": "13900000320"}}
    device = house.result("POST", "/gw/devices", [made], **as_left)[0]["id"]
    first = house.run(Terminal("13900000320", port).sign_in())
    house.result("PUT", f"/gw/devices/{device}/cid", {"cid": right})
    house.run(first.closed())
    house.result("PUT", f"/gw/devices/{device}/cid", {"cid": left})
    second = house.run(Terminal("13900000320", port).sign_in())
    house.result("PUT", f"/gw/channels/{channel}/cid", {"cid": right})
    house.run(second.closed())
    until(lambda: port in house.device_ports().values())
    house.run(registers(house.run(Terminal("13900000320", port).dial()), accepted=False))


async def registers(terminal: Terminal, *, accepted: bool) -> None:
    terminal.say(Msg.REGISTER, b808.register(b808.Identity(), Layout.V2013))
    answer = b808.parse_register_answer((await terminal.hear(Msg.REGISTER_ANSWER)).body)
    assert (answer.result == 0) is accepted
    terminal.close()
