"""Hooks of the gallery: what they are told, who may make them, and that they come through or say why not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gallery_client import GalleryClient, picture, refused
from inside import InsideHouse, until
from receiver import Receiver
from wayframe.services import hook_calls

EIGHT = (
    "before_event_pull", "after_file_downloaded", "after_event_pulled", "after_all_events_pulled",
    "after_event_created", "after_event_deleted", "after_gallery_start", "after_gallery_stop",
)  # fmt: skip


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InsideHouse]:
    made = InsideHouse(tmp_path_factory.mktemp("house"), private_destinations="127.0.0.1")
    yield made
    made.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried again is tried at once."""
    monkeypatch.setattr(hook_calls, "_PAUSES_S", (0.01, 0.01))


def made(house: InsideHouse, key: str | None = None, **body: Any) -> dict[str, Any]:
    """A new hook."""
    answer = house.ask("POST", "/api/hooks", {"hookName": "h", "actionId": "webhook", **body}, key=key)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["hook"]
    return found


def to(receiver: Receiver, event: str, device: int | None, **more: Any) -> dict[str, Any]:
    """The body of a hook that sends to the receiver."""
    parameters = {"url": f"{receiver.url}/in", **more.pop("parameters", {})}
    return {"eventType": event, "deviceId": device and str(device), "parameters": parameters, **more}


def failures(house: InsideHouse, device: int) -> list[dict[str, Any]]:
    """Log records of hooks that came to nothing."""
    return [record for record in house.result("GET", f"/gw/devices/{device}/logs") if record["event_code"] == 350]


# --- kept as upstream has it ---


