"""What a command is while it is under way: sends, waits, and says how it ended. Sans-IO; time is passed in.

A procedure hears the answers to what it sent, complete messages of the kinds it waits for, news from its media
connection, and the clock. It speaks through its context.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ..device import (
    CommandRequest,
    CommandState,
    CommandUpdate,
    DeviceProfile,
    Endpoints,
    MediaNews,
    SessionEvent,
)
from .ids import MessageId
from .link import Link, Sent
from .multimedia import MediaUpload

RESEND_AFTER_S = (10.0, 30.0)
"""An unanswered message is repeated so long after it was sent: 10 s, then 20 s more (S13 6.1.1)."""
GIVE_UP_AFTER_S = 60.0
"""Then the terminal is taken not to answer."""
RESULTS = {1: "failed", 2: "message malformed", 3: "not supported"}
"""Results of a 0x0001 other than 0."""
NO_REPEAT = frozenset(
    {
        MessageId.TAKE_PHOTO,
        MessageId.LIVE_REQUEST,
        MessageId.PLAYBACK_REQUEST,
        MessageId.FTP_UPLOAD,
        MessageId.ATTACHMENTS,
        MessageId.CONTROL,
        MessageId.TEXT,
        MessageId.VEHICLE_CONTROL,
        MessageId.CALL_BACK,
        MessageId.TRANSPARENT_DOWN,
        MessageId.UPLOAD_MEDIA,
        MessageId.UPLOAD_ONE_MEDIA,
    }
)
"""Messages whose effect may have begun although no answer came: never sent twice."""


@dataclass(slots=True)
class Context:
    """What procedures of a session share."""

    link: Link
    """Way to the terminal."""
    endpoints: Endpoints
    """Addresses to name to it."""
    profile: DeviceProfile
    """The device."""
    emit: Callable[[SessionEvent], None]
    """Way to the gateway."""
    playing: dict[int, int] = field(default_factory=dict)
    """Channels busy with a playback, and the command behind it."""
    live: dict[int, int] = field(default_factory=dict)
    """Channels that stream live, and the command behind it."""
    token_hex: Callable[[int], str] = secrets.token_hex
    """Gives 2·n random hex digits."""


class Procedure:
    """Base of all commands. Subclasses override `start` and the hooks they need."""

    query = False
    """Whether doing it again later is safe (ruling 2)."""
    answers: frozenset[int] = frozenset()
    """Ids of the messages it waits for besides 0x0001."""

    def __init__(self, request: CommandRequest, context: Context) -> None:
        """Nothing is sent before `start`."""
        self.request = request
        self.context = context
        self.over = False
        self.once = False
        self.deadline: float | None = None
        self._sent: Sent | None = None
        self._answered = False
        self._resends = 0
        self._announced = False

    # --- what happens to it ---------------------------------------------------------------------------------------

    def start(self, now: float) -> None:
        """Send the first message."""
        raise NotImplementedError

    def responded(self, result: int, now: float) -> None:
        """A 0x0001 for the last message sent."""
        self._answered = True
        if result:
            self.refused(result, now)
        else:
            self.accepted(now)

    def accepted(self, now: float) -> None:
        """The terminal took the message."""
        self.done("accepted")

    def refused(self, result: int, now: float) -> None:
        """The terminal refused the message."""
        self.fail(f"the device answered: {RESULTS.get(result, f'result {result}')}", retry=self.query and result == 1)

    def answered(self, message: object, now: float) -> bool:
        """A complete message of `answers`; True if it is this procedure's."""
        return False

    def part(self, message_id: int, now: float) -> None:
        """A part of a long message came; whose it is shows only when it is complete."""

    def claims(self, upload: MediaUpload, now: float) -> bool:
        """Whether an upload is what this command asked for; True also ends it."""
        return False

    def media(self, news: MediaNews, now: float, position: float) -> None:
        """News from the media connection."""

    def timed_out(self, now: float) -> None:
        """`deadline` has passed."""

    def cancel(self, now: float) -> None:
        """Nobody wants it any more."""
        self.over = True

    def ended(self) -> None:
        """It is over; give back what it held."""

    # --- the clock ------------------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Repeat what was not answered, give up, and see to the deadline."""
        sent = self._sent
        if sent is not None and not self._answered:
            if now >= sent.at + GIVE_UP_AFTER_S:
                self._sent = None
                self.unanswered(now)
            elif self._repeats(sent) and now >= sent.at + RESEND_AFTER_S[self._resends]:
                self._resends += 1
                self.context.link.repeat(sent)
        if not self.over and self.deadline is not None and now >= self.deadline:
            self.deadline = None
            self.timed_out(now)

    def due(self) -> float | None:
        """When `tick` is due."""
        times = [] if self.deadline is None else [self.deadline]
        if self._sent is not None and not self._answered:
            repeats = self._repeats(self._sent)
            times.append(self._sent.at + (RESEND_AFTER_S[self._resends] if repeats else GIVE_UP_AFTER_S))
        return min(times, default=None)

    def _repeats(self, sent: Sent) -> bool:
        return not self.once and sent.message_id not in NO_REPEAT and self._resends < len(RESEND_AFTER_S)

    def unanswered(self, now: float) -> None:
        """Nothing came back within `GIVE_UP_AFTER_S`."""
        if self.query:
            self.fail(f"the device did not answer within {GIVE_UP_AFTER_S:.0f} s", retry=True)
        else:
            self.fail("sent, outcome unknown")

    # --- what it does ---------------------------------------------------------------------------------------------

    def is_answer_to(self, serial: int, message_id: int) -> bool:
        """Whether a 0x0001 with that serial and id is meant for this procedure."""
        sent = self._sent
        return sent is not None and message_id == sent.message_id and serial in sent.serials

    def asked_with(self, serial: int) -> bool:
        """Whether the last message went out with that serial."""
        return self._sent is not None and serial in self._sent.serials

    def ask(self, message_id: int, body: bytes, now: float) -> None:
        """Send a message and wait for its answer."""
        self._sent = self.context.link.send(message_id, body, now)
        self._answered = False
        self._resends = 0
        if not self._announced:
            self._announced = True
            self.context.emit(CommandUpdate(self.request.id, CommandState.SENT))

    def tell(self, message_id: int, body: bytes, now: float) -> None:
        """Send a message whose answer does not matter."""
        self.context.link.send(message_id, body, now)

    def settle(self) -> None:
        """The answer came in another form than 0x0001: nothing is to be repeated."""
        self._answered = True

    def done(self, response: object) -> None:
        """It is carried out."""
        self.over = True
        self.context.emit(CommandUpdate(self.request.id, CommandState.DONE, response))

    def fail(self, reason: str, *, retry: bool = False) -> None:
        """It will not happen."""
        self.over = True
        self.context.emit(CommandUpdate(self.request.id, CommandState.FAILED, reason=reason, retry=retry))


# --- reading validated properties ------------------------------------------------------------------------------------


def integer(properties: Mapping[str, object], name: str, default: int = 0) -> int:
    """An integer property."""
    value = properties.get(name, default)
    return int(value) if isinstance(value, int | float) else default


def number(properties: Mapping[str, object], name: str, default: float = 0.0) -> float:
    """A number property."""
    value = properties.get(name, default)
    return float(value) if isinstance(value, int | float) else default


def string(properties: Mapping[str, object], name: str, default: str = "") -> str:
    """A string property."""
    value = properties.get(name, default)
    return value if isinstance(value, str) else default
