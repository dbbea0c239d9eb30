"""The gallery as an application sees it, for tests of several rooms."""

from __future__ import annotations

import io
from typing import Any
from urllib.parse import urlsplit

import httpx
from PIL import Image

from inside import InsideHouse


def picture(width: int = 800, height: int = 600) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (width, height), (20, 120, 40)).save(target, "JPEG")
    return target.getvalue()


class GalleryClient:
    """One device of the gallery, as an application sees it."""

    def __init__(self, house: InsideHouse, name: str, **more: Any) -> None:
        self.house = house
        self.id = house.device(name, **more)
        self.base = f"/api/gallery/{self.id}"

    def ask(self, method: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {more.pop('bearer', self.house.key)}", **more.pop("headers", {})}
        return self.house.ask(method, self.base + path, body, headers=headers, key="", **more)

    def upload(self, content: bytes, name: str = "a.bin", **parts: Any) -> httpx.Response:
        files = {"event": ("x", content), **parts.pop("files", {})}
        headers = {"Authorization": f"Bearer {self.house.key}", **parts.pop("headers", {})}
        url = f"{self.house.url}{self.base}/upload"
        return httpx.post(url, data={"name": name, **parts}, files=files, headers=headers, timeout=30, trust_env=False)

    def events(self, query: str = "") -> list[dict[str, Any]]:
        found = self.ask("GET", f"/events{query}").json()
        assert isinstance(found, list)
        return found

    def link(self, query: str = "filename=a.bin") -> dict[str, Any]:
        answer = self.ask("GET", f"/upload-url?{query}")
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert isinstance(found, dict)
        return found

    def put(self, url: str, content: Any, **more: Any) -> httpx.Response:
        path = urlsplit(url).path
        return httpx.put(self.house.url + path, content=content, timeout=30, trust_env=False, **more)


def refused(answer: httpx.Response, status: int, word: str = "") -> None:
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert {*body} == {"success", "error", "code"}
    assert body["success"] is False
    assert word in body["error"] or word == body["code"], body