def test_a_hook_is_made_read_changed_and_removed(house: InsideHouse, receiver: Receiver) -> None:
    client = GalleryClient(house, "kept")
    hook = made(house, **to(receiver, "after_event_pulled", client.id, parameters={"headers": {"X-Key": "secret"}}))
    assert {
        name: hook[name] for name in ("hookName", "eventType", "deviceId", "actionId", "enabled", "executionType")
    } == {
        "hookName": "h", "eventType": "after_event_pulled", "deviceId": str(client.id), "actionId": "webhook",
        "enabled": True, "executionType": "local",
    }  # fmt: skip
    assert (hook["hook_name"], hook["event_type"], hook["device"]) == ("h", "after_event_pulled", str(client.id))
    assert hook["parameters"] == {"url": f"{receiver.url}/in", "method": "POST", "headers": {"X-Key": "***"},
                                  "body": None}  # fmt: skip
    everywhere = made(house, **to(receiver, "after_event_deleted", None))
    assert (everywhere["deviceId"], everywhere["device"]) == (None, "")

    def listed(path: str) -> set[str]:
        answer = house.ask("GET", path).json()
        assert ({*answer}, answer["success"]) == ({"success", "hooks"}, True)
        return {one["id"] for one in answer["hooks"]}

    other = GalleryClient(house, "kept otherwise")
    assert listed("/api/hooks") >= {hook["id"], everywhere["id"]}
    assert listed(f"/api/hooks?device={client.id}") == {hook["id"], everywhere["id"]}
    assert listed(f"/studio/api/hooks?device={other.id}") == {everywhere["id"]}
    assert listed(f"/api/hooks/events/after_event_pulled?device={client.id}") == {hook["id"]}
    assert listed(f"/api/hooks/events/after_gallery_stop?device={client.id}") == set()
    port = house.node.doors["gallery_port"].port
    assert hook["id"] in listed(f"http://127.0.0.1:{port}/api/hooks")
    changed = house.ask("PATCH", f"/api/hooks/{hook['id']}", {"enabled": False, "hookName": "other"}).json()
    assert changed["success"]
    assert (changed["hook"]["enabled"], changed["hook"]["hookName"]) == (False, "other")
    assert changed["hook"]["parameters"] == hook["parameters"]
    for one in (hook, everywhere):
        assert house.ask("DELETE", f"/api/hooks/{one['id']}").json() == {"success": True}
    refused(house.ask("DELETE", f"/api/hooks/{hook['id']}"), 404)
    refused(house.ask("PATCH", "/api/hooks/x", {}), 404)
    refused(house.ask("PUT", f"/api/hooks/{hook['id']}", {}), 405)
    refused(house.ask("GET", "/api/hooks/a/b"), 404)
    refused(house.ask("GET", "/api/hooks/events/on_error"), 400, "before_event_pull")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"hookName": ""}, "hookName"),
        ({"eventType": "on_file_detected"}, "eventType"),
        ({"actionId": "shell"}, "actionId"),
        ({"executionType": "device"}, "executionType"),
        ({"enabled": "yes"}, "enabled"),
        ({"surprise": 1}, "surprise"),
        ({"parameters": {"command": "rm -rf {{eventPath}}"}}, "no shell"),
        ({"parameters": {}}, "url"),
        ({"parameters": {"url": "http://10.0.0.1/"}}, "private_destinations"),
        ({"parameters": {"url": "http://localhost/"}}, "private_destinations"),
        ({"parameters": {"url": "http://2130706433/"}}, "private_destinations"),
        ({"parameters": {"url": "file:///etc/passwd"}}, "https://"),
        ({"parameters": {"url": "https://name:word@example.com/"}}, "password"),
        ({"parameters": {"url": "https://{{eventName}}.example.com/"}}, "templates"),
        ({"parameters": {"url": "https://example.com/{{eventName}}"}}, "templates"),
        ({"parameters": {"url": "https://example.com/", "method": "GET"}}, "method"),
        ({"parameters": {"url": "https://example.com/", "headers": {"Host": "x"}}}, "header"),
        ({"parameters": {"url": "https://example.com/", "headers": {"A": "b\r\nC: d"}}}, "one line"),
        ({"parameters": {"url": "https://example.com/", "headers": {"A b": "c"}}}, "header"),
        ({"parameters": {"url": "https://example.com/", "headers": {"A": "***"}}}, "not shown"),
        ({"parameters": {"url": "https://example.com/", "body": "x" * 70_000}}, "65536"),
        ({"actionId": "command", "parameters": {"properties": {}}}, "name"),
        ({"actionId": "command", "parameters": {"name": "x", "ttl": 1}}, "ttl"),
    ],
)
def test_a_wrong_hook_names_its_field(house: InsideHouse, change: dict[str, Any], word: str) -> None:
    body = {
        "hookName": "h", "eventType": "after_event_pulled", "actionId": "webhook",
        "parameters": {"url": "https://example.com/"}, **change,
    }  # fmt: skip
    before = len(house.ask("GET", "/api/hooks").json()["hooks"])
    refused(house.ask("POST", "/api/hooks", body), 400, word)
    assert len(house.ask("GET", "/api/hooks").json()["hooks"]) == before


def test_what_a_hook_must_have(house: InsideHouse) -> None:
    body: dict[str, Any] = {
        "hookName": "h", "eventType": "after_event_pulled", "actionId": "webhook",
        "parameters": {"url": "https://example.com/"},
    }  # fmt: skip
    for missing in body:
        less = {name: value for name, value in body.items() if name != missing}
        refused(house.ask("POST", "/api/hooks", less), 400, "url" if missing == "parameters" else missing)
    refused(house.ask("POST", "/api/hooks", {**body, "deviceId": "no-such"}), 404)
    for wrong in (b"[]", b"1", b"{", b'"x"'):
        refused(house.ask("POST", "/api/hooks", wrong), 400)


# --- what they are told ---


