"""The FTP door: sockets around `FtpSession`, and the bytes of files on their way into transfers."""

from __future__ import annotations

import asyncio
import errno
import random
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from wayframe.gateway.peers import Admission, Peer
from wayframe.model import StorageFull, TooLarge, WayframeError
from wayframe.services import Background, Transfer, Transfers
from wayframe.services.transfers import Incoming

from .ftp_session import Abort, Close, Folder, FtpSession, OpenPassive, Receive

log = structlog.get_logger("wayframe.intake")

_BACKLOG = 128
_MAX_STRANGERS = 64
"""Most connections without a login; only devices that were asked just now have business here."""
_LOGIN_S = 30.0
_IDLE_S = 300.0
_CONNECT_S = 30.0
"""A data connection must come so long after PASV or EPSV."""
_STALL_S = 60.0
"""A data connection without a byte for so long is dead."""
_DRAIN_BYTES = 1 << 20
_FULL = "552"
_REFUSED = "553"


@dataclass(frozen=True, slots=True)
class FtpSettings:
    """Where the door is."""

    host: str
    """Address to bind."""
    port: int
    """Port of control connections; 0: the door stays shut."""
    public_host: str
    """Host that devices are told for data connections; empty: the address their control connection came in on."""
    passive_ports: Sequence[int]
    """Ports of data connections; empty: any free one."""


