"""The calls of MediaBox and TachoBox, in their order (rest-api.md 11, 12), from a page in Chromium over TLS.

The page (client/) uses fetch and MQTT.js only and trusts the server by its installed certificate authority. MediaBox
stands on the server's own origin and carries the token of an embedding application: rights on devices with six
submodules and nothing else. The others come from an origin of their own. With --at they drive a server that runs
already: docs/how-to/watch-applications.md.
"""

from __future__ import annotations

import base64
import contextlib
import re
import shutil
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from applications import COMMANDS, EMBEDDED, FILE_FIELDS, App, MediaBox, Recorder, opened, opened_there, picture
from playwright.sync_api import Browser
from playwright.sync_api import Error as PageError
from trusting import Running, Secure, SecureHouse, served

from e2e.house import driving
from wayframe.simulator import CameraConfig, Codec, VehicleConfig, VideoFormat

pytestmark = [pytest.mark.browser, pytest.mark.slow]

MODULES = Path(__file__).parents[2] / "web" / "node_modules"
IDENT = "13900000077"
SMALL = VideoFormat(Codec.H264, 480, 270, 15, 300, 15)
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n" + (
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 100]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF"
)
CAMERAS = (CameraConfig(1, SMALL, SMALL), CameraConfig(2, SMALL, SMALL))


@pytest.fixture(scope="module")
def recorder(server: Secure) -> Iterator[Recorder]:
    """A recorder with two cameras on the road."""
    if isinstance(server, Running):
        yield a_recorder_of(server)
    else:
        with our_recorder(server) as ours:
            yield ours


@contextlib.contextmanager
def our_recorder(house: SecureHouse) -> Iterator[Recorder]:
    """A simulated recorder in a house of ours."""
    device = house.add_device(IDENT, name="Truck 1")
    config = VehicleConfig(
        ident=IDENT, port=house.ports["signalling"], cameras=CAMERAS, name="Truck 1", report_s=2.0, playback_pace=0.0,
        drives_off=True,
    )  # fmt: skip
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(driving(config)):
        house.until(partial(house.connected, device), "the vehicle connects")
        yield Recorder(device, "Truck 1", IDENT, (1, 2))


def a_recorder_of(server: Running) -> Recorder:
    """A connected recorder with two cameras that nobody watches."""
    now = int(time.time())
    for item in server.result("GET", "/gw/devices/connected=true?fields=id,name,configuration.ident"):
        device, ident = item["id"], item["configuration"]["ident"]
        body = [{"name": "video_timeline", "properties": {"from": now - 600, "to": now}, "timeout": 30}]
        recorded = server.result("POST", f"/gw/devices/{device}/commands", body)[0]["response"]
        streams = [each["meta"] for each in server.result("GET", f"/gw/devices/{device}/connections/all")]
        watched = {meta["mediastream"]["channel"] for meta in streams if meta}
        free = sorted({span["channel"] for span in recorded or []} - watched)
        if len(free) >= 2:
            return Recorder(device, item["name"], ident, (free[0], free[1]))
    raise pytest.UsageError(f"{server.at} has no connected recorder with two cameras that nobody watches")


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the application."""
    folder = tmp_path_factory.mktemp("client")
    shutil.copytree(Path(__file__).parent / "client", folder, dirs_exist_ok=True)
    shutil.copy(MODULES / "mqtt" / "dist" / "mqtt.min.js", folder / "mqtt.js")
    shutil.copy(MODULES / "hls.js" / "dist" / "hls.min.js", folder / "hls.js")
    return folder


@pytest.fixture(scope="module")
def page_address(application: Path) -> Iterator[str]:
    """The application's own origin, on the same host."""
    with served(application) as address:
        yield address


@pytest.fixture(scope="module")
def watcher(trusting: Browser, page_address: str, server: Secure, screens: Path) -> App:
    """Who hears everything there is, from before the first call."""
    app = App(opened(trusting, page_address), server.key, screens)
    app.do("regions", server.at)
    app.do("connect", "watcher")
    app.do("subscribe", "flespi/#", {"qos": 1})
    return app


