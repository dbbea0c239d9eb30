"""The calls of MediaBox and TachoBox, in their order (rest-api.md 11, 12), from a page in Chromium over TLS.

The page (client/) uses fetch and MQTT.js only and trusts the server by its installed certificate authority. MediaBox
carries the token of an embedding application: rights on devices with six submodules and nothing else.
"""

from __future__ import annotations

import base64
import re
import shutil
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from applications import EMBEDDED, FILE_FIELDS, App, MediaBox, opened, picture
from playwright.sync_api import Browser, sync_playwright
from trusting import origin, secure_house, served, trusting_browser

from e2e.house import House, driving
from wayframe.simulator import CameraConfig, Codec, VehicleConfig, VideoFormat

pytestmark = [pytest.mark.browser, pytest.mark.slow]

MODULES = Path(__file__).parents[2] / "web" / "node_modules"
IDENT = "13900000077"
SMALL = VideoFormat(Codec.H264, 480, 270, 15, 300, 15)
CAMERAS = (CameraConfig(1, SMALL, SMALL), CameraConfig(2, SMALL, SMALL))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = secure_house(tmp_path_factory.mktemp("house"))
    try:
        yield house.start()
    finally:
        house.close()


@pytest.fixture(scope="module")
def device(house: House) -> Iterator[int]:
    """A recorder with two cameras on the road."""
    device = house.add_device(IDENT, name="Truck 1")
    config = VehicleConfig(
        ident=IDENT, port=house.ports["signalling"], cameras=CAMERAS, name="Truck 1", report_s=2.0, playback_pace=0.0,
        drives_off=True,
    )  # fmt: skip
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(driving(config)):
        house.until(partial(house.connected, device), "the vehicle connects")
        yield device


