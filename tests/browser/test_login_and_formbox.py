"""The login window and the form frame, used by an application on another origin as flespi's applications use them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Frame, Page
from trusting import Secure, served

pytestmark = [pytest.mark.browser, pytest.mark.slow]

_TURNS = 200
APPLICATION = """<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><title>Application</title>
<script>
  const heard = []
  addEventListener('message', ({ data, origin }) => heard.push({ data, origin }))
</script>"""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("application")
    (folder / "index.html").write_text(APPLICATION)
    (folder / "silent.html").write_text(APPLICATION + '<meta name="referrer" content="no-referrer">')
    with served(folder) as address:
        yield address


@pytest.fixture
def application(trusting: Browser, elsewhere: str) -> Iterator[Page]:
    context = trusting.new_context(viewport={"width": 900, "height": 700})
    page = context.new_page()
    page.goto(f"{elsewhere}/index.html")
    yield page
    context.close()


def log_in_window(application: Page, server: Secure) -> Page:
    with application.expect_popup() as opened:
        application.evaluate("url => void open(url, 'login', 'width=500,height=600')", f"{server.at}/login/#/providers")
    return opened.value


def handed_over(application: Page) -> dict[str, Any]:
    """What the application was handed, and by whom."""
    application.wait_for_function("heard.some(({ data }) => String(data).startsWith('FlespiLogin|token:'))")
    (message,) = application.evaluate("heard")
    return {"origin": message["origin"], **json.loads(message["data"].removeprefix("FlespiLogin|token:"))}


def test_a_token_is_handed_to_the_page_that_opened_the_window(
    application: Page, elsewhere: str, server: Secure, screens: Path
) -> None:
    window = log_in_window(application, server)
    window.get_by_text(f"{elsewhere} asks for a token").wait_for()
    window.screenshot(path=screens / "login.png")
    window.get_by_label("Token").fill("x" * 64)
    window.get_by_role("button").click()
    window.get_by_text("The server refuses this token").wait_for()
    window.get_by_label("Token").fill(server.key)
    window.get_by_role("button", name=f"Log in to {elsewhere}").click()
    said = handed_over(application)
    assert (said["origin"], said["token"]) == (server.at, server.key)
    assert said["region"]["rest"] == server.at
    if not window.is_closed():
        window.wait_for_event("close")


def test_an_application_that_hides_its_address_is_asked_for_by_name(
    application: Page, elsewhere: str, server: Secure
) -> None:
    application.goto(f"{elsewhere}/silent.html")
    window = log_in_window(application, server)
    window.get_by_label("Token").fill(server.key)
    window.get_by_label("Address of the application").fill(f"{elsewhere}/somewhere")
    window.get_by_role("button").click()
    assert handed_over(application)["token"] == server.key


def test_the_token_goes_nowhere_else(application: Page, elsewhere: str, server: Secure) -> None:
    """The page that opened the window went away meanwhile; what came after it is another origin."""
    window = log_in_window(application, server)
    window.get_by_text(f"{elsewhere} asks for a token").wait_for()
    application.goto(elsewhere.replace("127.0.0.1", "localhost") + "/index.html")
    window.get_by_label("Token").fill(server.key)
    window.get_by_role("button").click()
    window.get_by_text("Logged in").wait_for()
    assert application.evaluate("heard") == []


def test_nobody_frames_the_login_window(application: Page, server: Secure) -> None:
    refused: list[str] = []
    application.on("console", lambda said: refused.append(said.text))
    application.set_content(f'<iframe src="{server.at}/login/"></iframe>')
    application.wait_for_timeout(300)
    assert any("frame-ancestors" in text for text in refused), refused
    assert all("Token" not in frame.content() for frame in application.frames[1:])


# ---- /formbox


class FormFrame:
    """The form in a frame, and what it says to the page around it."""

    def __init__(self, page: Page, server: Secure) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        page.evaluate(
            """src => {
              const frame = document.createElement('iframe')
              frame.style = 'width: 640px; height: 120px; border: 0'
              addEventListener('message', ({ data }) => {
                const size = /^FormBox.state:(.*resize.*)$/.exec(data)
                if (size) frame.style.height = `${JSON.parse(size[1]).resize.height}px`
              })
              document.body.append(frame)
              frame.src = src
            }""",
            f"{server.at}/formbox",
        )
        page.wait_for_function("heard.some(({ data }) => data === 'FormBox|state:{\"ready\":true}')")

    @property
    def inside(self) -> Frame:
        return self.page.frames[1]

    def show(self, schema: Any, data: Any) -> None:
        text = "FormBox|cmd:" + json.dumps({"applybtn": "", "schema": schema, "data": data})
        self.page.evaluate("text => document.querySelector('iframe').contentWindow.postMessage(text, '*')", text)
        self.page.wait_for_function("heard.some(({ data }) => data.includes('\"form\":'))")

    def said(self, kind: str) -> list[Any]:
        start = f"FormBox|{kind}:"
        texts = [message["data"] for message in self.page.evaluate("heard")]
        return [json.loads(text.removeprefix(start)) for text in texts if text.startswith(start)]

    def data(self) -> Any:
        return self.said("data")[-1]

    def tells(self, data: Any, form: str = "ok") -> None:
        """Wait until the form has told a value and its state: messages between windows take their time."""
        told: tuple[Any, str] = (None, "")
        for _ in range(_TURNS):
            told = (self.said("data")[-1], [state["form"] for state in self.said("state") if "form" in state][-1])
            if told == (data, form):
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(told)


@pytest.fixture
def form(application: Page, server: Secure) -> FormFrame:
    return FormFrame(application, server)


def test_a_command_of_a_device_is_filled_in(form: FormFrame, server: Secure, screens: Path) -> None:
    (kind,) = server.result("GET", "/gw/channel-protocols/all/device-types/5/?fields=commands")
    (command,) = (each for each in kind["commands"] if each["name"] == "request_video")
    given = {"channel": 1, "from": 1760000000.5, "method": "auto"}
    form.show(command["schema"], {"channel": 1, "from": 1760000000.5})
    form.tells(given, "duration is needed")
    form.inside.get_by_label("Duration").fill("5000")
    form.tells({**given, "duration": 5000}, "duration must be 3600 or less")
    form.inside.get_by_label("Duration").fill("30")
    form.inside.get_by_label("Quality").select_option("main")
    form.tells({**given, "duration": 30, "quality": "main"})
    form.page.wait_for_function("document.querySelector('iframe').clientHeight > 200")
    room = form.inside.evaluate("[innerHeight, document.getElementById('form').getBoundingClientRect().height]")
    assert abs(room[0] - room[1]) <= 1, "the frame is as high as the form"
    form.page.screenshot(path=screens / "command.png")
    assert form.complaints == []


def test_every_form_of_every_command_takes_its_examples(form: FormFrame, server: Secure) -> None:
    shown = 0
    for kind in server.result("GET", "/gw/channel-protocols/all/device-types/all?fields=commands"):
        for command in kind["commands"]:
            defaults = {
                name: schema["default"]
                for name, schema in command["schema"].get("properties", {}).items()
                if "default" in schema
            }
            for example in command["examples"]:
                form.page.evaluate("heard.length = 0")
                form.show(command["schema"], example["properties"])
                form.tells({**defaults, **example["properties"]})
                shown += 1
    assert shown >= 20
    assert form.complaints == []


def test_an_upload_is_described(form: FormFrame, server: Secure, screens: Path) -> None:
    schema = server.call("GET", "/gw/api.json")["definitions"]["media.file.post"]
    form.show(schema, {"type": "image"})
    form.tells({"type": "image", "meta": {"channel": 1}})
    form.inside.get_by_label("Camera channel").fill("3")
    form.inside.get_by_label("Attributes kept with the file").fill('{"case": "A1"}')
    form.tells({"type": "image", "meta": {"channel": 3}, "params": {"case": "A1"}})
    form.inside.get_by_label("Kind").select_option("Tachograph file")
    form.inside.get_by_label("vin").fill("WDB9")
    form.tells({"type": "tacho", "meta": {"vin": "WDB9"}, "params": {"case": "A1"}})
    form.page.screenshot(path=screens / "upload.png")
    assert form.complaints == []
