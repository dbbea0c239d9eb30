"""Log records say who did it: the token or person, the application, the address (rest-api.md 1.5, 6.5)."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from inside import InsideHouse, until

RECORDER_TYPE = 5
APP = {"x-flespi-app": "desk", "x-flespi-trace": "case-7"}


@pytest.fixture(scope="module")
def token(house: InsideHouse) -> dict[str, Any]:
    found: dict[str, Any] = house.result("POST", "/platform/tokens", [{"ttl": 3600, "info": "desk"}])[0]
    return found


def recorder(house: InsideHouse, ident: str) -> int:
    body = {"device_type_id": RECORDER_TYPE, "configuration": {"ident": ident}}
    return int(house.result("POST", "/gw/devices", [body])[0]["id"])


def last(house: InsideHouse, device: int, code: int) -> dict[str, Any]:
    """The newest record of a kind in a device's log; records are written some milliseconds after the answer."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        path = house.data(f"/gw/devices/{device}/logs", filter=f"event_code=={code}", reverse=True, count=1)
        if found := house.result("GET", path):
            assert isinstance(found[0], dict)
            return found[0]
    raise AssertionError(f"no record {code}")


def by(record: dict[str, Any]) -> dict[str, Any]:
    return {name: record[name] for name in ("token_id", "user_id", "app", "trace", "host") if name in record}


def whole(token: dict[str, Any]) -> dict[str, Any]:
    return {"token_id": token["id"], "app": "desk", "trace": "case-7", "host": "127.0.0.1"}


def test_files_name_who_uploaded_changed_and_deleted_them(house: InsideHouse, token: dict[str, Any]) -> None:
    device, headers = house.device("who-files"), {**APP, "Authorization": f"FlespiToken {token['key']}"}
    form = {"file": ("a.bin", b"bytes"), "data": (None, "{}")}
    url = f"{house.url}/gw/devices/{device}/media"
    uuid = httpx.post(url, files=form, headers=headers, trust_env=False).json()["result"][0]["uuid"]
    assert by(last(house, device, 24)) == whole(token)
    house.result("PUT", f"/gw/devices/{device}/media", {"uuid": uuid, "protected": True}, headers=headers)
    assert by(last(house, device, 25)) == whole(token)
    house.result("DELETE", f"/gw/devices/{device}/media", {"uuid": uuid}, headers=headers)
    assert by(last(house, device, 26)) == whole(token)


def test_commands_name_who_queued_and_who_canceled_them(house: InsideHouse, token: dict[str, Any]) -> None:
    device = recorder(house, "139000000101")
    path, body = f"/gw/devices/{device}/commands-queue", [{"name": "take_photo", "properties": {"channel": 1}}]
    made = house.result("POST", path, body, key=token["key"], headers=APP)[0]
    assert by(last(house, device, 330)) == whole(token)
    house.result("DELETE", f"{path}/{made['id']}")
    canceled = by(last(house, device, 332))
    assert canceled["token_id"] != token["id"]
    assert canceled["host"] == "127.0.0.1"
    assert "app" not in canceled
    now = [{**body[0], "timeout": 5}]
    house.result("POST", f"/gw/devices/{device}/commands", now, key=token["key"], headers=APP)
    assert by(last(house, device, 336)) == whole(token)


def test_settings_and_items_name_who_changed_them(house: InsideHouse, token: dict[str, Any]) -> None:
    device = recorder(house, "139000000102")
    path, body = f"/gw/devices/{device}/settings/parameters", {"properties": {"report_interval": 30}}
    house.result("PUT", path, body, key=token["key"], headers=APP)
    assert by(last(house, device, 330)) == whole(token)
    house.result("DELETE", house.data(path, pending=True), key=token["key"], headers=APP)
    assert by(last(house, device, 332)) == whole(token)
    house.result("PUT", f"/gw/devices/{device}", {"name": "renamed"}, key=token["key"], headers=APP)
    assert by(last(house, device, 2)) == whole(token)


def test_the_gallery_names_people_and_whoever_gave_out_a_link(house: InsideHouse, token: dict[str, Any]) -> None:
    device = house.device("who-gallery")
    body = {"identity": "anna@example.org", "password": "correct horse battery"}
    user = house.result("POST", "/platform/users", [body])[0]
    session = house.ask("POST", "/api/auth/login", body, key="").json()["token"]
    bearer = {"Authorization": f"Bearer {session}", **APP}
    files = {"event": ("x", b"by a person")}
    url = f"{house.url}/api/gallery/{device}"
    made = httpx.post(f"{url}/upload", data={"name": "a.bin"}, files=files, headers=bearer, trust_env=False).json()
    person = {"user_id": user["id"], "app": "desk", "trace": "case-7", "host": "127.0.0.1"}
    assert by(last(house, device, 24)) == person
    assert httpx.delete(f"{url}/events/{made['eventId']}", headers=bearer, trust_env=False).status_code == 200
    assert by(last(house, device, 26)) == person
    link = house.ask("GET", f"/api/gallery/{device}/upload-url?filename=b.bin", key=token["key"]).json()["upload_url"]
    path = urlsplit(link).path
    assert httpx.put(house.url + path, content=b"over a link", trust_env=False).status_code == 200
    assert by(last(house, device, 24)) == {"token_id": token["id"], "host": "127.0.0.1"}


def test_nobody_stands_where_time_did_it(house: InsideHouse) -> None:
    seen: list[dict[str, Any]] = []

    async def listen() -> None:
        house.node.bus.listen("flespi/log/platform/tokens/+/deleted", lambda event: seen.append(event.payload))

    house.run(listen())
    made = house.result("POST", "/platform/tokens", [{"expire": time.time() + 0.1}])[0]
    until(lambda: any(record["origin_id"] == made["id"] for record in seen))
    (record,) = [record for record in seen if record["origin_id"] == made["id"]]
    assert by(record) == {}
    assert record["reason"] == "its time is over"
