"""`/media/{uuid}`: the bytes, the preview, the description, over a real socket."""

from __future__ import annotations

import base64
import hashlib
import io
from typing import Any

import httpx
import pytest
from PIL import Image

from inside import InsideHouse

BIG = bytes(range(256)) * 12_000  # 3 MB: more than one read


def picture() -> bytes:
    """A small JPEG."""
    out = io.BytesIO()
    Image.new("RGB", (320, 240), (200, 30, 60)).save(out, "JPEG")
    return out.getvalue()


@pytest.fixture(scope="module")
def device(house: InsideHouse) -> int:
    return house.device("links")


@pytest.fixture(scope="module")
def big(house: InsideHouse, device: int) -> dict[str, Any]:
    return house.upload(device, BIG, "big file.bin")


def get(
    house: InsideHouse, file: dict[str, Any], query: str = "", method: str = "GET", **headers: str
) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return house.ask(method, f"/media/{file['uuid']}{query}", key="", headers=named)


def test_the_whole_file_needs_no_token(house: InsideHouse, big: dict[str, Any]) -> None:
    answer = get(house, big)
    assert answer.content == BIG
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["cache-control"] == "private"
    assert answer.headers["etag"] == f'"{hashlib.sha256(BIG).hexdigest()}"'
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert 'filename="big file.bin"' in answer.headers["content-disposition"]


@pytest.mark.parametrize(
    ("text", "begin", "end"),
    [("bytes=0-", 0, len(BIG)), ("bytes=5-9", 5, 10), ("bytes=-7", len(BIG) - 7, len(BIG)),
     ("bytes=1048570-2097160", 1048570, 2097161)],
)  # fmt: skip
def test_a_range_is_206(house: InsideHouse, big: dict[str, Any], text: str, begin: int, end: int) -> None:
    answer = get(house, big, range=text)
    assert answer.status_code == 206
    assert answer.content == BIG[begin:end]
    assert answer.headers["content-range"] == f"bytes {begin}-{end - 1}/{len(BIG)}"


def test_a_range_outside_is_416_with_the_size(house: InsideHouse, big: dict[str, Any]) -> None:
    answer = get(house, big, range=f"bytes={len(BIG)}-")
    assert (answer.status_code, answer.headers["content-range"]) == (416, f"bytes */{len(BIG)}")


def test_several_ranges_are_answered_with_the_whole_file(house: InsideHouse, big: dict[str, Any]) -> None:
    assert get(house, big, range="bytes=0-1,5-6").content == BIG


def test_head_is_get_without_a_body(house: InsideHouse, big: dict[str, Any]) -> None:
    head = get(house, big, method="HEAD")
    assert head.headers["content-length"] == str(len(BIG))
    assert head.content == b""
    part = get(house, big, method="HEAD", range="bytes=0-9")
    assert (part.status_code, part.headers["content-length"]) == (206, "10")


def test_a_good_copy_is_304_and_a_stale_range_gets_everything(house: InsideHouse, big: dict[str, Any]) -> None:
    tag = get(house, big, method="HEAD").headers["etag"]
    fresh = get(house, big, if_none_match=tag)
    assert (fresh.status_code, fresh.content, fresh.headers["etag"]) == (304, b"", tag)
    assert get(house, big, range="bytes=0-0", if_range=tag).status_code == 206
    assert get(house, big, range="bytes=0-0", if_range='"old"').status_code == 200


@pytest.mark.parametrize(
    ("name", "content", "mime", "kind"),
    [
        ("page.html", b"<script>alert(1)</script>", "application/octet-stream", None),
        ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "application/octet-stream", None),
        ("photo.jpg", picture(), "image/jpeg", "inline"),
    ],
)
def test_what_could_run_in_a_browser_is_never_served_as_such(
    house: InsideHouse, device: int, name: str, content: bytes, mime: str, kind: str | None
) -> None:
    answer = get(house, house.upload(device, content, name))
    assert answer.headers["content-type"].partition(";")[0] == mime
    assert answer.headers["content-type"].partition(";")[0] not in ("text/html", "image/svg+xml")
    if kind is not None:
        assert answer.headers["content-disposition"].startswith(kind)


def test_names_of_any_script_travel_encoded(house: InsideHouse, device: int) -> None:
    file = house.upload(device, b"x", 'Кадр "1"; x.bin')
    assert "filename*=UTF-8''%D0%9A%D0%B0%D0%B4%D1%80" in get(house, file).headers["content-disposition"]


def test_preview_forms(house: InsideHouse, device: int, big: dict[str, Any]) -> None:
    photo = house.upload(device, picture(), "photo.jpg", type="image", meta={"channel": 1})
    preview = get(house, photo, "?preview=jpeg")
    assert preview.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(preview.content)).format == "JPEG"
    described = get(house, photo, "?preview=json").json()
    assert base64.b64decode(described["preview"]["jpeg"]) == preview.content
    assert (described["mime"], described["meta"]["type"]) == ("image/jpeg", "image")
    assert get(house, big, "?preview=jpeg").status_code == 404
    assert "preview" not in get(house, big, "?preview=json").json()
    assert get(house, big, "?preview=webp").status_code == 400


def test_unknown_deleted_and_malformed_links_are_404(house: InsideHouse, device: int) -> None:
    file = house.upload(device, b"short-lived", "x.bin")
    house.result("DELETE", f"/gw/devices/{device}/media", {"uuid": file["uuid"]})
    assert get(house, file).status_code == 404
    for path in ("A" * 64, "short", "..%2F..%2Fsecret", f"{'A' * 64}/x.ts", ""):
        assert house.ask("GET", f"/media/{path}", key="").status_code == 404


def test_a_file_that_is_not_shared_needs_a_token_that_may_read_it(house: InsideHouse, device: int) -> None:
    file = house.upload(device, b"secret", "s.bin")
    house.result("PUT", f"/gw/devices/{device}/media", {"uuid": file["uuid"], "shared": False})
    for query in ("", "?preview=json", "?preview=jpeg"):
        assert get(house, file, query).status_code == 401
    assert house.ask("GET", f"/media/{file['uuid']}").content == b"secret"
    stranger = house.token({"type": 2, "acl": [{"uri": "gw/channels", "methods": ["GET"]}]})
    assert house.ask("GET", f"/media/{file['uuid']}", key=stranger).status_code == 403
    assert house.ask("GET", f"/media/{file['uuid']}", key="x" * 64).status_code == 401


def test_other_methods_are_405_and_webrtc_is_501(house: InsideHouse, big: dict[str, Any]) -> None:
    refused = get(house, big, method="DELETE")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
    assert get(house, big, method="POST").status_code == 501
