"""The commands of one session: those under way, and those that wait for the terminal to authenticate itself."""

from __future__ import annotations

from ..device import CommandRequest, MediaNews
from .commands import procedure_for
from .messages import GeneralResponse
from .multimedia import MediaUpload
from .outbox import Outbox
from .procedures import Context, Procedure

MAX_COMMANDS = 64
"""Most commands under way or waiting."""


class Desk:
    """Hands what happens to the procedures it concerns, and lets go of those that are over."""

    def __init__(self, outbox: Outbox) -> None:
        """Nothing can be done before `open`."""
        self._outbox = outbox
        self._context: Context | None = None
        self._procedures: list[Procedure] = []
        self._waiting: list[CommandRequest] = []

    def open(self, context: Context, now: float) -> None:
        """The terminal is authenticated: begin what waited."""
        self._context = context
        waiting, self._waiting = self._waiting, []
        for request in waiting:
            self._start(request, context, now)

    def close(self) -> None:
        """The terminal logged out: new commands wait, those under way go on."""
        self._context = None

    def execute(self, request: CommandRequest, now: float) -> None:
        """Begin a command, or keep it until the terminal is authenticated."""
        if any(procedure.request.id == request.id for procedure in self._procedures):
            self._outbox.note("warning", "command_repeated", command=request.id)
        elif len(self._procedures) + len(self._waiting) >= MAX_COMMANDS:
            self._outbox.fail(request.id, "too many commands are under way", retry=True)
        elif self._context is not None:
            self._start(request, self._context, now)
        else:
            self._waiting.append(request)

    def _start(self, request: CommandRequest, context: Context, now: float) -> None:
        procedure = procedure_for(request, context)
        if procedure is None:
            self._outbox.fail(request.id, f"{request.name} is not supported by JT/T 808")
            return
        self._procedures.append(procedure)
        procedure.start(now)
        self._sweep()

    def cancel(self, command_id: int, now: float) -> None:
        """Nobody wants the command any more."""
        self._waiting = [request for request in self._waiting if request.id != command_id]
        for procedure in self._procedures:
            if procedure.request.id == command_id:
                procedure.cancel(now)
        self._sweep()

    def media_event(self, command_id: int, news: MediaNews, now: float, position: float) -> None:
        """News from a command's media connection."""
        for procedure in self._procedures:
            if procedure.request.id == command_id:
                procedure.media(news, now, position)
        self._sweep()

    def responded(self, response: GeneralResponse, now: float) -> None:
        """A 0x0001."""
        owner = next((p for p in self._procedures if p.is_answer_to(response.reply_serial, response.reply_id)), None)
        if owner is not None:
            owner.responded(response.result, now)
            self._sweep()
        elif response.result:
            message = f"0x{response.reply_id:04X}"
            self._outbox.note("info", "refused_by_device", message=message, result=response.result)

    def answered(self, message_id: int, message: object, now: float) -> None:
        """A message that may answer a command; the oldest that takes it has it."""
        for procedure in self._procedures:
            if message_id in procedure.answers and procedure.answered(message, now):
                break
        self._sweep()

    def part(self, message_id: int, now: float) -> None:
        """A part of a long message came."""
        for procedure in self._procedures:
            procedure.part(message_id, now)

    def claim(self, upload: MediaUpload, now: float) -> int | None:
        """Id of the command that an upload is the result of."""
        owner = next((procedure for procedure in self._procedures if procedure.claims(upload, now)), None)
        self._sweep()
        return owner.request.id if owner else None

    def tick(self, now: float) -> None:
        """Let timers run."""
        for procedure in self._procedures:
            procedure.tick(now)
        for request in [request for request in self._waiting if now >= request.deadline]:
            self._waiting.remove(request)
            self._outbox.fail(request.id, "the device has not authenticated itself", retry=True)
        self._sweep()

    def due(self) -> float | None:
        """When `tick` is due."""
        if not self._waiting and not self._procedures:
            return None
        times = [request.deadline for request in self._waiting]
        times += [due for procedure in self._procedures if (due := procedure.due()) is not None]
        return min(times, default=None)

    def _sweep(self) -> None:
        ended = [procedure for procedure in self._procedures if procedure.over]
        self._procedures = [procedure for procedure in self._procedures if not procedure.over]
        for procedure in ended:
            procedure.ended()