@pytest.fixture(scope="module")
def clip(server: Secure, recorder: Recorder) -> dict[str, Any]:
    """A clip that is there when the page is loaded."""
    properties = {"channel": recorder.cameras[0], "from": int(time.time()) - 90, "duration": 5}
    body = [{"name": "request_video", "properties": properties, "timeout": 60}]
    (done,) = server.result("POST", f"/gw/devices/{recorder.id}/commands", body)
    assert done["executed"] is True, done
    return dict(done["response"])


@pytest.fixture(scope="module")
def mediabox(
    watcher: App, trusting: Browser, application: Path, server: Secure, recorder: Recorder, clip: Any, screens: Path
) -> MediaBox:
    body = [{"info": "embedded", "ttl": 3600, "access": EMBEDDED}]
    token = server.result("POST", "/platform/tokens", body)[0]["key"]
    return MediaBox(opened_there(trusting, server, application), server, recorder.id, token, screens)


# ---- MediaBox: page load


def test_regions_tell_every_address(mediabox: MediaBox, server: Secure) -> None:
    region = mediabox.loaded["region"]
    assert region["rest"] == server.at
    assert region["media"] == f"{server.at}/media"
    assert f"https://{region['mqtt-ws']}" == server.at
    assert region["mqtt-ws"].partition(":")[0] == "localhost"


def test_the_connection_is_told_its_token(mediabox: MediaBox) -> None:
    token = mediabox.loaded["token"]
    assert token["access"]["type"] == 2
    assert token["access"]["acl"] == EMBEDDED["acl"]
    assert token["cid"] > 0
    assert "key" not in token


def test_the_device_and_the_list_of_devices(mediabox: MediaBox, recorder: Recorder) -> None:
    (device,) = mediabox.loaded["device"]
    shown = Recorder(device["id"], device["name"], device["configuration"]["ident"], recorder.cameras)
    assert shown == recorder
    (listed,) = [item for item in mediabox.loaded["devices"] if item["id"] == recorder.id]
    assert set(listed) == {"id", "name", "cid", "configuration", "media_size", "connected", "device_type_id"}
    assert listed["connected"] is True and listed["media_size"] > 0


def test_the_type_names_what_the_device_can_do(mediabox: MediaBox) -> None:
    (kind,) = mediabox.loaded["types"]
    assert kind["id"] == mediabox.loaded["device"][0]["device_type_id"]
    assert {"request_video", "take_photo", "start_videostream", "video_timeline", "playback_video"} <= set(
        mediabox.commands
    )
    assert all(command["schema"]["properties"] is not None for command in mediabox.commands.values())


def test_the_list_of_files(mediabox: MediaBox, clip: dict[str, Any], recorder: Recorder) -> None:
    mediabox.show("page-load", "The page of a device")
    (listed,) = [file for file in mediabox.loaded["media"] if file["uuid"] == clip["uuid"]]
    assert set(listed) == set(FILE_FIELDS.split(","))
    assert listed["meta"]["channel"] == recorder.cameras[0] and listed["meta"]["duration"] > 1
    assert isinstance(listed["created"], int | float)
    assert "?" not in listed["url"] and listed["url"].startswith("https://")
    assert all(isinstance(file["meta"], dict) for file in mediabox.loaded["media"])
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


@pytest.mark.parametrize(("key", "code"), [("x" * 64, (134, 135)), ("", (134, 135))], ids=["wrong", "none"])
def test_without_a_good_token_the_connection_is_refused_as_the_login_window_expects(
    trusting: Browser, page_address: str, server: Secure, screens: Path, key: str, code: tuple[int, ...]
) -> None:
    visitor = App(opened(trusting, page_address), key, screens)
    visitor.do("regions", server.at)
    with pytest.raises(PageError, match="|".join(rf"\({each}\)" for each in code)):
        visitor.do("connect", "mediabox")


def test_no_subscription_was_refused(mediabox: MediaBox) -> None:
    """One packet each, with identifiers of their own; a user topic that the token may not read stays silent."""
    granted = mediabox.page.evaluate("client.granted")
    assert list(granted.values()) == [1, 1, 0, 0, 0]
    assert [mediabox.pinned, mediabox.connections, mediabox.files, mediabox.lines, mediabox.queue] == [1, 2, 3, 4, 5]


