"""Every way into the gallery makes the same file, seen in both APIs and on MQTT; a drop outlives kill -9."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image

from .house import House

sys.path.insert(0, str(Path(__file__).parents[1] / "broker"))
from mqtt_clients import PahoClient  # the folder of the MQTT tests is no package

pytestmark = pytest.mark.slow
RECORDED = 1_790_000_000
ASPECTS = "name,size,mime,sha256,source_sha256,protected,shared"


def picture() -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (320, 200), (20, 120, 40)).save(target, "JPEG")
    return target.getvalue()


def by_rest(house: House, device: int, content: bytes) -> None:
    data = json.dumps({"type": "image", "meta": {"created": RECORDED, "channel": 1}})
    parts = {"file": ("photo.jpg", content), "data": (None, data)}
    assert house.client.post(f"/gw/devices/{device}/media", files=parts, headers=house.headers).status_code == 200


def by_form(house: House, device: int, content: bytes) -> None:
    said = {"name": "photo.jpg", "metadata": json.dumps({"timestamp": RECORDED, "channel": 1})}
    files = {"event": ("x", content)}
    url = f"/api/gallery/{device}/upload"
    assert house.client.post(url, data=said, files=files, headers=house.headers).status_code == 200


def by_link(house: House, device: int, content: bytes) -> None:
    link = house.call("GET", f"/api/gallery/{device}/upload-url?filename=photo.jpg")
    assert house.client.put(urlsplit(link["upload_url"]).path, content=content).status_code == 200


def by_folder(house: House, device: int, content: bytes) -> None:
    incoming = Path(house.call("GET", f"/api/gallery/{device}/paths")["paths"]["incoming"])
    (incoming / "photo.jpg.json").write_text(json.dumps({"timestamp": RECORDED, "channel": 1}))
    (incoming / "photo.jpg").write_bytes(content)


WAYS: dict[str, Callable[[House, int, bytes], None]] = {
    "rest": by_rest, "form": by_form, "link": by_link, "folder": by_folder
}  # fmt: skip


def test_every_way_makes_the_same_file(house: House) -> None:
    devices = {way: house.add_device(f"86000000000091{number}") for number, way in enumerate(WAYS)}
    content = picture()
    listener = PahoClient(house.ports["mqtt"], house.key).open()
    with contextlib.closing(listener):
        listener.subscribe("flespi/log/gw/devices/+/media_file_uploaded")
        listener.subscribe("flespi/message/gw/devices/+")
        for way, send in WAYS.items():
            send(house, devices[way], content)
        told: dict[int, dict[str, Any]] = {}
        while len(told) < 4 or any(len(kinds) < 2 for kinds in told.values()):
            topic, payload = listener.next()[:2]
            body = json.loads(payload)
            if topic.startswith("flespi/log/"):
                told.setdefault(int(topic.split("/")[4]), {})["log"] = body
            else:
                told.setdefault(int(topic.split("/")[4]), {})["message"] = body
    files = {way: house.result("GET", f"/gw/devices/{device}/media")[0] for way, device in devices.items()}
    query = f'?data={{"fields":"{ASPECTS}"}}'
    aspects = [house.result("GET", f"/gw/devices/{device}/media{query}") for device in devices.values()]
    assert all(aspect == aspects[0] for aspect in aspects)
    assert aspects[0][0]["size"] == len(content)
    previews = set()
    for way, device in devices.items():
        file = files[way]
        (event,) = house.call("GET", f"/api/gallery/{device}/events")
        assert (event["uuid"], event["name"], event["size"], event["media_type"], event["has_thumbnail"]) == (
            file["uuid"], "photo.jpg", len(content), "image", True
        )  # fmt: skip
        log, message = told[device]["log"], told[device]["message"]
        assert (log["event_code"], log["uuid"]) == (24, file["uuid"])
        assert (message["media"], message["timestamp"]) == (True, file["created"])
        assert message["media.image.1"]["uuid"] == file["uuid"]
        if way != "link":  # a link has no metadata: its file counts as recorded when it came
            assert (file["created"], file["meta"]["channel"]) == (RECORDED, 1)
        previews.add(house.client.get(f"/media/{file['uuid']}?preview=jpeg").content)
        assert house.client.get(f"/media/{file['uuid']}").content == content
        house.result("DELETE", f"/gw/devices/{device}/media", {"uuid": file["uuid"]})
        assert house.call("GET", f"/api/gallery/{device}/events") == []
    assert len(previews) == 1


def test_kill_in_the_middle_of_a_drop_loses_and_doubles_nothing(house: House) -> None:
    device = house.add_device("860000000000920")
    base = f"/api/gallery/{device}"
    incoming = Path(house.call("GET", f"{base}/paths")["paths"]["incoming"])
    for number in range(200):
        (incoming / f"file{number:03}.txt").write_bytes(b"content %d " % number * 1000)

    def stored() -> int:
        return int(house.call("GET", f"{base}/stats")["total_events"])

    for least in (5, 60):
        house.until(lambda least=least: stored() >= least, f"{least} files are here", 60)
        house.kill()
        house.start()
    house.until(lambda: not any(incoming.iterdir()), "everything is claimed", 90)
    house.until(lambda: stored() >= 200, "everything is here", 60)
    claimed = incoming.parent / ".claimed"
    house.until(lambda: not any(claimed.iterdir()), "everything is at its end", 90)
    events = house.call("GET", f"{base}/events?limit=1000")
    assert sorted(event["name"] for event in events) == [f"file{number:03}.txt" for number in range(200)]
    assert len(house.result("GET", f"/gw/devices/{device}/media")) == 200
    assert len(list((incoming.parent / "processed").iterdir())) == 200
    assert not (incoming.parent / "failed").exists() or not any((incoming.parent / "failed").iterdir())
    for number in (0, 57, 199):
        file = house.client.get(f"{base}/events/file{number:03}/file", headers=house.headers)
        assert file.content == b"content %d " % number * 1000


def test_a_token_in_an_address_is_never_written_down(open_house: Callable[..., House]) -> None:
    house = open_house(gallery_url_tokens="on", gallery_public_dir="/mnt/share/drop/")
    device = house.add_device("860000000000930")
    paths = house.call("GET", f"/api/gallery/{device}/paths")["paths"]
    assert {*paths.values()} == {f"/mnt/share/drop/{device}/{name}" for name in ("incoming", "thumbnails")}
    by_form(house, device, b"content")
    (event,) = house.call("GET", f"/api/gallery/{device}/events")
    (made,) = house.result("POST", "/platform/tokens", [{"ttl": 3600, "access": {"type": 0}}])
    for form, status in (("file", 200), ("thumbnail", 404)):
        for query in (f"token={made['key']}", f"x=1&token={made['key']}", f"token={made['key'][:-1]}x"):
            path = f"/api/gallery/{device}/events/{event['id']}/{form}?{query}"
            answer = house.client.get(path)
            assert answer.status_code == (401 if query.endswith("x") else status)
            assert made["key"] not in answer.text
    assert house.stop() == 0
    written = house.log.read_text(errors="replace")
    assert made["key"][:16] not in written
