"""The media list of a device: read, annotate, delete, over the wire."""

from __future__ import annotations

from typing import Any

import pytest

from inside import PUBLIC, InsideHouse

JPEG = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffd9")


@pytest.fixture(scope="module")
def stored(house: InsideHouse) -> tuple[int, list[dict[str, Any]]]:
    device = house.device("files")
    files = [
        house.upload(device, b"payload %d" % number, f"f{number}.bin", meta={"created": 1000 + number, "channel": 2})
        for number in range(4)
    ]
    return device, files


def test_the_list_is_oldest_first_with_whole_file_objects(
    house: InsideHouse, stored: tuple[int, list[dict[str, Any]]]
) -> None:
    device, files = stored
    found = house.result("GET", f"/gw/devices/{device}/media")
    assert [item["uuid"] for item in found] == [item["uuid"] for item in files]
    first = found[0]
    assert first["url"] == f"{PUBLIC}/media/{first['uuid']}"
    assert (first["device_id"], first["created"], first["protected"], first["shared"]) == (device, 1000, False, True)
    assert first["meta"]["channel"] == 2
    assert not {"preview", "content"} & set(first)


@pytest.mark.parametrize(
    ("data", "indexes"),
    [
        ({"filter": "created>1000&&created<1003"}, [1, 2]),
        ({"filter": 'exists("content")'}, []),
        ({"from": 1001, "to": 1002}, [1, 2]),
        ({"count": 2}, [0, 1]),
        ({"count": 2, "reverse": True}, [3, 2]),
        ({"limit": 1, "offset": 2}, [2]),
    ],
)
def test_the_list_takes_filter_time_count_and_page(
    house: InsideHouse, stored: tuple[int, list[dict[str, Any]]], data: dict[str, Any], indexes: list[int]
) -> None:
    device, files = stored
    found = house.result("GET", house.data(f"/gw/devices/{device}/media", **data))
    assert [item["uuid"] for item in found] == [files[index]["uuid"] for index in indexes]


def test_the_list_takes_uuids_and_fields(house: InsideHouse, stored: tuple[int, list[dict[str, Any]]]) -> None:
    device, files = stored
    uuid = files[1]["uuid"]
    path = f"/gw/devices/{device}/media"
    asked = house.data(path, uuid=uuid.lower(), fields="uuid,meta.channel,content,preview")
    assert house.result("GET", asked) == [{"uuid": uuid, "meta": {"channel": 2}}]
    assert len(house.result("GET", house.data(path, uuid=[uuid, files[2]["uuid"]]))) == 2
    assert "filter" in house.refusal("GET", house.data(path, filter="created>"), status=400)


def test_protect_share_rename_annotate(house: InsideHouse, stored: tuple[int, list[dict[str, Any]]]) -> None:
    device, files = stored
    path, uuid = f"/gw/devices/{device}/media", files[0]["uuid"]
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    changed = house.result("PUT", path, {"uuid": uuid, "protected": True}, headers=headers)[0]
    assert changed["protected"] is True
    house.result("PUT", path, {"uuid": uuid, "params": {"a": 1}})
    changed = house.result("PUT", path, {"uuid": uuid, "params": {"b": 2}, "name": "new.bin"})[0]
    assert (changed["params"], changed["name"]) == ({"a": 1, "b": 2}, "new.bin")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"protected": True}, 400),
        ({"uuid": "X" * 64, "protected": True}, 404),
        ({"uuid": 5, "protected": True}, 400),
        ({"uuid": "X" * 64}, 400),
        ({"uuid": "X" * 64, "size": 1}, 400),
        ([], 400),
    ],
)
def test_a_wrong_change_is_refused(
    house: InsideHouse, stored: tuple[int, list[dict[str, Any]]], body: Any, status: int
) -> None:
    house.refusal("PUT", f"/gw/devices/{stored[0]}/media", body, status=status)


def test_a_misspelt_change_names_every_field_there_is(
    house: InsideHouse, stored: tuple[int, list[dict[str, Any]]]
) -> None:
    answer = house.ask("PUT", f"/gw/devices/{stored[0]}/media", {"uuid": "X" * 64, "protect": True})
    (error,) = answer.json()["errors"]
    assert "'protect'" in error["reason"]
    assert error["schema_hint"] == ["uuid", "protected", "shared", "name", "params"]


def test_delete_by_uuid_filter_or_all_and_nothing_by_mistake(house: InsideHouse) -> None:
    device = house.device("deleting-files")
    uuids = [house.upload(device, b"x%d" % n, f"{n}.bin", meta={"created": n})["uuid"] for n in range(5)]
    path = f"/gw/devices/{device}/media"
    for mistake in ({"uuids": uuids}, {"uuid": []}, {"filter": ""}, {"uuid": None}):
        house.refusal("DELETE", path, mistake, status=400)
    answer = house.ask("DELETE", path, {"uuid": [uuids[0], "F" * 64]}).json()
    assert [item["uuid"] for item in answer["result"]] == [uuids[0]]
    assert answer["errors"][0]["code"] == 404
    house.result("DELETE", path, {"filter": "created<3"})
    assert [item["uuid"] for item in house.result("GET", path)] == uuids[3:]
    assert len(house.result("DELETE", path)) == 2
    assert house.result("GET", path) == []