# ---- MediaBox: actions


def test_a_video_is_played_in_ranges(mediabox: MediaBox, clip: dict[str, Any]) -> None:
    mediabox.do("leave")
    whole = mediabox.do("fetchLink", clip["uuid"], "", {"Range": "bytes=0-"})
    assert (whole["status"], whole["length"]) == (206, clip["size"])
    assert whole["headers"]["content-range"] == f"bytes 0-{clip['size'] - 1}/{clip['size']}"
    middle = mediabox.do("fetchLink", clip["uuid"], "", {"Range": "bytes=4-11"})
    assert (middle["status"], middle["begin"][:4]) == (206, "ftyp")
    mediabox.do("play", clip["uuid"], "clip")
    mediabox.screen.plays(1.5)
    mediabox.screen.shows_a_picture("clip")
    mediabox.show("play", "A clip plays")
    mediabox.do("leave")


def test_an_upload_by_its_form(mediabox: MediaBox) -> None:
    answer = mediabox.do("get", "/gw/api.json")
    schema = answer["definitions"]["media.file.post"]
    said = mediabox.do("form", schema, {"type": "image"})
    mediabox.show("form-upload", "The form of an upload")
    assert said["type"] == "image"
    answer = mediabox.do("upload", mediabox.device, picture(), "photo.jpg", said)
    (file,) = answer["result"]
    mediabox.do("leave")
    record = mediabox.record_of(file["uuid"], 24)
    assert (record["name"], record["mime"], record["meta"]["type"]) == ("photo.jpg", "image/jpeg", "image")
    assert mediabox.do("image", file["uuid"]) == [64, 48]
    assert mediabox.do("image", file["uuid"], "") == [64, 48]
    assert mediabox.do("fetchLink", file["uuid"])["status"] == 200
    mediabox.show("uploaded", "The photo that was uploaded: its preview, and itself")


@pytest.mark.parametrize(("name", "content"), [("note.txt", b"Left at the depot."), ("note.pdf", PDF)])
def test_texts_and_documents_are_shown_in_frames(mediabox: MediaBox, name: str, content: bytes) -> None:
    mediabox.do("leave")
    given = base64.b64encode(content).decode()
    (file,) = mediabox.do("upload", mediabox.device, given, name, {})["result"]
    mediabox.do("frame", file["uuid"])
    whole = mediabox.do("fetchLink", file["uuid"])
    assert (whole["status"], whole["length"]) == (200, len(content))
    assert whole["headers"]["content-type"].startswith({"txt": "text/plain", "pdf": "application/pdf"}[name[-3:]])
    assert whole["headers"]["content-disposition"].startswith("inline")
    mediabox.show(name.replace(".", "-"), f"{name} in a frame")


def test_lock_unlock_delete(mediabox: MediaBox) -> None:
    path = f"/gw/devices/{mediabox.device}/media"
    (file,) = mediabox.do("upload", mediabox.device, picture(), "short-lived.jpg", {"type": "image"})["result"]
    mediabox.do("files", mediabox.media())
    mediabox.show("before-lock", "The list with a new file")
    for protected in (True, False):
        (changed,) = mediabox.result("PUT", path, {"uuid": file["uuid"], "protected": protected})
        assert changed["protected"] is protected
        mediabox.record_of(file["uuid"], 25, protected=protected)
        mediabox.do("files", mediabox.media())
        mediabox.show("locked" if protected else "unlocked", "The new file is locked" if protected else "Unlocked")
    mediabox.result("DELETE", path, {"uuid": file["uuid"]})
    assert mediabox.do("fetchLink", file["uuid"])["status"] == 404
    left = mediabox.media()
    assert file["uuid"] not in {each["uuid"] for each in left}
    mediabox.do("files", left)
    mediabox.show("deleted", "The file is gone")


