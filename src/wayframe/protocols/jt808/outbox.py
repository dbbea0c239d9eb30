"""What a session says: events for the gateway, answers for the terminal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from ..device import CommandState, CommandUpdate, Note, SessionEvent
from ..jt1078.times import unix_to_bcd
from ..jt1078.wire import BodyError
from .ids import MessageId
from .link import Link
from .messages import GeneralResponse, Message
from .terminal import ServerTime, VendorTime

OK, FAILURE, MALFORMED, UNSUPPORTED = 0, 1, 2, 3
"""Results of a 0x8001."""


@dataclass(frozen=True, slots=True)
class Ack:
    """The message an answer is owed for."""

    serial: int
    """Its serial."""
    message_id: int
    """Its id."""


class Outbox:
    """Events and answers of one session."""

    def __init__(self, link: Link) -> None:
        """`link` leads to the terminal."""
        self._link = link
        self._events: list[SessionEvent] = []
        self._noted: set[str] = set()

    def take_events(self) -> list[SessionEvent]:
        """Take the events that have gathered."""
        events, self._events = self._events, []
        return events

    def emit(self, event: SessionEvent) -> None:
        """Tell the gateway."""
        self._events.append(event)

    def fail(self, command_id: int, reason: str, *, retry: bool = False) -> None:
        """A command will not happen."""
        self.emit(CommandUpdate(command_id, CommandState.FAILED, reason=reason, retry=retry))

    def note(self, level: str, event: str, **fields: object) -> None:
        """Something for the log."""
        self.emit(Note(level, event, fields))

    def note_once(self, level: str, event: str, **fields: object) -> None:
        """Something for the log that would fill it if said every time."""
        if event not in self._noted:
            self._noted.add(event)
            self.note(level, event, **fields)

    def send(self, message_id: int, message: Message, now: float) -> None:
        """Send a message whose answer does not matter."""
        self._link.send(message_id, message.encode(self._link.layout), now)

    def answer(self, ack: Ack, result: int, now: float) -> None:
        """0x8001; general responses themselves are never answered."""
        if ack.message_id != MessageId.TERMINAL_RESPONSE:
            self.send(MessageId.PLATFORM_RESPONSE, GeneralResponse(ack.serial, ack.message_id, result), now)

    def tell_time(self, message_id: int, now: float) -> None:
        """Answer a question for the time, in the form it was asked."""
        if message_id == MessageId.TIME_QUERY:
            self.send(MessageId.TIME_ANSWER, ServerTime(unix_to_bcd(now, 0)), now)
            return
        utc = datetime.fromtimestamp(now, UTC)
        rest = (utc.month, utc.day, utc.hour, utc.minute, utc.second)
        self.send(MessageId.VENDOR_TIME_ANSWER, VendorTime(utc.year, rest), now)

    def encrypted(self, ack: Ack, now: float) -> None:
        """No terminal is known that negotiates keys, so nothing encrypted can be read."""
        self.note_once("warning", "encrypted_message")
        self.answer(ack, UNSUPPORTED, now)

    def malformed(self, ack: Ack, error: BodyError, now: float) -> None:
        """A body does not fit its table."""
        self.note_once("warning", f"malformed_{ack.message_id:04x}", reason=str(error))
        self.answer(ack, MALFORMED, now)
