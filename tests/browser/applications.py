"""Applications as rest-api.md 11 and 12 describe them, each in a page of Chromium: client/ asks, this looks at it."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page
from screen import Screen
from trusting import Secure

SUBMODULES = ("commands", "commands-queue", "commands-result", "connections", "media", "logs")
EMBEDDED = {
    "type": 2,
    "acl": [
        {
            "uri": "gw/devices",
            "methods": ["GET", "POST", "PUT", "DELETE"],
            "submodules": [{"name": name, "methods": ["GET", "POST", "PUT", "DELETE"]} for name in SUBMODULES],
        }
    ],
}
COMMANDS = "request_video,take_photo,start_videostream,video_timeline,playback_video,request_tachograph_file"
FILE_FIELDS = "channel_id,created,device_id,meta,mime,modified,name,protected,shared,size,uploaded,url,uuid"
WAIT_S = 40.0


@dataclass(frozen=True, slots=True)
class Recorder:
    """A recorder on the road."""

    id: int
    """Id of its device."""
    name: str
    """Name of its device."""
    ident: str
    """What it presents."""
    cameras: tuple[int, int]
    """Channels of two cameras that nobody watches."""


class App:
    """One application in one page."""

    def __init__(self, page: Page, token: str, screens: Path) -> None:
        self.page = page
        self.screen = Screen(page, screens)
        page.evaluate("token => { window.client = new Client(token) }", token)

    def do(self, name: str, *arguments: Any) -> Any:
        """Call a method of the client."""
        return self.page.evaluate("([name, given]) => client[name](...given)", [name, list(arguments)])

    def show(self, name: str, title: str) -> None:
        """Keep a picture of the page under a name."""
        self.do("title", title)
        self.page.screenshot(path=self.screen.folder / f"{name}.png")

    def result(self, method: str, path: str, body: Any = None) -> Any:
        """The result of a REST call that works."""
        answer = self.do("rest", method, path, body) if body is not None else self.do("rest", method, path)
        assert answer["status"] == 200 and "errors" not in answer, (method, path, answer)
        return answer["result"]

    def about(self, uuid: str) -> Any:
        """What a link tells of itself, asked without a token as a share page does."""
        return self.page.evaluate("uuid => fetch(`${client.link(uuid)}?preview=json`).then((a) => a.json())", uuid)

    def get(self, path: str, data: Any = None) -> Any:
        """The result of a read."""
        answer = self.do("get", path, data) if data is not None else self.do("get", path)
        assert answer["status"] == 200 and "errors" not in answer, (path, answer)
        return answer["result"]

    def heard(self, *ids: int) -> list[dict[str, Any]]:
        """What came under these subscriptions, in the order it came."""
        every = self.page.evaluate(
            "ids => client.heard.filter(({ id }) => ids.includes(id))"
            ".map(one => ({ ...one, payload: one.text === '' ? null : JSON.parse(one.text) }))",
            list(ids),
        )
        assert isinstance(every, list)
        return every

    def until(self, look: Callable[[], Any], what: str) -> Any:
        """Ask again and again until the answer is true."""
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            if found := look():
                return found
            self.page.wait_for_timeout(50)
        said = self.page.evaluate("({ ended: client.ended, heard: client.heard.slice(-8) })")
        raise AssertionError(f"{what}: not within {WAIT_S:.0f} s; {said}")


class MediaBox(App):
    """MediaBox on the page of one device, after its page load; `loaded` keeps what each step brought."""

    def __init__(self, page: Page, server: Secure, device: int, token: str, screens: Path) -> None:
        super().__init__(page, token, screens)
        self.device = device
        path = f"/gw/devices/{device}"
        now = time.time()
        self.loaded: dict[str, Any] = {"region": self.do("regions", server.at)}
        self.loaded["token"] = self.do("connect", "mediabox")
        self.loaded["device"] = self.get(path)
        listed = "/gw/devices/all?fields=id,name,cid,configuration,media_size,connected,device_type_id"
        self.loaded["devices"] = self.get(listed)
        self.pinned = self.do("subscribe", "xflespifront/pinned/devices", {"qos": 1})
        kind = self.loaded["device"][0]["device_type_id"]
        types = f"/gw/channel-protocols/all/device-types/{kind}/"
        self.loaded["types"] = self.get(f"{types}?fields=id,commands")
        self.commands = {each["name"]: each for each in self.get(f"{types}?fields=commands")[0]["commands"]}
        self.loaded["results"] = self.get(f"{path}/commands-result", {"from": now - 7 * 86400, "to": now})
        self.loaded["media"] = self.media()
        state, log = f"flespi/state{path}", f"flespi/log{path}"
        self.connections = self.do("subscribe", f"{state}/connections/+", {"qos": 1, "rh": 1})
        self.files = self.do("subscribe", f"{log}/media_file_uploaded,media_file_updated")
        happened = "queued,sent,processed,canceled,expired"
        self.lines = self.do("subscribe", f"{log}/commands-queue/{COMMANDS}/{happened}")
        self.queue = self.do("subscribe", f"{state}/commands-queue/+")
        self.do("files", self.loaded["media"])

    def media(self, **data: Any) -> Any:
        """The files of this month."""
        now = time.time()
        period = f"created>{now - 31 * 86400}&&created<{now + 86400}"
        return self.get(f"/gw/devices/{self.device}/media", {"filter": period, "fields": FILE_FIELDS, **data})

    def send(self, name: str, properties: dict[str, Any]) -> int:
        """Fill in a command's form and queue it, as its dialog does; its id."""
        said = self.do("form", self.commands[name]["schema"], properties)
        self.show(f"form-{name}", f"The form of {name}")
        body = [{"name": name, "properties": said, "ttl": 600}]
        return int(self.result("POST", f"/gw/devices/{self.device}/commands-queue", body)[0]["id"])

    def outcome(self, command: int, name: str) -> Any:
        """The response of a command, once it went its whole way in the order that MediaBox depends on."""

        def way() -> list[dict[str, Any]]:
            mine = self.heard(self.lines, self.queue)
            return [
                one
                for one in mine
                if one["topic"].endswith(f"/{command}") or (one["payload"] or {}).get("id") == command
            ]

        def cleared() -> bool:
            states = [one for one in way() if one["id"] == self.queue]
            return bool(states) and states[-1]["payload"] is None

        self.until(cleared, f"{name} leaves the queue")
        went = way()
        assert went[0]["id"] == self.queue and isinstance(went[0]["payload"]["properties"], dict), went
        lines = [one for one in went if one["id"] == self.lines]
        assert [one["topic"].rsplit("/", 2)[1:] for one in lines] == [
            [name, step] for step in ("queued", "sent", "processed")
        ]
        times = [one["payload"]["timestamp"] for one in lines]
        assert times == sorted(set(times)) and times[0] >= went[0]["payload"]["timestamp"]
        assert went[-1]["id"] == self.queue and went[-1]["payload"] is None, (
            "the end is told before it leaves the queue"
        )
        final = lines[-1]["payload"]
        assert final["executed"] is True, final
        return final["response"]

    def moves(self, video: str, seconds: float) -> None:
        """Wait until a video has played for some seconds."""
        look = "id => document.getElementById(id).currentTime"
        first = self.until(lambda: self.page.evaluate(look, video), f"{video} plays")
        self.until(lambda: self.page.evaluate(look, video) > first + seconds, f"{video} goes on")

    def record_of(self, uuid: str, code: int, **fields: Any) -> dict[str, Any]:
        """The log record of a file with these values, as it goes straight into the list of files."""
        wanted = {"uuid": uuid, "event_code": code, **fields}

        def found() -> Any:
            told = (one["payload"] for one in self.heard(self.files))
            return next((record for record in told if wanted.items() <= record.items()), None)

        record = self.until(found, f"event {code} of {uuid}")
        assert set(record) >= {"uuid", "name", "mime", "meta", "created", "size", "protected", "uploaded"}
        assert not {"preview", "content"} & set(record)
        return dict(record)


def opened(browser: Browser, address: str) -> Page:
    page = browser.new_context(viewport={"width": 1200, "height": 760}).new_page()
    page.goto(address)
    return page


def opened_there(browser: Browser, server: Secure, folder: Path) -> Page:
    """The application in a folder, on the server's own origin, as a proxy would put it there (rest-api.md 1.1)."""
    page = browser.new_context(viewport={"width": 1200, "height": 760}).new_page()
    page.route(f"{server.at}/app/*", lambda route: route.fulfill(path=folder / route.request.url.rpartition("/")[2]))
    page.goto(f"{server.at}/app/index.html")
    return page


def picture() -> str:
    """A photo, base64."""
    out = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 40, 40)).save(out, "JPEG")
    return base64.b64encode(out.getvalue()).decode()