def test_a_video_is_requested_and_arrives(mediabox: MediaBox, recorder: Recorder) -> None:
    begin = time.time() - 60.5
    command = mediabox.send("request_video", {"channel": recorder.cameras[1], "from": begin, "duration": 5})
    response = mediabox.outcome(command, "request_video")
    assert set(response) >= {"uuid", "url", "name", "mime", "size", "created", "meta"}
    assert response["meta"]["command_id"] == command
    record = mediabox.record_of(response["uuid"], 24)
    assert record["url"] == response["url"]
    (result,) = mediabox.get(f"/gw/devices/{mediabox.device}/commands-result/{command}")
    assert result["executed"] is True and result["response"]["uuid"] == response["uuid"]
    mediabox.do("leave")
    mediabox.do("play", response["uuid"], "arrived")
    mediabox.screen.plays(1.5)
    mediabox.screen.shows_a_picture("arrived")
    mediabox.show("arrived", "The video that was requested has arrived")
    mediabox.do("leave")


def test_a_photo_is_taken(mediabox: MediaBox) -> None:
    response = mediabox.outcome(mediabox.send("take_photo", {"channel": 1}), "take_photo")
    assert response["meta"]["type"] == "image"
    mediabox.do("leave")
    assert mediabox.do("image", response["uuid"])[0] > 100
    mediabox.show("photo", "A photo was taken")


def test_a_command_that_waits_is_canceled(mediabox: MediaBox, server: Secure) -> None:
    """For a device that is away; the client follows it by its own subscriptions."""
    away = server.add_device(f"away-{time.time_ns()}")
    line = mediabox.do("subscribe", f"flespi/log/gw/devices/{away}/commands-queue/+/+")
    state = mediabox.do("subscribe", f"flespi/state/gw/devices/{away}/commands-queue/+")
    body = [{"name": "take_photo", "properties": {"channel": 1}, "ttl": 600}]
    (command,) = mediabox.result("POST", f"/gw/devices/{away}/commands-queue", body)
    mediabox.result("DELETE", f"/gw/devices/{away}/commands-queue/{command['id']}")
    mediabox.until(lambda: [one["payload"] for one in mediabox.heard(state)][-1:] == [None], "it leaves the queue")
    steps = [one["topic"].rpartition("/")[2] for one in mediabox.heard(line)]
    assert steps == ["queued", "canceled"]
    server.result("DELETE", f"/gw/devices/{away}")


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


def stopped(mediabox: MediaBox, uuids: set[str]) -> None:
    """Stop streams as MediaBox does: by deleting their connections."""
    for connection, meta in streams(mediabox).items():
        if meta["uuid"] in uuids:
            mediabox.result("DELETE", f"/gw/devices/{mediabox.device}/connections/{connection}")
    mediabox.until(lambda: not uuids & {each["uuid"] for each in streams(mediabox).values()}, "the streams have ended")


def test_a_live_wall_of_two_cameras(mediabox: MediaBox, recorder: Recorder) -> None:
    started = {
        channel: mediabox.send("start_videostream", {"channel": channel, "mediastream": "hls"})
        for channel in recorder.cameras
    }
    mediabox.do("leave")
    uuids = set()
    for channel, command in started.items():
        response = mediabox.outcome(command, "start_videostream")
        assert response["mediastream"] == "hls"
        uuids.add(response["uuid"])
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
    for channel in started:
        mediabox.screen.shows_a_picture(f"camera{channel}", f"#camera{channel}")
    for uuid in uuids:
        width, _ = mediabox.do("image", uuid)
        assert width > 0
    mediabox.show("live-wall", "Two cameras live, and a thumbnail of each stream")
    mediabox.do("leave")
    stopped(mediabox, uuids)
    mediabox.show("live-wall-stopped", "Both streams are stopped")


def test_a_live_camera_as_flv(mediabox: MediaBox, recorder: Recorder) -> None:
    command = mediabox.send("start_videostream", {"channel": recorder.cameras[0], "mediastream": "flv"})
    response = mediabox.outcome(command, "start_videostream")
    assert response["mediastream"] == "flv"
    flow = mediabox.do("flv", response["uuid"])
    assert flow["begin"] == "FLV" and flow["length"] >= 20000
    stopped(mediabox, {response["uuid"]})


