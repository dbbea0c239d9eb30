"""The server's side of one FTP control connection (RFC 959, 2389, 2428, 3659), without its socket.

Only what an upload needs: a device logs in, walks through folders that exist for it alone, and stores files. There is
nothing to list or to fetch, and no active mode. Folders and names are only words: nothing here touches a disk.

    lines ─▶ receive() ─▶ events(): OpenPassive ─▶ the door listens        ─▶ passive() | say("425 …")
                                    Receive     ─▶ bytes come, or not      ─▶ say("226 …" | "4xx …" | "5xx …")
                                    Abort, Close
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

MAX_LINE = 1024
"""Longest command."""
MAX_ATTEMPTS = 3
"""Wrong passwords before the connection is closed."""
_MAX_HELD = 4 * MAX_LINE
_MAX_NAME = 512
_MAX_DEPTH = 16
_ENCODINGS = ("utf-8", "gb18030")
"""What terminals write names in; any bytes are a name in the last resort."""
_TELNET = re.compile(rb"\xff[\xf0-\xff]?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Folder(Protocol):
    """What is behind a login."""

    def size(self, name: str) -> int | None:
        """Bytes of a file so far, None if there is none."""


@dataclass(frozen=True, slots=True)
class OpenPassive:
    """Listen for a data connection; answer with `passive` or a 425."""

    extended: bool
    """EPSV: only the port is told."""


@dataclass(frozen=True, slots=True)
class Receive:
    """A file comes over the data connection."""

    name: str
    """From `/`, normalized."""
    offset: int | None
    """Where its bytes go; None: behind those that are there."""


@dataclass(frozen=True, slots=True)
class Abort:
    """Stop the transfer under way."""


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection after what is to be sent was sent."""

    reason: str
    """For the log."""


Event = OpenPassive | Receive | Abort | Close
Login = Callable[[str, str], Folder | None]
"""The folder behind a user and a password."""