def test_every_event_of_files_is_told_whichever_way_it_comes(house: InsideHouse, receiver: Receiver) -> None:
    client = GalleryClient(house, "told")
    for kind in EIGHT:
        made(house, **to(receiver, kind, client.id))
    first = client.upload(picture(), "capture.jpg").json()["eventId"]
    until(lambda: len(receiver.seen) == 1)
    (created,) = receiver.bodies()
    assert created == {
        "eventType": "after_event_created", "deviceId": str(client.id), "eventId": first, "eventPath": "capture.jpg",
        "eventName": "capture.jpg", "mediaType": "image", "hasThumb": True, "fileSize": len(picture()),
        "extension": "jpg", "sourcePath": "capture.jpg", "timestamp": created["timestamp"], "date": created["date"],
        "localPath": f"http://media.example:9005/api/gallery/{client.id}/events/{first}/file",
        "thumbnailPath": f"http://media.example:9005/api/gallery/{client.id}/events/{first}/thumbnail",
    }  # fmt: skip
    assert created["timestamp"].startswith(created["date"])
    house.upload(client.id, b"from the other side", "other.txt")
    client.ask("POST", "/upload", {"name": "/sd/x.mp4"}, headers={"Content-Type": "application/json"})
    until(lambda: len(receiver.seen) == 3)
    client.ask("DELETE", f"/events/{first}")
    house.result("DELETE", f"/gw/devices/{client.id}/media")
    client.ask("DELETE", "/events/x.mp4")
    client.ask("POST", "/start", {"interval": 3600, "autoPull": False})
    client.ask("POST", "/stop")
    until(lambda: len(receiver.seen) == 8)
    told = [(body["eventType"], body.get("eventName")) for body in receiver.bodies()]
    assert sorted(told[1:3]) == [("after_event_created", "other.txt"), ("after_event_created", "x.mp4")]
    assert sorted(told[3:], key=str) == [
        ("after_event_deleted", "capture.jpg"), ("after_event_deleted", "other.txt"), ("after_event_deleted", "x.mp4"),
        ("after_gallery_start", None), ("after_gallery_stop", None),
    ]  # fmt: skip
    deleted = next(body for body in receiver.bodies()[3:] if body.get("eventName") == "capture.jpg")
    assert deleted["eventId"] == first
    assert failures(house, client.id) == []


NAMES = ("$(id).txt", "quo'te\".txt", "`tick`.txt", "𝄞 🚗.txt", "{{deviceId}}.txt", 'x","admin":true,"y":"')


def test_names_fill_templates_and_nothing_else(house: InsideHouse, receiver: Receiver) -> None:
    client = GalleryClient(house, "templates")
    body = {"text": "{{deviceId}}: {{eventName}}", "n": 7, "{{eventName}}": ["{{nothing}}", {"size": "{{fileSize}}"}]}
    made(house, **to(receiver, "after_event_created", client.id, parameters={"body": body, "method": "PUT"}))
    for name in NAMES:
        assert client.upload(name.encode(), name).status_code == 200
    until(lambda: len(receiver.seen) == len(NAMES))
    got = {json.dumps(one) for one in receiver.bodies()}
    assert got == {
        json.dumps({"text": f"{client.id}: {name}", "n": 7,
                    "{{eventName}}": ["{{nothing}}", {"size": str(len(name.encode()))}]})
        for name in NAMES
    }  # fmt: skip
    assert {(one.method, one.path) for one in receiver.seen} == {("PUT", "/in")}
    assert len({one.headers["x-wayframe-call"] for one in receiver.seen}) == len(NAMES)


def test_a_command_is_queued_with_what_templates_say(house: InsideHouse) -> None:
    client = GalleryClient(house, "commanded", device_type_id=5)
    wrong = {"hookName": "c", "eventType": "after_event_created", "deviceId": client.id, "actionId": "command"}
    refused(house.ask("POST", "/api/hooks", {**wrong, "parameters": {"name": "fly"}}), 400, "fly")
    refused(house.ask("POST", "/api/hooks", {**wrong, "parameters": {"name": "send_text"}}), 400, "text")
    parameters = {"name": "send_text", "properties": {"text": "new: {{eventName}}"}, "ttl": 900}
    hook = made(house, eventType="after_event_created", deviceId=client.id, actionId="command", parameters=parameters)
    assert hook["executionType"] == "device"
    client.upload(b"x", "$(reboot).txt")

    def queued() -> list[Any]:
        return house.result("GET", f"/gw/devices/{client.id}/commands-queue/all")

    until(lambda: len(queued()) == 1)
    (command,) = queued()
    assert (command["name"], command["properties"]["text"]) == ("send_text", "new: $(reboot).txt")
    assert command["meta"] == {"gallery_hook": int(hook["id"])}
    client.upload(b"x", "y" * 250)  # longer than a text may be
    parameters["properties"] = {"text": "{{eventName}}" * 100}
    house.ask("PATCH", f"/api/hooks/{hook['id']}", {"parameters": parameters})
    client.upload(b"y", "z" * 200)
    until(lambda: len(failures(house, client.id)) >= 1)
    assert "send_text" in failures(house, client.id)[0]["reason"]


