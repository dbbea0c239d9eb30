"""MQTT through the front door: what an application sees of the fleet, keeps over a crash, and must not see."""

from __future__ import annotations

import asyncio
import contextlib
import json
import queue
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from wayframe.simulator import CameraConfig, Codec, VehicleConfig, VideoFormat

from .house import House, driving

sys.path.insert(0, str(Path(__file__).parents[1] / "broker"))
from mqtt_clients import Mosquitto, PahoClient  # the folder of the MQTT tests is no package

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
SMALL = VideoFormat(Codec.H264, 320, 180, 15, 200, 15)


def client(house: House, key: str = "", **options: Any) -> PahoClient:
    return PahoClient(house.ports["mqtt"], key or house.key, **options).open()


def token(house: House, *acl: dict[str, Any]) -> dict[str, Any]:
    body = {"info": "narrow", "ttl": 3600, "access": {"type": 2, "acl": list(acl)}}
    created: dict[str, Any] = house.result("POST", "/platform/tokens", body)[0]
    return created


def silent(receiver: PahoClient, seconds: float = 0.5) -> bool:
    """Whether nothing more comes."""
    try:
        receiver.received.get(timeout=seconds)
    except queue.Empty:
        return True
    return False


async def test_a_line_is_printed_while_a_clip_arrives(house: House) -> None:
    device = house.add_device("13900000001")
    door = ["-p", str(house.ports["mqtt"]), "-V", "mqttv5", "-u", house.key]
    vehicle = VehicleConfig(
        ident="13900000001", port=house.ports["signalling"], cameras=(CameraConfig(1, SMALL, SMALL),),
        playback_pace=0.0, drives_off=True,
    )  # fmt: skip
    with contextlib.closing(Mosquitto(*door, "-t", "flespi/log/gw/devices/+/media_file_uploaded")) as subscriber:
        async with driving(vehicle):
            await asyncio.to_thread(house.until, lambda: house.connected(device), "the vehicle connects")
            wanted = {"channel": 1, "from": int(time.time()) - 60, "duration": 5}
            body = [{"name": "request_video", "properties": wanted, "ttl": 600}]
            await asyncio.to_thread(house.result, "POST", f"/gw/devices/{device}/commands-queue", body)
            line = await asyncio.to_thread(subscriber.until, lambda line: line.startswith("flespi/"))
    topic, _, payload = line.partition(" ")
    assert topic == f"flespi/log/gw/devices/{device}/media_file_uploaded"
    record = json.loads(payload)
    assert record["event_code"] == 24 and len(record["uuid"]) == 64


def test_a_session_that_was_away_during_a_crash_gets_its_messages(house: House) -> None:
    away = client(house, client_id="away", persistent=True).subscribe("work/#", 1)
    away.close()
    publisher = client(house)
    for number in range(50):
        publisher.publish(f"work/{number % 5}", str(number), 1)
    house.kill()
    publisher.close()
    house.start()
    again = PahoClient(house.ports["mqtt"], house.key, client_id="away", persistent=True).open()
    with contextlib.closing(again):
        assert again.flags.session_present
        told = dict(again.said.UserProperty)
        assert [line["topic"] for line in json.loads(told["subscriptions"])] == ["work/#"]
        assert [int(again.next()[1]) for _ in range(50)] == list(range(50))


def test_a_token_for_one_device_sees_that_device_only(house: House) -> None:
    mine, other = house.add_device("13900000001"), house.add_device("13900000002")
    acl = token(house, {"uri": "gw/devices", "methods": ["GET"], "ids": [mine]})
    everything = client(house, acl["key"]).subscribe("#")
    reporter = client(house, acl["key"]).subscribe("flespi/message/gw/devices/+")
    with contextlib.closing(everything), contextlib.closing(reporter):
        for device in (mine, other, mine):
            house.result("POST", f"/gw/devices/{device}/messages", [{"timestamp": time.time(), "a": device}])
        assert [reporter.next()[0] for _ in range(2)] == [f"flespi/message/gw/devices/{mine}"] * 2
        assert silent(reporter)
        seen = set()
        while not everything.received.empty():
            seen.add(everything.next()[0])
    assert f"flespi/state/gw/devices/{mine}/telemetry/a" in seen
    assert not [topic for topic in seen if not topic.startswith(("flespi/state/gw/devices/", "flespi/message/gw/",
                                                                 "flespi/log/gw/devices/"))]  # fmt: skip
    assert not [topic for topic in seen if f"/devices/{other}" in topic]