class FtpSession:
    """One control connection."""

    def __init__(self, login: Login) -> None:
        """Greets at once."""
        self.folder: Folder | None = None
        """Set by a login."""
        self._login = login
        self._input = bytearray()
        self._output = bytearray()
        self._events: list[Event] = []
        self._user = ""
        self._attempts = 0
        self._here: tuple[str, ...] = ()
        self._offset = 0
        self._opening = False
        self._receiving = False
        self._closed = False
        self.say("220 Ready.")

    # --- the door's side ------------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Take bytes from the socket."""
        self._input += data
        self._work()

    def events(self) -> Sequence[Event]:
        """Take the events that have gathered."""
        events, self._events = self._events, []
        return events

    def data_to_send(self) -> bytes:
        """Take the bytes that have gathered for the device."""
        output = bytes(self._output)
        self._output.clear()
        return output

    def passive(self, host: str, port: int, *, extended: bool) -> None:
        """The door listens for a data connection."""
        high, low = divmod(port, 256)
        plain = f"227 Entering passive mode ({host.replace('.', ',')},{high},{low})."
        self._opened(f"229 Entering extended passive mode (|||{port}|)." if extended else plain)

    def no_passive(self, why: str) -> None:
        """The door cannot."""
        self._opened(f"425 {why}.")

    def _opened(self, reply: str) -> None:
        self._opening = False
        self.say(reply)
        self._work()

    def received(self, reply: str) -> None:
        """The transfer of the last `Receive` ended so."""
        self._receiving = False
        self.say(reply)
        self._work()

    def say(self, reply: str) -> None:
        """Send a reply."""
        self._output += f"{reply}\r\n".encode()

    # --- lines ----------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        """Carry out whole lines, in order; one that must wait holds up those behind it."""
        while not self._opening and not self._closed:
            end = self._input.find(b"\n", 0, MAX_LINE + 1)
            if end < 0:
                break
            line = bytes(self._input[:end])
            del self._input[: end + 1]
            self._line(_TELNET.sub(b"", line).strip(b"\r "))
        if not self._closed and len(self._input) > (_MAX_HELD if self._opening else MAX_LINE):
            self._close("500 The command is too long.", "a command that is too long")

    def _line(self, line: bytes) -> None:
        word, _, argument = _text(line).partition(" ")
        name = word.upper()
        command = _COMMANDS.get(name)
        if command is None:
            self.say("502 Not offered: this door only takes files, in passive mode.")
        elif command.login and self.folder is None:
            self.say("530 Log in first.")
        elif command.argument and not argument.strip():
            self.say(f"501 {name} needs an argument.")
        elif self._receiving and name not in _WHILE_RECEIVING:
            self.say("450 A transfer is under way.")
        else:
            command.run(self, argument)

    def _close(self, reply: str, reason: str) -> None:
        self.say(reply)
        self._closed = True
        self._input.clear()
        self._events.append(Close(reason))

    # --- login ----------------------------------------------------------------------------------------------------

    def _on_user(self, argument: str) -> None:
        self._user, self.folder = argument.strip(), None
        self.say("331 The password, please.")

    def _on_pass(self, argument: str) -> None:
        if not self._user or self.folder is not None:
            self.say("503 Send USER first.")
            return
        self.folder = self._login(self._user, argument)
        self._user, self._here = "", ()
        if self.folder is not None:
            self.say("230 Welcome.")
            return
        self._attempts += 1
        if self._attempts >= MAX_ATTEMPTS:
            self._close("421 Too many wrong logins.", "wrong logins")
        else:
            self.say("530 Wrong user or password, or the request they were given for is over.")

    def _on_quit(self, argument: str) -> None:
        self._close("221 Goodbye.", "the device said goodbye")

    # --- folders --------------------------------------------------------------------------------------------------

    def _on_pwd(self, argument: str) -> None:
        self.say(f'257 "{_quoted(self._here)}" is the folder.')

    def _on_cwd(self, argument: str) -> None:
        path = self._path(argument)
        if path is not None:
            self._here = path
            self.say("250 Done.")

    def _on_cdup(self, argument: str) -> None:
        self._on_cwd("..")

    def _on_mkd(self, argument: str) -> None:
        """Every folder is there: files know their whole name."""
        path = self._path(argument)
        if path is not None:
            self.say(f'257 "{_quoted(path)}" is there.')

    def _path(self, argument: str) -> tuple[str, ...] | None:
        """An absolute path within the folder, of which `..` never leads out; None, and said so, if it is no name."""
        if len(argument) > _MAX_NAME or _CONTROL.search(argument):
            self.say(f"553 A name has at most {_MAX_NAME} characters, none of them a control character.")
            return None
        written = argument.strip().replace("\\", "/")
        parts = [] if written.startswith("/") else list(self._here)
        for part in written.split("/"):
            if part == "..":
                del parts[-1:]
            elif part not in ("", "."):
                parts.append(part)
        if len(parts) > _MAX_DEPTH:
            self.say(f"553 At most {_MAX_DEPTH} folders.")
            return None
        return tuple(parts)

    # --- files ----------------------------------------------------------------------------------------------------

    def _on_pasv(self, argument: str) -> None:
        self._open(extended=False)

    def _on_epsv(self, argument: str) -> None:
        if argument.strip().upper() == "ALL":
            self.say("200 Done.")
        else:
            self._open(extended=True)

    def _open(self, *, extended: bool) -> None:
        self._opening = True
        self._events.append(OpenPassive(extended))

    def _on_rest(self, argument: str) -> None:
        text = argument.strip()
        if not (text.isascii() and text.isdecimal() and len(text) < 16):
            self.say("501 REST takes a number of bytes.")
            return
        self._offset = int(text)
        self.say(f"350 The next file goes on at {self._offset}.")

    def _on_stor(self, argument: str) -> None:
        offset, self._offset = self._offset, 0
        self._receive(argument, offset)

    def _on_appe(self, argument: str) -> None:
        self._offset = 0
        self._receive(argument, None)

    def _receive(self, argument: str, offset: int | None) -> None:
        path = self._path(argument)
        if path is None:
            return
        if not path:
            self.say("553 That is a folder.")
            return
        self._receiving = True
        self._events.append(Receive("/" + "/".join(path), offset))

    def _on_size(self, argument: str) -> None:
        path = self._path(argument)
        if path is None or self.folder is None:
            return
        size = self.folder.size("/" + "/".join(path))
        self.say("550 There is no such file." if size is None else f"213 {size}")

    def _on_abor(self, argument: str) -> None:
        if self._receiving:
            self._events.append(Abort())
        else:
            self.say("226 Nothing to abort.")

    # --- the rest -------------------------------------------------------------------------------------------------

    def _on_type(self, argument: str) -> None:
        """Bytes are kept as they come, whatever a device calls them."""
        known = argument.strip().upper().split(" ")[0] in ("A", "I", "L", "E")
        self.say("200 Done." if known else "504 TYPE takes I or A.")

    def _on_mode(self, argument: str) -> None:
        self.say("200 Done." if argument.strip().upper() == "S" else "504 Only stream mode.")

    def _on_stru(self, argument: str) -> None:
        self.say("200 Done." if argument.strip().upper() == "F" else "504 Only files.")

    def _on_syst(self, argument: str) -> None:
        self.say("215 UNIX Type: L8")

    def _on_feat(self, argument: str) -> None:
        self.say("211-Features:\r\n EPSV\r\n REST STREAM\r\n SIZE\r\n UTF8\r\n211 End.")

    def _on_noop(self, argument: str) -> None:
        self.say("200 Done.")

    def _on_allo(self, argument: str) -> None:
        self.say("202 Not needed.")