def test_the_timeline_and_a_video_of_what_it_shows(mediabox: MediaBox) -> None:
    now = int(time.time())
    command = mediabox.send("video_timeline", {"from": now - 3600, "to": now, "channel": 1})
    response = mediabox.outcome(command, "video_timeline")
    assert isinstance(response, list) and response
    for span in response:
        assert span["channel"] == 1 and span["begin"] < span["end"]
    mediabox.do("timeline", response, now - 3600, now)
    mediabox.show("timeline", "What camera 1 recorded within an hour")
    recorded = next(span for span in reversed(response) if span["end"] - span["begin"] >= 3)
    wanted = {"channel": recorded["channel"], "from": recorded["begin"], "duration": 3}
    file = mediabox.outcome(mediabox.send("request_video", wanted), "request_video")
    assert file["meta"]["channel"] == recorded["channel"]
    assert file["created"] == pytest.approx(recorded["begin"], abs=2)


def test_a_share_page_needs_no_token(
    trusting: Browser, page_address: str, mediabox: MediaBox, server: Secure, clip: dict[str, Any], screens: Path
) -> None:
    visitor = App(opened(trusting, page_address), "", screens)
    visitor.do("regions", server.at)
    about = visitor.about(clip["uuid"])
    assert (about["mime"], about["meta"]["type"], about["created"]) == ("video/mp4", "video", clip["created"])
    assert about["preview"]["jpeg"]
    visitor.do("play", clip["uuid"], "shared")
    visitor.screen.plays(1.0)
    visitor.show("share-page", "A shared clip, without a token")
    (hidden,) = mediabox.do("upload", mediabox.device, picture(), "hidden.jpg", {"type": "image"})["result"]
    mediabox.result("PUT", f"/gw/devices/{mediabox.device}/media", {"uuid": hidden["uuid"], "shared": False})
    assert visitor.do("fetchLink", hidden["uuid"])["status"] == 401
    allowed = {"Authorization": f"FlespiToken {mediabox.page.evaluate('client.token')}"}
    assert mediabox.do("fetchLink", hidden["uuid"], "", allowed)["status"] == 200


def test_what_newer_versions_ask_for(watcher: App, mediabox: MediaBox, clip: dict[str, Any]) -> None:
    """Commands in batches, a live map, and WebRTC, which this server does not offer."""
    path = f"gw/devices/{mediabox.device}"
    batches = "start_videostream_batch,playback_video_batch,start_audiostream"
    mediabox.do("subscribe", f"flespi/log/{path}/commands-queue/{COMMANDS},{batches}/queued,sent,processed")
    moving = watcher.do("subscribe", f"flespi/state/{path}/telemetry/+", {"rh": 1})

    def told() -> set[str]:
        return {one["topic"].rpartition("/")[2] for one in watcher.heard(moving)}

    watcher.until(lambda: {"position.latitude", "position.longitude", "position.speed"} <= told(), "where it is")
    offer = "uuid => fetch(client.link(uuid), { method: 'POST', body: '{}' }).then(({ status }) => status)"
    assert watcher.page.evaluate(offer, clip["uuid"]) == 501


# ---- TachoBox


@pytest.fixture(scope="module")
def tachobox(trusting: Browser, page_address: str, server: Secure, screens: Path) -> App:
    """TachoBox, connected, with a standard token."""
    token = server.result("POST", "/platform/tokens", [{"ttl": 3600, "access": {"type": 0}}])[0]["key"]
    app = App(opened(trusting, page_address), token, screens)
    app.do("regions", server.at)
    assert app.do("connect", "tachobox")["access"]["type"] == 0
    return app


CARD = base64.b64encode(bytes.fromhex("0002000000 19".replace(" ", "")) + bytes(400)).decode()


def test_a_tachograph_file_is_uploaded_and_read(tachobox: App, recorder: Recorder) -> None:
    device = recorder.id
    (shown,) = tachobox.get(f"/gw/devices/{device}?fields=id,name,configuration.ident")
    assert shown == {"id": device, "name": recorder.name, "configuration": {"ident": recorder.ident}}
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
    tachobox.do("files", tachobox.get(path, {"filter": 'meta.type=="tacho"'}))
    tachobox.show("tachobox", "A tachograph file was uploaded")


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
    tachobox.result("DELETE", f"/gw/devices/{device['id']}")


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