# --- what goes wrong ---


def test_what_is_not_taken_is_tried_again(house: InsideHouse, receiver: Receiver) -> None:
    client = GalleryClient(house, "again")
    receiver.answers = [500, 429]
    made(house, **to(receiver, "after_event_created", client.id))
    client.upload(b"x", "a.txt")
    until(lambda: len(receiver.seen) == 3)
    assert len({one.headers["x-wayframe-call"] for one in receiver.seen}) == 1
    until(lambda: house.node.services.gallery.calls.waiting == 0)
    assert failures(house, client.id) == []


@pytest.mark.parametrize(
    ("answers", "tries", "word"), [([404], 1, "404"), ([302], 1, "redirect"), ([503] * 9, 3, "503")]
)
def test_what_comes_to_nothing_is_a_log_record(
    house: InsideHouse, receiver: Receiver, answers: list[int], tries: int, word: str
) -> None:
    client = GalleryClient(house, f"nothing {word}")
    receiver.answers = answers
    hook = made(house, **to(receiver, "after_event_created", client.id))
    event = client.upload(b"x", "a.txt").json()["eventId"]
    until(lambda: len(failures(house, client.id)) == 1)
    (record,) = failures(house, client.id)
    assert (record["hook_id"], record["attempts"], record["event_id"]) == (int(hook["id"]), tries, event)
    assert (record["event_type"], word in record["reason"]) == ("after_event_created", True)
    assert (len(receiver.seen), {one.path for one in receiver.seen}) == (tries, {"/in"})
    assert house.node.services.gallery.calls.waiting == 0


def test_a_slow_server_costs_the_others_nothing(
    house: InsideHouse, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hook_calls, "_PAUSES_S", (3600.0,))
    monkeypatch.setattr(hook_calls, "_MAX_WAITING", 5)
    client = GalleryClient(house, "slow")
    made(house, **to(receiver, "after_event_created", client.id))
    gone = made(house, **to(receiver, "after_event_created", client.id, parameters={"url": "http://127.0.0.1:1/"}))
    for number in range(12):
        client.upload(b"%d" % number, f"{number}.txt")
    until(lambda: len(receiver.seen) == 12)
    until(lambda: len(failures(house, client.id)) == 1)
    assert "5 calls wait already" in failures(house, client.id)[0]["reason"]
    assert house.node.services.gallery.calls.waiting == 5
    house.ask("DELETE", f"/api/hooks/{gone['id']}")
    assert house.node.services.gallery.calls.waiting == 0


def test_calls_outlive_a_restart(tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hook_calls, "_PAUSES_S", (1.0, 1.0))
    house = InsideHouse(tmp_path / "house", private_destinations="127.0.0.1")
    client = GalleryClient(house, "restarted")
    receiver.answers = [500]
    made(house, **to(receiver, "after_event_created", client.id, parameters={"headers": {"X-Key": "secret"}}))
    client.upload(b"x", "a.txt")
    until(lambda: len(receiver.seen) == 1)
    house.close()
    key, house = house.key, InsideHouse(tmp_path / "house", private_destinations="127.0.0.1")
    try:
        house.key = key
        until(lambda: len(receiver.seen) == 2)
        assert [one.headers["x-key"] for one in receiver.seen] == ["secret", "secret"]
        assert receiver.seen[0].body == receiver.seen[1].body
        # What is gone is called no more.
        house.result("DELETE", f"/gw/devices/{client.id}")
        until(lambda: house.ask("GET", "/api/hooks").json()["hooks"] == [])
    finally:
        house.close()