class _Data(Peer):
    """One data connection: reads into a file as soon as there is one."""

    def __init__(self, control: _Control, admission: Admission) -> None:
        super().__init__(admission)
        self.log = control.log
        self.why = ""
        """The reply for a file that cannot be taken."""
        self.whole = False
        """The device ended it in good order."""
        self._control = control
        self._file: Incoming | None = None
        self._seen = 0
        self._undrained = 0

    def opened(self) -> None:
        assert self._transport is not None
        self._transport.pause_reading()
        if not self._control.data_came(self):
            self.end(4, "no data connection is expected from there", abort=True)
            return
        self.wake_at(_STALL_S)

    def take(self, file: Incoming) -> None:
        """Bytes belong to this file."""
        self._file = file
        self._read_on()

    def _read_on(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def received(self, data: bytes) -> None:
        file = self._file
        if file is None or not file.open:
            return
        try:
            file.write(data)
        except WayframeError as error:
            self.why = f"{_FULL} {error.reason}"
            self.end(5, error.reason, abort=True)
            return
        self._undrained += len(data)
        if self._undrained >= _DRAIN_BYTES and self._transport is not None:
            self._undrained = 0
            self._transport.pause_reading()
            self._control.spawn_drained(file, self._read_on)

    def eof_received(self) -> None:
        self.whole = True

    def tick(self) -> None:
        if self.received_bytes == self._seen:
            self.end(17, f"no byte came for {_STALL_S:.0f} s", abort=True)
            return
        self._seen = self.received_bytes
        self.wake_at(_STALL_S)

    def lost(self, reason: str) -> None:
        self._control.data_lost(self)


class _Control(Peer):
    """One control connection."""

    def __init__(self, door: FtpIntake) -> None:
        super().__init__(door.admission)
        self.log = log
        self._door = door
        self._session = FtpSession(self._login)
        self._transfer: Transfer | None = None
        self._listener: asyncio.Server | None = None
        self._waiting: asyncio.TimerHandle | None = None
        self._data: _Data | None = None
        self._file: Incoming | None = None
        self._aborted = False
        self._gone = False

    # --- socket -------------------------------------------------------------------------------------------------

    def opened(self) -> None:
        self._door.peers.add(self)
        if sum(peer.stranger for peer in self._door.peers) > _MAX_STRANGERS:
            self.send(b"421 Too many connections.\r\n")
            self.end(4, "too many connections without a login")
            return
        self.wake_at(_LOGIN_S)
        self._pump()

    def received(self, data: bytes) -> None:
        self._session.receive(data)
        self._pump()

    def tick(self) -> None:
        if self._file is not None and self._transfer is not None:  # its data connection has a clock of its own
            self.wake_at(_IDLE_S)
            return
        self._session.say("421 Nothing came for too long.")
        self.send(self._session.data_to_send())
        self.end(17, "silence")

    def lost(self, reason: str) -> None:
        self._gone = True
        self._door.peers.discard(self)
        self._drop_data(reason)
        self._leave()

    def _pump(self) -> None:
        while events := self._session.events():
            for event in events:
                match event:
                    case OpenPassive():
                        self._door.spawn(self._listen(event.extended))
                    case Receive():
                        self._receive(event)
                    case Abort():
                        self._aborted = True
                        self._drop_data("aborted by the device")
                    case Close():
                        self.send(self._session.data_to_send())
                        self.end(0, event.reason)
        self.send(self._session.data_to_send())
        if not self._gone:
            self.wake_at(_IDLE_S if self._transfer is not None else _LOGIN_S)

    # --- login --------------------------------------------------------------------------------------------------

    @property
    def stranger(self) -> bool:
        """Nobody has logged in."""
        return self._transfer is None

    def _login(self, user: str, password: str) -> Folder | None:
        self._leave()
        transfer = self._door.transfers.login(user, password)
        if transfer is None or not transfer.enter(self._over):
            self.log.warning("ftp_login_refused", source=self.source, known=transfer is not None)
            return None
        self._transfer = transfer
        self.log = self.log.bind(device=transfer.entry.id, command=transfer.expected.command_id)
        self.log.info("ftp_login", source=self.source)
        return transfer

    def _leave(self) -> None:
        transfer, self._transfer = self._transfer, None
        if transfer is not None:
            transfer.leave(self._over)

    def _over(self, reason: str) -> None:
        """The transfer behind the login has ended."""
        self._drop_data(reason)
        self._leave()
        self._session.say("421 The request is over.")
        self.send(self._session.data_to_send())
        self.end(0, reason)

    # --- data connections ---------------------------------------------------------------------------------------

    async def _listen(self, extended: bool) -> None:
        self._drop_data("another data connection was asked for")
        try:
            host = "" if extended else await self._door.told_host(self.local_host)
            server = await self._door.listen(self.local_host, partial(_Data, self, self._door.admission))
        except OSError as error:
            self.log.warning("ftp_no_data_port", source=self.source, reason=str(error))
            self._session.no_passive(f"No data port can be opened: {error.strerror or error}")
            self._pump()
            return
        if self._gone:
            server.close()
            return
        self._listener = server
        self._waiting = asyncio.get_running_loop().call_later(_CONNECT_S, self._nobody_came)
        self._session.passive(host, server.sockets[0].getsockname()[1], extended=extended)
        self._pump()

    def _nobody_came(self) -> None:
        self._close_listener()
        if self._file is not None and self._data is None:
            self._end_file(whole=False, reply=f"425 No data connection came within {_CONNECT_S:.0f} s.")

    def data_came(self, data: _Data) -> bool:
        """A data connection is open. False if it is not the one that is waited for: another address, or a second."""
        if self._listener is None or _address(data.source) != _address(self.source):
            return False
        self._close_listener()
        self._data = data
        if self._file is not None:
            data.take(self._file)
        return True

    def data_lost(self, data: _Data) -> None:
        """A data connection is gone."""
        if self._data is not data:
            return
        self._data = None
        if self._file is not None:
            broken = "426 Aborted.\r\n226 Done." if self._aborted else "426 The data connection broke off."
            self._end_file(whole=data.whole, reply=data.why or ("" if data.whole else broken))

    def _close_listener(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _drop_data(self, reason: str) -> None:
        self._close_listener()
        if self._data is not None:
            self._data.end(0, reason, abort=True)
            self.data_lost(self._data)
        elif self._file is not None:
            self._end_file(whole=False, reply="426 Aborted.")

    # --- files --------------------------------------------------------------------------------------------------

    def _receive(self, event: Receive) -> None:
        transfer = self._transfer
        if transfer is None or (self._data is None and self._listener is None):
            self._session.received("425 Send PASV or EPSV first.")
            return
        try:
            self._file = transfer.begin(event.name, event.offset)
        except WayframeError as error:
            full = isinstance(error, StorageFull | TooLarge)
            self._session.received(f"{_FULL if full else _REFUSED} {error.reason}")
            self._drop_data(error.reason)
            return
        self._aborted = False
        self._session.say("150 Go on.")
        if self._data is not None:
            self._data.take(self._file)

    def _end_file(self, *, whole: bool, reply: str) -> None:
        """The file's bytes came, or not; an empty `reply` means that all is well."""
        file, self._file = self._file, None
        if file is None:
            return
        if not whole or reply:
            file.ended(False)
            self._session.received(reply)
            self._pump()
        else:
            self._door.spawn(self._settle(file))

    async def _settle(self, file: Incoming) -> None:
        try:
            await file.writer.drain()
        except WayframeError as error:
            file.ended(False)
            self._session.received(f"{_FULL} {error.reason}")
        else:
            self.log.info("ftp_file", size=file.writer.size)
            # The reply first: where this ends the transfer, it also ends the connection.
            self._session.received("226 Taken.")
            self._pump()
            file.ended(True)
        self._pump()

    def spawn_drained(self, file: Incoming, then: Callable[[], None]) -> None:
        """Call `then` when the disk has caught up."""

        async def drain() -> None:
            try:
                await file.writer.drain()
            except WayframeError as error:
                if self._data is not None:
                    self._data.why = f"{_FULL} {error.reason}"
                    self._data.end(5, error.reason, abort=True)
                return
            then()

        self._door.spawn(drain())


class FtpIntake:
    """The door."""

    def __init__(self, settings: FtpSettings, transfers: Transfers, admission: Admission) -> None:
        """`admission` counts its connections among those of devices."""
        self.transfers = transfers
        self.admission = admission
        self.peers: set[_Control] = set()
        self._settings = settings
        self._server: asyncio.Server | None = None
        self._background = Background("ftp")
        self.spawn = self._background.spawn

    async def start(self) -> None:
        """Listen, if there is a port. Raises OSError where it is taken."""
        if self._settings.port:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(
                lambda: _Control(self), self._settings.host, self._settings.port, backlog=_BACKLOG
            )

    async def stop(self) -> None:
        """Close everything."""
        if self._server is not None:
            self._server.close()
        for peer in list(self.peers):
            peer.end(7, "the server restarts", abort=True)
        await self._background.settle(3)

    async def listen(self, host: str, protocol: Callable[[], asyncio.Protocol]) -> asyncio.Server:
        """A listener for one data connection, on any of the passive ports. Raises OSError if none is free."""
        ports = list(self._settings.passive_ports)
        random.shuffle(ports)
        loop = asyncio.get_running_loop()
        for port in ports or [0]:
            try:
                return await loop.create_server(protocol, host, port, backlog=1)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
        raise OSError(errno.EADDRINUSE, "every port of ftp_passive_ports is in use")

    async def told_host(self, local_host: str) -> str:
        """The IPv4 address for the answer to PASV, which has no room for a name. Raises OSError if there is none."""
        host = self._settings.public_host or local_host.removeprefix("::ffff:")
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, None, family=socket.AF_INET, type=socket.SOCK_STREAM)
        return str(found[0][4][0])


def _address(source: str) -> str:
    return source.rpartition(":")[0].removeprefix("::ffff:")