def test_a_revoked_token_ends_its_connections(house: House) -> None:
    acl = token(house, {"uri": "gw/devices", "methods": ["GET"]})
    connected = client(house, acl["key"])
    ended: queue.Queue[Any] = queue.Queue()
    connected.client.on_disconnect = lambda client, data, flags, reason, said: ended.put((time.monotonic(), reason))
    house.result("DELETE", f"/platform/tokens/{acl['id']}")
    revoked = time.monotonic()
    when, reason = ended.get(timeout=10)
    connected.close()
    assert reason.value == 0x87
    assert when - revoked < 5  # within a second by contract; a busy machine may be late


SUBSCRIPTIONS: list[tuple[str, Callable[[int], str], list[tuple[str, str, bool]]]] = [
    ("the kitchen and the hall, with its quotes",
     lambda cid: "$filter/message=(topics%5B1%5D%3D%3D%22kitchen%22%7C%7Ctopics%5B1%5D%3D%3D%22hall%22)%26%26"
                 "tonumber(%22payload%22)%3C20/temperature/+",
     [("temperature/kitchen", "19.5", True), ("temperature/bedroom", "15", False), ("temperature/kitchen", "20", False),
      ("temperature/hall", "-3", True), ("temperature/kitchen", "warm", False)]),
    ("a payload that is a number", lambda cid: "$filter/payload=tonumber%28payload%29%3E14/battery/+",
     [("battery/1", "14.5", True), ("battery/1", "13", False), ("battery/2", "15", True)]),
    ("an account", lambda cid: f"$filter/cid={cid}/any/+", [("any/a", "x", True)]),
    ("another account", lambda cid: f"$filter/cid={cid + 1}/any/+", [("any/a", "x", False)]),
    ("since a time that is past", lambda cid: "$filter/modified_since>1700000000/any/+", [("any/a", "x", True)]),
    ("since a time to come", lambda cid: "$filter/modified_since=4102444800/any/+", [("any/a", "x", False)]),
    ("a field of a JSON payload", lambda cid: "$filter/payload=position.speed%3E60/trucks/+",
     [("trucks/1", '{"position.speed":61}', True), ("trucks/1", '{"position.speed":60}', False)]),
    ("a share group over a filter", lambda cid: f"$share/workers/$filter/cid={cid}/jobs/+", [("jobs/1", "x", True)]),
    ("alternatives on two levels", lambda cid: "a,b/x,y",
     [("a/x", "1", True), ("b/y", "2", True), ("c/x", "3", False), ("a/z", "4", False)]),
]  # fmt: skip


def test_documented_subscriptions_deliver_what_they_promise(house: House) -> None:
    cid = house.result("GET", "/platform/customer")[0]["id"]
    publisher = client(house)
    for what, filter_of, messages in SUBSCRIPTIONS:
        receiver = client(house).subscribe(filter_of(cid))
        for topic, payload, _ in messages:
            publisher.publish(topic, payload)
        publisher.publish("a/x" if "alternatives" in what else "nowhere", "end")
        promised = [(topic, payload) for topic, payload, delivered in messages if delivered]
        assert [receiver.next() for _ in promised] == promised, what
        if "alternatives" not in what:
            assert silent(receiver, 0.2), what
        receiver.close()
    publisher.close()


def test_retained_state_follows_the_database(house: House) -> None:
    device = house.add_device("13900000001")
    house.result("POST", f"/gw/devices/{device}/messages", [{"timestamp": 1_760_000_000.5, "battery.voltage": 12.6}])
    reader = client(house).subscribe(f"flespi/state/gw/devices/{device}/telemetry/battery.voltage")
    message = reader.received.get(timeout=20)
    reader.close()
    assert (message.payload, message.retain) == (b"12.6", 1)
    assert dict(message.properties.UserProperty)["timestamp"].startswith("1760000000.5")
    house.stop()
    house.start()
    reader = client(house).subscribe(f"flespi/state/gw/devices/{device}/telemetry/battery.voltage")
    assert reader.next()[1] == "12.6"
    reader.subscribe(f"flespi/state/gw/devices/{device}/name,connected")
    assert {reader.next() for _ in range(2)} == {
        (f"flespi/state/gw/devices/{device}/name", json.dumps(house.result("GET", f"/gw/devices/{device}")[0]["name"])),
        (f"flespi/state/gw/devices/{device}/connected", "false"),
    }
    reader.close()


def test_names_no_topic_can_hold_stop_nobody(house: House) -> None:
    device = house.add_device("013700000095")
    base = f"flespi/state/gw/devices/{device}/telemetry"
    receiver = client(house).subscribe(f"{base}/#")
    odd = dict.fromkeys(["n" * 70_000, "x+y", "h#", "a/b", "nul\0"], 1)
    house.call("POST", f"/gw/devices/{device}/messages", [{"timestamp": time.time(), **odd, "last": 1}])
    house.call("POST", f"/gw/devices/{device}/messages", [{"timestamp": time.time() + 1, "more": 2}])
    seen = []
    while not seen or seen[-1] != f"{base}/more":
        seen.append(receiver.next()[0])
    assert f"{base}/last" in seen
    assert not {f"{base}/{name}" for name in odd} & set(seen)
    receiver.close()