def test_private_addresses_are_nowhere_to_lead(tmp_path: Path, receiver: Receiver) -> None:
    """Also where the operator changed his mind after the hook was made."""
    house = InsideHouse(tmp_path / "house", private_destinations="127.0.0.1")
    client = GalleryClient(house, "strict")
    hook = made(house, **to(receiver, "after_event_created", client.id))
    house.close()
    client.house = house = _again(house)
    try:
        client.upload(b"x", "a.txt")
        until(lambda: len(failures(house, client.id)) == 1)
        assert "private_destinations" in failures(house, client.id)[0]["reason"]
        assert receiver.seen == []
        refused(house.ask("PATCH", f"/api/hooks/{hook['id']}", {"parameters": {"url": receiver.url}}), 400)
    finally:
        house.close()


def _again(before: InsideHouse) -> InsideHouse:
    house = InsideHouse(before.folder)
    house.key = before.key
    return house


# --- who may ---


def acl(house: InsideHouse, device: int, *submodules: str) -> str:
    names = [{"name": name, "methods": ["GET", "POST"]} for name in submodules]
    entry = {"uri": "gw/devices", "methods": ["GET"], "ids": [device], "submodules": names}
    return house.token({"type": 2, "acl": [entry]})


def test_hooks_need_the_right_they_use(house: InsideHouse, receiver: Receiver) -> None:
    client, other = GalleryClient(house, "mine", device_type_id=5), GalleryClient(house, "theirs")
    media, both = acl(house, client.id, "media"), acl(house, client.id, "media", "commands-queue")
    command = {"hookName": "c", "eventType": "after_event_created", "actionId": "command",
               "parameters": {"name": "send_text", "properties": {"text": "x"}}}  # fmt: skip
    for key, status in (("", 401), ("x" * 64, 401), (acl(house, client.id, "logs"), 403)):
        for method, path in (("GET", "/api/hooks"), ("POST", "/api/hooks"), ("PATCH", "/api/hooks/1"),
                             ("DELETE", "/api/hooks/1"), ("GET", "/api/hooks/events/after_event_pulled")):  # fmt: skip
            refused(house.ask(method, path, {} if method != "GET" else None, key=key), status)
    for device in (client.id, None):
        body = {**command, "deviceId": device}
        refused(house.ask("POST", "/api/hooks", body, key=media), 403)
        assert house.ask("POST", "/api/hooks", body, key=both).status_code == 200
    refused(house.ask("POST", "/api/hooks", {**command, "deviceId": other.id}, key=both), 404)
    # Others' hooks are not there; a hook for every device is for those its maker may write to.
    theirs = made(house, **to(receiver, "after_event_created", other.id))
    wide = made(house, **to(receiver, "after_event_created", None))
    refused(house.ask("PATCH", f"/api/hooks/{theirs['id']}", {"enabled": False}, key=media), 404)
    refused(house.ask("DELETE", f"/api/hooks/{wide['id']}", key=media), 404)
    house.ask("DELETE", f"/api/hooks/{wide['id']}")
    house.ask("DELETE", f"/api/hooks/{theirs['id']}")
    narrow = made(house, key=media, **to(receiver, "after_event_created", None))
    other.upload(b"x", "no.txt")
    client.upload(b"x", "yes.txt")
    until(lambda: len(receiver.seen) == 1)
    assert receiver.bodies()[0]["eventName"] == "yes.txt"
    assert failures(house, other.id) == []
    assert narrow["id"] in {hook["id"] for hook in house.ask("GET", "/api/hooks").json()["hooks"]}


