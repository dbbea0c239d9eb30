"""A terminal that talks to a session: what it says goes in as bytes, what it hears comes back decoded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from wayframe.protocols.device import (
    CommandRequest,
    CommandState,
    CommandUpdate,
    DeviceProfile,
    Endpoints,
    MediaNews,
    Reports,
    SessionEvent,
)
from wayframe.protocols.jt808 import Jt808Session, SessionSettings
from wayframe.protocols.jt808.frames import Frame, FrameSplitter, Layout, decode_frame, encode_frame, split_body
from wayframe.protocols.jt808.identity import authentication_code
from wayframe.protocols.jt808.ids import MessageId
from wayframe.protocols.jt808.location import Item, Location
from wayframe.protocols.jt808.messages import KNOWN, GeneralResponse, decode_body
from wayframe.protocols.jt808.multimedia import MediaEvent, MediaUpload
from wayframe.protocols.jt808.terminal import Registration

SECRET = b"the node's secret"
NUMBER = bytes.fromhex("013912345678")
IDENT = "13912345678"
START = 1_780_000_000.0
ENDPOINTS = Endpoints("video.example", 8810, 8811, 8812, 8821)
CODE = authentication_code(SECRET, NUMBER)
LOCATION = Location(0, 3, 10_000_000, 20_000_000, 50, 600, 90, "260529042640")
"""26-05-29 04:26:40 in UTC+8, an hour and a bit before START."""
PICTURE = b"\xff\xd8" + bytes(range(256)) * 8 + b"\xff\xd9"

E = TypeVar("E")


@dataclass(frozen=True)
class Heard:
    """A message from the platform."""

    id: int
    serial: int
    message: Any
    frame: Frame


@dataclass
class Terminal:
    """Both ends of a connection, with a clock that the test moves."""

    settings: SessionSettings = field(default_factory=SessionSettings)
    layout: Layout = Layout.V2013
    number: bytes = NUMBER
    offset_s: int = 8 * 3600
    now: float = START
    serial: int = 100
    auto_accept: bool = True
    ftp_port: int = 8821

    def __post_init__(self) -> None:
        tokens = iter(range(1, 1000))
        endpoints = replace(ENDPOINTS, ftp_port=self.ftp_port)
        self.session = Jt808Session(endpoints, SECRET, self.settings, lambda n: f"{next(tokens):0{2 * n}x}")
        self.seen: list[SessionEvent] = []
        self.heard: list[Heard] = []
        self._splitter = FrameSplitter()

    # --- the terminal's side

    def frame(self, message_id: int, body: bytes = b"", package: tuple[int, int] | None = None) -> bytes:
        self.serial = self.serial + 1 & 0xFFFF
        return encode_frame(
            message_id, body, layout=self.layout, number=self.number, serial=self.serial, package=package
        )

    def say(self, message_id: int, body: bytes = b"") -> list[Heard]:
        """Send a message and listen."""
        return self.send(self.frame(message_id, body))

    def send(self, data: bytes) -> list[Heard]:
        self.session.receive(data, self.now)
        return self.listen()

    def parts(self, message_id: int, body: bytes, size: int = 500) -> list[bytes]:
        """The frames of a long message."""
        pieces = split_body(body, size)
        return [self.frame(message_id, piece, (len(pieces), n)) for n, piece in enumerate(pieces, 1)]

    def respond(self, to: Heard, result: int = 0) -> list[Heard]:
        """0x0001."""
        return self.say(MessageId.TERMINAL_RESPONSE, GeneralResponse(to.serial, to.id, result).encode(self.layout))

    def register(self) -> list[Heard]:
        hello = Registration(11, 1, "MAKER", "MODEL", "T000001", 1, "A123")
        return self.say(MessageId.REGISTER, hello.encode(self.layout))

    def authenticate(self, code: str = CODE) -> list[Heard]:
        return self.say(MessageId.AUTHENTICATE, code.encode())

    def report(self, location: Location = LOCATION) -> list[Heard]:
        return self.say(MessageId.LOCATION, location.encode())

    # --- the gateway's side

    def listen(self) -> list[Heard]:
        """Carry out the gateway's part, and return what the terminal hears."""
        while events := self.session.events():
            for event in events:
                self.seen.append(event)
                if self.auto_accept and type(event).__name__ == "Identify":
                    self.session.accept(DeviceProfile(7, IDENT, self.offset_s), self.now)
        heard = []
        for raw in self._splitter.feed(self.session.data_to_send()):
            frame = decode_frame(raw)
            header = frame.header
            whole = header.package is None and header.message_id in KNOWN
            message = decode_body(header.message_id, frame.body, header.layout) if whole else None
            heard.append(Heard(header.message_id, header.serial, message, frame))
        self.heard += heard
        return heard

    def wait(self, seconds: float) -> list[Heard]:
        """Let time pass as the gateway does: tick whenever the session asks for it."""
        end = self.now + seconds
        heard: list[Heard] = []
        while (due := self.session.next_tick()) is not None and due <= end:
            self.now = max(self.now, due)
            self.session.tick(self.now)
            heard += self.listen()
        self.now = end
        return heard

    def order(self, name: str, command_id: int = 1, **properties: object) -> list[Heard]:
        """Execute a command."""
        given = {key.rstrip("_"): value for key, value in properties.items()}
        self.session.execute(CommandRequest(command_id, name, given, self.now + 60), self.now)
        return self.listen()

    def news(self, news: MediaNews, position: float = 0.0, command_id: int = 1) -> list[Heard]:
        self.session.media_event(command_id, news, self.now, position)
        return self.listen()

    # --- looking back

    def events(self, kind: type[E]) -> list[E]:
        """Take the events of a kind that were seen."""
        found = [event for event in self.seen if isinstance(event, kind)]
        self.seen = [event for event in self.seen if not isinstance(event, kind)]
        return found

    def store(self, ok: bool = True) -> list[Heard]:
        """Make all reports durable."""
        for event in self.events(Reports):
            self.session.reports_stored(event.token, ok, self.now)
        return self.listen()

    def outcome(self) -> CommandUpdate | None:
        """How a command ended."""
        found = [update for update in self.events(CommandUpdate) if update.state is not CommandState.SENT]
        return found[-1] if found else None