@dataclass(frozen=True, slots=True)
class _Command:
    run: Callable[[FtpSession, str], None]
    login: bool = True
    argument: bool = False


_S = FtpSession
_COMMANDS: Mapping[str, _Command] = {
    "USER": _Command(_S._on_user, login=False, argument=True),
    "PASS": _Command(_S._on_pass, login=False),
    "QUIT": _Command(_S._on_quit, login=False),
    "SYST": _Command(_S._on_syst, login=False),
    "FEAT": _Command(_S._on_feat, login=False),
    "NOOP": _Command(_S._on_noop, login=False),
    "OPTS": _Command(_S._on_noop, login=False),
    "PWD": _Command(_S._on_pwd),
    "XPWD": _Command(_S._on_pwd),
    "CWD": _Command(_S._on_cwd, argument=True),
    "XCWD": _Command(_S._on_cwd, argument=True),
    "CDUP": _Command(_S._on_cdup),
    "XCUP": _Command(_S._on_cdup),
    "MKD": _Command(_S._on_mkd, argument=True),
    "XMKD": _Command(_S._on_mkd, argument=True),
    "TYPE": _Command(_S._on_type, argument=True),
    "MODE": _Command(_S._on_mode, argument=True),
    "STRU": _Command(_S._on_stru, argument=True),
    "ALLO": _Command(_S._on_allo),
    "PASV": _Command(_S._on_pasv),
    "EPSV": _Command(_S._on_epsv),
    "REST": _Command(_S._on_rest, argument=True),
    "STOR": _Command(_S._on_stor, argument=True),
    "APPE": _Command(_S._on_appe, argument=True),
    "SIZE": _Command(_S._on_size, argument=True),
    "ABOR": _Command(_S._on_abor),
}
_WHILE_RECEIVING = frozenset(("ABOR", "NOOP", "QUIT", "SIZE", "SYST", "PWD", "XPWD"))


def _text(line: bytes) -> str:
    for encoding in _ENCODINGS:
        try:
            return line.decode(encoding)
        except UnicodeDecodeError:
            continue
    return line.decode("latin-1")


def _quoted(path: tuple[str, ...]) -> str:
    return ("/" + "/".join(path)).replace('"', '""')