def test_rest_over_mqtt(house: House) -> None:
    device = house.add_device("13900000001")
    caller = client(house).subscribe("answers/#").subscribe("flespi/rest/#")

    def call(topic: str, payload: str = "", **said: Any) -> tuple[str, dict[str, Any], dict[str, str], Any]:
        properties = Properties(PacketTypes.PUBLISH)
        for name, value in said.items():
            setattr(properties, name, value)
        caller.client.publish(topic, payload, 1, properties=properties)
        answer = caller.received.get(timeout=20)
        user = dict(getattr(answer.properties, "UserProperty", []))
        return answer.topic, json.loads(answer.payload), user, getattr(answer.properties, "CorrelationData", None)

    with contextlib.closing(caller):
        topic, body, user, correlation = call(
            f"flespi/rest/get/gw/devices/{device}?fields=id", ResponseTopic="answers/1", CorrelationData=b"\x01\x02"
        )
        assert (topic, body, user["http_code"], correlation) == (
            "answers/1",
            {"result": [{"id": device}]},
            "200",
            b"\1\2",
        )
        topic, body, user, _ = call(f"flespi/rest/put/gw/devices/{device}?fields=name", '{"name":"Renamed"}')
        assert topic == f"flespi/rest/put/gw/devices/{device}?fields=name" and user["http_code"] == "200"
        assert body["result"][0]["name"] == "Renamed"
        _, body, user, _ = call("flespi/rest/get/gw/devices/999", ResponseTopic="answers/2")
        assert user["http_code"] == "404" and "no " in body["errors"][0]["reason"]
        _, body, user, _ = call("flespi/rest/dance/gw/devices/all", ResponseTopic="answers/3")
        assert user["http_code"] == "400"
        _, body, user, _ = call("flespi/rest/get/gw/devices/all", ResponseTopic="flespi/state/gw/devices/1")
        assert user["http_code"] == "403"


def test_sessions_over_rest(house: House) -> None:
    kept = client(house, client_id="kept", persistent=True).subscribe("x/+")
    session = house.result("GET", "/mqtt/sessions/client_id=kept")[0]
    assert (session["connected"], session["ip"], session["cid"]) == (True, "127.0.0.1", 1)
    lines = house.result("GET", f"/mqtt/sessions/{session['id']}/subscriptions/all")
    assert [line["topic"] for line in lines] == ["x/+"]
    kept.close()
    house.result("DELETE", f"/mqtt/sessions/{session['id']}")
    assert house.result("GET", "/mqtt/sessions/all") == []
    assert not client(house, client_id="kept", persistent=True).flags.session_present


def test_nothing_acknowledged_is_lost_over_many_crashes(house: House) -> None:
    """Publishers at QoS 1, subscribers that come and go, a server that is killed again and again."""
    subscribers: dict[str, list[str]] = {f"reader-{number}": [] for number in range(3)}
    for name in subscribers:
        client(house, client_id=name, persistent=True).subscribe("soak/+").close()
    acknowledged: list[str] = []
    stop = threading.Event()

    def publish(name: str) -> None:
        number = 0
        while not stop.is_set():
            publisher = PahoClient(house.ports["mqtt"], house.key, client_id=name)
            with contextlib.closing(publisher), contextlib.suppress(Exception):  # the server is killed under it
                publisher.open()
                while not stop.is_set():
                    number += 1
                    info = publisher.client.publish(f"soak/{name}", f"{name}:{number}", 1)
                    info.wait_for_publish(1.0)
                    if not info.is_published():
                        break
                    acknowledged.append(f"{name}:{number}")

    threads = [threading.Thread(target=publish, args=(f"writer-{number}",)) for number in range(2)]
    for thread in threads:
        thread.start()
    for round_number in range(4):
        name = f"reader-{round_number % 3}"
        reader = PahoClient(house.ports["mqtt"], house.key, client_id=name, persistent=True).open()
        subscribers[name] += [reader.next()[1] for _ in range(100)]
        house.kill()
        reader.close()
        house.start()
    stop.set()
    for thread in threads:
        thread.join()
    assert len(acknowledged) > 100
    last = client(house)
    last.publish("soak/end", "end")
    last.close()
    for name, received in subscribers.items():
        reader = PahoClient(house.ports["mqtt"], house.key, client_id=name, persistent=True).open()
        assert reader.flags.session_present
        while received[-1:] != ["end"]:
            received.append(reader.next()[1])
        reader.close()
        assert not set(acknowledged) - set(received), name