def online(layout: Layout = Layout.V2013, **settings: Any) -> Terminal:
    """A terminal that has authenticated itself; what it said and heard until then is forgotten."""
    terminal = Terminal(SessionSettings(**settings), layout, NUMBER if layout.number_length == 6 else bytes(4) + NUMBER)
    terminal.say(MessageId.AUTHENTICATE, authentication_code(SECRET, terminal.number).encode())
    terminal.seen.clear()
    terminal.heard.clear()
    return terminal


def results(heard: Iterable[Heard]) -> list[tuple[int, int, int]]:
    """The 0x8001 among what was heard: (serial, id, result)."""
    return [
        (h.message.reply_serial, h.message.reply_id, h.message.result)
        for h in heard
        if h.id == MessageId.PLATFORM_RESPONSE
    ]


def only(heard: list[Heard], message_id: int) -> Heard:
    """The one message of that id."""
    (found,) = [h for h in heard if h.id == message_id]
    return found


def upload(media_id: int = 17, event: int = 0, channel: int = 1, data: bytes = PICTURE) -> bytes:
    """Body of a 0x0801."""
    return MediaUpload(MediaEvent(media_id, 0, 0, event, channel), LOCATION, data).encode(Layout.V2013)


def with_items(*items: tuple[int, str], alarm: int = 0, status: int = 3, time: str = LOCATION.time) -> Location:
    """A location with additional items."""
    raw = tuple(Item(id, bytes.fromhex(value)) for id, value in items)
    return Location(alarm, status, 10_000_000, 20_000_000, 50, 600, 90, time, raw)
