"""Groups, rights by group, plugins and the bin, through the front door, over restarts of every kind."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from .house import House
from .terminal import Terminal

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


def as_token(house: House, access: dict[str, Any]) -> httpx.Client:
    """A client with a token of its own."""
    key = house.result("POST", "/platform/tokens", [{"ttl": 3600, "access": access}])[0]["key"]
    return httpx.Client(base_url=house.base, headers={"Authorization": key}, timeout=30, trust_env=False)


def ids(answer: httpx.Response) -> list[int]:
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["result"]]


async def test_groups_and_their_rights_outlive_a_kill(house: House) -> None:
    a, b = house.add_device("13900000001"), house.add_device("13900000002")
    north = house.result("POST", "/gw/groups", [{"name": "North"}])[0]["id"]
    house.result("POST", f"/gw/groups/{north}/devices/{a}")
    fields = [{"name": "driver.name", "type": "string", "required": True}]
    body = {"name": "drivers", "item_type": "item-fields", "configuration": {"fields": fields}}
    drivers = house.result("POST", "/gw/plugins", [body])[0]["id"]
    house.result("POST", f"/gw/plugins/{drivers}/devices/{a}", {"fields": {"driver.name": "Andrew Smith"}})
    acl = [
        {"uri": "gw/groups", "methods": ["GET"]},
        {"uri": "gw/devices", "methods": ["GET"], "ids": "in-groups"},
    ]
    client = as_token(house, {"type": 2, "acl": acl})

    def check() -> None:
        assert ids(client.get("/gw/devices/all")) == [a]
        assert client.get(f"/gw/devices/{b}").status_code == 404
        assert ids(client.get("/gw/devices/fields.driver.name=Andrew*")) == [a]
        assert ids(client.get(f"/gw/devices/groups.id={north}")) == [a]
        assert client.get(f"/gw/plugins/{drivers}").status_code == 403

    check()
    house.kill()
    house.start()
    client.base_url = httpx.URL(house.base)
    check()
    house.result("DELETE", f"/gw/groups/{north}/devices/all")
    assert ids(client.get("/gw/devices/all")) == []
    client.close()


async def test_a_device_leaves_for_the_bin_comes_back_and_dials_in_again(house: House) -> None:
    ident = "13900000003"
    device = house.add_device(ident, metadata={"fleet": "7"})
    house.result("PATCH", f"/gw/devices/{device}", {"configuration": {"packets_ttl": "3600"}})
    truck = await Terminal(ident, house.ports["signalling"]).sign_in()
    await asyncio.to_thread(house.until, lambda: house.connected(device), "the device connects")
    packets = house.result("GET", f"/gw/devices/{device}/packets")
    assert (packets[0]["direction"], packets[0]["data"][:6]) == ("in", "7e0100")
    house.result("POST", f"/gw/devices/{device}/messages", [{"timestamp": 1_700_000_000, "position.speed": 5}])
    assert house.result("DELETE", f"/gw/devices/{device}") == [{"id": device}]
    house.call("GET", f"/gw/devices/{device}", status=404)
    truck.close()
    refused = await Terminal(ident, house.ports["signalling"]).dial()
    refused.close()
    house.stop()
    house.start()
    lying = house.result("GET", f"/platform/deleted/origin=gw%2Fdevices%2F{device}")
    assert [(item["type"], item["item_id"]) for item in lying] == [(11, device)]
    house.result("POST", f"/platform/deleted/{lying[0]['id']}/restore")
    house.kill()
    house.start()
    assert house.result("GET", "/platform/deleted/all") == []
    assert house.result("GET", f"/gw/devices/{device}")[0]["metadata"]["fleet"] == "7"
    assert [m["position.speed"] for m in house.result("GET", f"/gw/devices/{device}/messages")] == [5]
    assert house.result("GET", f"/gw/devices/{device}/packets") == []
    again = await Terminal(ident, house.ports["signalling"]).sign_in()
    await asyncio.to_thread(house.until, lambda: house.connected(device), "the device connects again")
    again.close()