def test_rights_are_asked_again_when_it_is_called(house: InsideHouse, receiver: Receiver) -> None:
    client = GalleryClient(house, "later", device_type_id=5)
    maker = acl(house, client.id, "media", "commands-queue")
    made(house, key=maker, **to(receiver, "after_event_created", client.id))
    command = {"name": "send_text", "properties": {"text": "x"}}
    made(house, key=maker, eventType="after_event_deleted", deviceId=client.id, actionId="command", parameters=command)
    (token,) = [one for one in house.result("GET", "/platform/tokens/all?fields=id,key") if one.get("key") == maker]
    only = [{"name": "media", "methods": ["GET", "POST"]}]
    access = {"type": 2, "acl": [{"uri": "gw/devices", "methods": ["GET"], "ids": [client.id], "submodules": only}]}
    house.result("PUT", f"/platform/tokens/{token['id']}", {"access": access})
    event = client.upload(b"x", "a.txt").json()["eventId"]
    until(lambda: len(receiver.seen) == 1)
    client.ask("DELETE", f"/events/{event}")
    until(lambda: len(failures(house, client.id)) == 1)
    assert "commands-queue" in failures(house, client.id)[0]["reason"]
    assert house.result("GET", f"/gw/devices/{client.id}/commands-queue/all") == []
    house.result("DELETE", f"/platform/tokens/{token['id']}")
    client.upload(b"x", "b.txt")
    until(lambda: len(failures(house, client.id)) == 2)
    assert "deleted" in failures(house, client.id)[1]["reason"]
    assert len(receiver.seen) == 1


def test_a_persons_hooks_end_with_the_person(house: InsideHouse, receiver: Receiver) -> None:
    client = GalleryClient(house, "personal")
    person = {"identity": "eve@example.org", "password": "correct horse"}
    house.result("POST", "/platform/users", [person])
    session = house.ask("POST", "/api/auth/login", person, key="").json()["token"]
    headers = {"Authorization": f"Bearer {session}"}
    body = {"hookName": "h", "actionId": "webhook", **to(receiver, "after_event_created", client.id)}
    assert house.ask("POST", "/api/hooks", body, key="", headers=headers).status_code == 200
    client.upload(b"x", "a.txt")
    until(lambda: len(receiver.seen) == 1)
    house.result("PUT", "/platform/users/eve@example.org", {"enabled": False})
    client.upload(b"y", "b.txt")
    until(lambda: len(failures(house, client.id)) == 1)
    assert len(receiver.seen) == 1


def test_accounts_do_not_hear_of_each_other(house: InsideHouse, receiver: Receiver) -> None:
    (account,) = house.result("POST", "/platform/subaccounts", [{"name": "other"}])
    inside = {"x-flespi-cid": str(account["id"])}
    other = str(house.result("POST", "/platform/tokens", [{"ttl": 600}], headers=inside)[0]["key"])
    theirs = made(house, key=other, **to(receiver, "after_event_created", None, parameters={"body": "theirs"}))
    mine = made(house, **to(receiver, "after_event_created", None, parameters={"body": "mine"}))

    def listed(key: str | None) -> set[str]:
        return {hook["id"] for hook in house.ask("GET", "/api/hooks", key=key).json()["hooks"]}

    assert listed(other) == {theirs["id"]}
    assert listed(None) >= {theirs["id"], mine["id"]}
    refused(house.ask("DELETE", f"/api/hooks/{mine['id']}", key=other), 404)
    GalleryClient(house, "of the parent").upload(b"x", "a.txt")
    until(lambda: receiver.bodies() == ["mine"])
    body = {"name": "of the child", "device_type_id": 171, "configuration": {"ident": "id-child"}}
    child = house.result("POST", "/gw/devices", [body], key=other)[0]["id"]
    house.upload(child, b"x", "a.txt")
    until(lambda: sorted(receiver.bodies()) == ["mine", "mine", "theirs"])
    house.result("DELETE", f"/platform/subaccounts/{account['id']}")
    assert theirs["id"] not in listed(None)
    house.ask("DELETE", f"/api/hooks/{mine['id']}")