@pytest.fixture(scope="module")
def trusting(house: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = trusting_browser(playwright, tmp_path_factory.mktemp("home"), house)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def page_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The application's own origin, on the same host."""
    folder = tmp_path_factory.mktemp("client")
    shutil.copytree(Path(__file__).parent / "client", folder, dirs_exist_ok=True)
    shutil.copy(MODULES / "mqtt" / "dist" / "mqtt.min.js", folder / "mqtt.js")
    shutil.copy(MODULES / "hls.js" / "dist" / "hls.min.js", folder / "hls.js")
    with served(folder) as address:
        yield address


@pytest.fixture(scope="module")
def watcher(trusting: Browser, page_address: str, house: House) -> App:
    """Who hears everything there is, from before the first call."""
    app = App(opened(trusting, page_address), house.key)
    app.do("regions", origin(house))
    app.do("connect", "watcher")
    app.do("subscribe", "flespi/#", {"qos": 1})
    return app


@pytest.fixture(scope="module")
def mediabox(watcher: App, trusting: Browser, page_address: str, house: House, device: int) -> MediaBox:
    clip = {"name": "request_video", "properties": {"channel": 1, "from": int(time.time()) - 90, "duration": 5}}
    house.result("POST", f"/gw/devices/{device}/commands", [{**clip, "timeout": 60}])
    token = house.result("POST", "/platform/tokens", [{"info": "embedded", "ttl": 3600, "access": EMBEDDED}])[0]["key"]
    return MediaBox(opened(trusting, page_address), house, device, token)


@pytest.fixture
def clip(mediabox: MediaBox) -> dict[str, Any]:
    """The clip that was there when the page was loaded."""
    return next(file for file in mediabox.loaded["media"] if file["meta"]["type"] == "video")


# ---- MediaBox: page load


def test_regions_tell_every_address(mediabox: MediaBox, house: House) -> None:
    region = mediabox.loaded["region"]
    assert region["rest"] == origin(house)
    assert region["media"] == f"{origin(house)}/media"
    assert f"https://{region['mqtt-ws']}" == origin(house)
    assert region["mqtt-ws"].partition(":")[0] == "localhost"


def test_the_connection_is_told_its_token(mediabox: MediaBox) -> None:
    token = mediabox.loaded["token"]
    assert token["access"]["type"] == 2
    assert token["access"]["acl"] == EMBEDDED["acl"]
    assert token["cid"] > 0
    assert "key" not in token


def test_the_device_and_the_list_of_devices(mediabox: MediaBox) -> None:
    (device,) = mediabox.loaded["device"]
    assert (device["id"], device["name"], device["configuration"]["ident"]) == (mediabox.device, "Truck 1", IDENT)
    (listed,) = mediabox.loaded["devices"]
    assert set(listed) == {"id", "name", "cid", "configuration", "media_size", "connected", "device_type_id"}
    assert listed["connected"] is True and listed["media_size"] > 0


def test_the_type_names_what_the_device_can_do(mediabox: MediaBox) -> None:
    (kind,) = mediabox.loaded["types"]
    assert kind["id"] == mediabox.loaded["device"][0]["device_type_id"]
    assert {"request_video", "take_photo", "start_videostream", "video_timeline", "playback_video"} <= set(
        mediabox.commands
    )
    assert all(command["schema"]["properties"] is not None for command in mediabox.commands.values())


def test_the_list_of_files(mediabox: MediaBox, clip: dict[str, Any]) -> None:
    assert set(clip) == set(FILE_FIELDS.split(","))
    assert clip["meta"]["channel"] == 1 and clip["meta"]["duration"] > 1
    assert isinstance(clip["created"], int | float)
    assert "?" not in clip["url"] and clip["url"].startswith("https://")
    created = [file["created"] for file in mediabox.media()]
    assert created == sorted(created), "oldest first"
    assert mediabox.media(filter="created>1&&created<2") == []


def test_the_state_of_the_connection_comes_retained(mediabox: MediaBox) -> None:
    mine = mediabox.until(lambda: mediabox.heard(mediabox.connections), "the connection is told")
    assert mine[0]["retain"] is True
    assert mine[0]["payload"]["meta"] is None and mine[0]["payload"]["secondary"] is False


def test_thumbnails(mediabox: MediaBox, clip: dict[str, Any]) -> None:
    width, height = mediabox.do("image", clip["uuid"])
    assert width > 0 and height > 0


# ---- MediaBox: actions


def test_a_video_is_played_in_ranges(mediabox: MediaBox, clip: dict[str, Any], tmp_path: Path) -> None:
    whole = mediabox.do("fetchLink", clip["uuid"], "", {"Range": "bytes=0-"})
    assert (whole["status"], whole["length"]) == (206, clip["size"])
    assert whole["headers"]["content-range"] == f"bytes 0-{clip['size'] - 1}/{clip['size']}"
    middle = mediabox.do("fetchLink", clip["uuid"], "", {"Range": "bytes=4-11"})
    assert (middle["status"], middle["begin"][:4]) == (206, "ftyp")
    mediabox.do("play", clip["uuid"], "clip")
    mediabox.screen.folder = tmp_path
    mediabox.screen.plays(1.5)
    mediabox.screen.shows_a_picture("clip")
    mediabox.do("leave")


def test_an_upload_by_its_form(mediabox: MediaBox) -> None:
    answer = mediabox.do("get", "/gw/api.json")
    schema = answer["definitions"]["media.file.post"]
    said = mediabox.do("form", schema, {"type": "image"})
    assert said["type"] == "image"
    answer = mediabox.do("upload", mediabox.device, picture(), "photo.jpg", said)
    (file,) = answer["result"]
    record = mediabox.record_of(file["uuid"], 24)
    assert (record["name"], record["mime"], record["meta"]["type"]) == ("photo.jpg", "image/jpeg", "image")
    assert mediabox.do("image", file["uuid"]) == [64, 48]
    assert mediabox.do("fetchLink", file["uuid"])["status"] == 200


def test_lock_unlock_delete(mediabox: MediaBox) -> None:
    path = f"/gw/devices/{mediabox.device}/media"
    (file,) = mediabox.do("upload", mediabox.device, picture(), "short-lived.jpg", {"type": "image"})["result"]
    for protected in (True, False):
        (changed,) = mediabox.result("PUT", path, {"uuid": file["uuid"], "protected": protected})
        assert changed["protected"] is protected
        mediabox.record_of(file["uuid"], 25, protected=protected)
    mediabox.result("DELETE", path, {"uuid": file["uuid"]})
    assert mediabox.do("fetchLink", file["uuid"])["status"] == 404
    assert file["uuid"] not in {each["uuid"] for each in mediabox.media()}


def test_a_video_is_requested_and_arrives(mediabox: MediaBox, tmp_path: Path) -> None:
    begin = time.time() - 60.5
    command = mediabox.send("request_video", {"channel": 2, "from": begin, "duration": 5})
    response = mediabox.outcome(command, "request_video")
    assert set(response) >= {"uuid", "url", "name", "mime", "size", "created", "meta"}
    assert response["meta"]["command_id"] == command
    record = mediabox.record_of(response["uuid"], 24)
    assert record["url"] == response["url"]
    (result,) = mediabox.get(f"/gw/devices/{mediabox.device}/commands-result/{command}")
    assert result["executed"] is True and result["response"]["uuid"] == response["uuid"]
    mediabox.do("play", response["uuid"], "arrived")
    mediabox.screen.folder = tmp_path
    mediabox.screen.plays(1.5)
    mediabox.screen.shows_a_picture("arrived")
    mediabox.do("leave")


def test_a_photo_is_taken(mediabox: MediaBox) -> None:
    response = mediabox.outcome(mediabox.send("take_photo", {"channel": 1}), "take_photo")
    assert response["meta"]["type"] == "image"
    assert mediabox.do("image", response["uuid"])[0] > 100


def test_a_command_that_waits_is_canceled(mediabox: MediaBox, house: House) -> None:
    """For a device that is away; the client follows it by its own subscriptions."""
    away = house.add_device("13900000078")
    line = mediabox.do("subscribe", f"flespi/log/gw/devices/{away}/commands-queue/+/+")
    state = mediabox.do("subscribe", f"flespi/state/gw/devices/{away}/commands-queue/+")
    body = [{"name": "take_photo", "properties": {"channel": 1}, "ttl": 600}]
    (command,) = mediabox.result("POST", f"/gw/devices/{away}/commands-queue", body)
    mediabox.result("DELETE", f"/gw/devices/{away}/commands-queue/{command['id']}")
    mediabox.until(lambda: [one["payload"] for one in mediabox.heard(state)][-1:] == [None], "it leaves the queue")
    steps = [one["topic"].rpartition("/")[2] for one in mediabox.heard(line)]
    assert steps == ["queued", "canceled"]


def streams(mediabox: MediaBox) -> dict[int, dict[str, Any]]:
    """Open connections that carry live video, as the retained state told: id → descriptor."""
    known: dict[int, dict[str, Any]] = {}
    for one in mediabox.heard(mediabox.connections):
        number = int(one["topic"].rpartition("/")[2])
        if one["payload"] is None:
            known.pop(number, None)
        elif one["payload"]["meta"]:
            known[number] = one["payload"]["meta"]["mediastream"]
    return known


def test_a_live_wall_of_two_cameras(mediabox: MediaBox, tmp_path: Path) -> None:
    started = {
        channel: mediabox.send("start_videostream", {"channel": channel, "mediastream": "hls"}) for channel in (1, 2)
    }
    for channel, command in started.items():
        response = mediabox.outcome(command, "start_videostream")
        assert response["mediastream"] == "hls"
        shown = next(each for each in streams(mediabox).values() if each["uuid"] == response["uuid"])
        assert (shown["channel"], shown["command_id"]) == (channel, command)
        assert shown["video_codec"] and shown["width"] and shown["mime"] == "application/x-mpegURL"
        playlist = mediabox.do("fetchLink", response["uuid"])
        assert playlist["status"] == 200 and playlist["begin"].startswith("#EXTM3U")
        assert playlist["headers"]["content-type"].startswith("application/vnd.apple.mpegurl")
        about = mediabox.about(response["uuid"])
        assert (about["meta"]["type"], about["mime"]) == ("mediastream", "application/x-mpegURL")
        mediabox.do("wall", response["uuid"], f"camera{channel}")
    for channel in started:
        mediabox.moves(f"camera{channel}", 1.5)
    mediabox.screen.folder = tmp_path
    for channel in started:
        mediabox.screen.shows_a_picture(f"camera{channel}", f"#camera{channel}")
    for uuid in [each["uuid"] for each in streams(mediabox).values()]:
        width, _ = mediabox.do("image", uuid)
        assert width > 0
    mediabox.do("leave")
    for connection in list(streams(mediabox)):
        mediabox.result("DELETE", f"/gw/devices/{mediabox.device}/connections/{connection}")
    mediabox.until(lambda: not streams(mediabox), "both streams have ended")


def test_a_live_camera_as_flv(mediabox: MediaBox) -> None:
    command = mediabox.send("start_videostream", {"channel": 1, "mediastream": "flv"})
    response = mediabox.outcome(command, "start_videostream")
    assert response["mediastream"] == "flv"
    flow = mediabox.do("flv", response["uuid"])
    assert flow["begin"] == "FLV" and flow["length"] >= 20000
    for connection in list(streams(mediabox)):
        mediabox.result("DELETE", f"/gw/devices/{mediabox.device}/connections/{connection}")
    mediabox.until(lambda: not streams(mediabox), "the stream has ended")


def test_the_timeline(mediabox: MediaBox) -> None:
    now = int(time.time())
    command = mediabox.send("video_timeline", {"from": now - 3600, "to": now, "channel": 1})
    response = mediabox.outcome(command, "video_timeline")
    assert isinstance(response, list) and response
    for span in response:
        assert span["channel"] == 1 and span["begin"] < span["end"]


def test_a_share_page_needs_no_token(
    trusting: Browser, page_address: str, mediabox: MediaBox, house: House, clip: dict[str, Any], tmp_path: Path
) -> None:
    visitor = App(opened(trusting, page_address), "")
    visitor.do("regions", origin(house))
    about = visitor.about(clip["uuid"])
    assert (about["mime"], about["meta"]["type"], about["created"]) == ("video/mp4", "video", clip["created"])
    assert about["preview"]["jpeg"]
    visitor.do("play", clip["uuid"], "shared")
    visitor.screen.folder = tmp_path
    visitor.screen.plays(1.0)
    (hidden,) = mediabox.do("upload", mediabox.device, picture(), "hidden.jpg", {"type": "image"})["result"]
    mediabox.result("PUT", f"/gw/devices/{mediabox.device}/media", {"uuid": hidden["uuid"], "shared": False})
    assert visitor.do("fetchLink", hidden["uuid"])["status"] == 401
    allowed = {"Authorization": f"FlespiToken {mediabox.page.evaluate('client.token')}"}
    assert mediabox.do("fetchLink", hidden["uuid"], "", allowed)["status"] == 200


# ---- TachoBox


@pytest.fixture(scope="module")
def tachobox(trusting: Browser, page_address: str, house: House, device: int) -> App:
    """TachoBox, connected, with a standard token."""
    token = house.result("POST", "/platform/tokens", [{"ttl": 3600, "access": {"type": 0}}])[0]["key"]
    app = App(opened(trusting, page_address), token)
    app.do("regions", origin(house))
    assert app.do("connect", "tachobox")["access"]["type"] == 0
    return app


CARD = base64.b64encode(bytes.fromhex("0002000000 19".replace(" ", "")) + bytes(400)).decode()


def test_a_tachograph_file_is_uploaded_and_read(tachobox: App, device: int) -> None:
    (shown,) = tachobox.get(f"/gw/devices/{device}?fields=id,name,configuration.ident")
    assert shown == {"id": device, "name": "Truck 1", "configuration": {"ident": IDENT}}
    updated = tachobox.do("subscribe", f"flespi/log/gw/devices/{device}/media_file_updated")
    (file,) = tachobox.do("upload", device, CARD, "C_20260301_1200_DRIVER.ddd", {"type": "tacho"})["result"]
    assert re.fullmatch(r"[0-9A-F]{64}", file["uuid"]) and file["meta"]["type"] == "tacho"
    path = f"/gw/devices/{device}/media"
    (read,) = tachobox.get(path, {"uuid": file["uuid"], "fields": "uuid,name,meta,content"})
    assert set(read) <= {"uuid", "name", "meta", "content"} and read["name"].endswith(".ddd")
    listed = tachobox.get(path, {"fields": "uuid,name,meta,size,created,uploaded", "filter": 'exists("content")'})
    assert (file["uuid"] in {each["uuid"] for each in listed}) is ("content" in read)
    tachobox.result("PUT", path, {"uuid": file["uuid"], "params": {"seen": True}})
    tachobox.until(lambda: any(
        one["payload"]["event_code"] == 25 and one["payload"]["uuid"] == file["uuid"] for one in tachobox.heard(updated)
    ), "told that the file was updated")  # fmt: skip
    key = {"Authorization": f"FlespiToken {tachobox.page.evaluate('client.token')}"}
    raw = tachobox.do("fetchLink", file["uuid"], "", key)
    assert (raw["status"], raw["length"]) == (200, 406)


def test_devices_that_have_a_parser(tachobox: App) -> None:
    selector = '{exists("configuration.tacho")&&plugins_count>0}'
    path = "/gw/devices/" + tachobox.page.evaluate("encodeURIComponent", selector)
    assert tachobox.get(f"{path}?fields=id,name,configuration.ident,connected,device_type_id") == []


def test_the_wizard_sets_a_parser_up(tachobox: App) -> None:
    tachobox.get("/gw/devices/all?fields=id,name")
    ident = f"tachobox-{int(time.time() * 1000)}"
    body = [{"name": "Tachograph files", "device_type_id": 171, "configuration": {"ident": ident, "tacho": "C1"}}]
    (device,) = tachobox.result("POST", "/gw/devices", body)
    tachobox.get("/gw/plugins/all?fields=id,name,item_type")
    (plugin,) = tachobox.result("POST", "/gw/plugins", [{"name": "tacho-file-parse", "item_type": "tacho-file-parse"}])
    assert plugin["item_type"] == "tacho-file-parse"
    link = f"/gw/plugins/{plugin['id']}/devices/{device['id']}"
    assert tachobox.do("get", link).get("result", []) == []
    assert tachobox.do("rest", "POST", link)["result"]
    assert tachobox.get(link)
    selector = tachobox.page.evaluate("encodeURIComponent", '{exists("configuration.tacho")&&plugins_count>0}')
    assert [each["id"] for each in tachobox.get(f"/gw/devices/{selector}?fields=id")] == [device["id"]]
    tachobox.result("DELETE", f"/gw/plugins/{plugin['id']}")


def test_the_choice_is_remembered_by_a_retained_message(tachobox: App) -> None:
    topic = "xflespifront/tachobox/deviceparser"
    tachobox.do("publish", topic, '{"deviceId":1,"deviceName":"Truck 1"}', {"qos": 1, "retain": True})
    first = tachobox.do("subscribe", topic, {"qos": 1})
    (kept,) = tachobox.until(lambda: tachobox.heard(first), "the choice is told")
    assert kept["retain"] is True and kept["payload"] == {"deviceId": 1, "deviceName": "Truck 1"}
    tachobox.do("unsubscribe", topic)
    tachobox.do("publish", topic, "", {"qos": 1, "retain": True})
    second = tachobox.do("subscribe", topic, {"qos": 1})
    tachobox.do("publish", topic, '{"deviceId":2,"deviceName":"Truck 2"}', {"qos": 1})
    heard = tachobox.until(lambda: tachobox.heard(second), "a later choice is told")
    assert [one["payload"]["deviceId"] for one in heard] == [2], "the cleared one is gone"


# ---- and at the end of it all


def test_every_topic_that_was_heard_stands_in_the_directory(watcher: App, mediabox: MediaBox) -> None:
    """`/const/values?names=toolbox/topics` names what this server publishes."""
    (found,) = watcher.get("/const/values?names=toolbox%2Ftopics")
    topics = found["toolbox/topics"]["topics"]
    patterns = [
        re.compile("/".join("[^/]+" if "{" in level else re.escape(level) for level in topic.split("/")))
        for topic in topics
    ]
    heard = {one["topic"] for one in watcher.page.evaluate("client.heard")}
    assert len(heard) > 100
    assert {topic for topic in heard if not any(pattern.fullmatch(topic) for pattern in patterns)} == set()
    assert watcher.page.evaluate("client.ended") == mediabox.page.evaluate("client.ended") == [], "nobody was cut off"
    # The one link that was asked for after its file was deleted.
    assert [text for text in mediabox.screen.complaints if "404 (Not Found)" not in text] == []
