"""Recordings that the terminal uploads by FTP (JT/T 1078 5.6.4 to 5.6.6; reference jt1078.md 6.4)."""

from __future__ import annotations

import math

from ..device import FilesExpected, FilesSent, MediaNews
from ..jt1078.signalling import FtpUpload, FtpUploadControl, FtpUploadFinished
from ..jt1078.times import unix_to_bcd
from .ids import MessageId
from .procedures import Procedure, integer, number, string

_CANCEL = 2
_STREAMS = {"main": 1, "sub": 2}


class FtpClip(Procedure):
    """request_video with the method `ftp`; properties `channel`, `from`, `duration`, `quality`.

    0x9206, then the terminal uploads by itself and says so with 0x1206. Whether and what it uploaded is seen at the FTP
    door, which also has the last word: many terminals leave one of the messages out.
    """

    query = True
    answers = frozenset({MessageId.FTP_RESULT})

    def start(self, now: float) -> None:
        """Have the door opened, then send 0x9206."""
        given, endpoints, offset = (
            self.request.properties,
            self.context.endpoints,
            self.context.profile.timezone_offset_s,
        )
        if not endpoints.ftp_port:
            self.fail("this server takes no files by FTP: set ftp_port, or ask with the method stream")
            return
        begin, duration = number(given, "from"), number(given, "duration")
        expected = FilesExpected(
            command_id=self.request.id,
            user=self.context.token_hex(8),
            password=self.context.token_hex(8),
            folder=f"/{self.context.token_hex(16)}",
            address=f"{endpoints.host}:{endpoints.ftp_port}",
            channel=integer(given, "channel", 1),
            start=begin,
            duration=duration,
            timezone_offset_s=offset,
        )
        try:
            message = FtpUpload(
                host=endpoints.host,
                port=endpoints.ftp_port,
                user=expected.user,
                password=expected.password,
                path=expected.folder,
                channel=expected.channel,
                start=unix_to_bcd(math.floor(begin), offset),
                end=unix_to_bcd(math.ceil(begin + duration), offset),
                stream=_STREAMS.get(string(given, "quality"), 0),
            )
        except ValueError as error:
            self.fail(f"the device's clock cannot express that time: {error}")
            return
        self.context.emit(expected)
        self.ask(message.ID, message.encode(), now)

    def accepted(self, now: float) -> None:
        """The upload is to come."""

    def unanswered(self, now: float) -> None:
        """What counts is the upload, not the answer."""

    def answered(self, message: object, now: float) -> bool:
        """0x1206: the terminal is done."""
        if not isinstance(message, FtpUploadFinished) or not self.asked_with(message.reply_serial):
            return False
        self.settle()
        self.context.emit(FilesSent(self.request.id, message.result == 0))
        return True

    def media(self, news: MediaNews, now: float, position: float) -> None:
        """The door is closed, with files or without."""
        if news is MediaNews.STOPPED:
            self.cancel(now)
        elif news is MediaNews.FINISHED:
            self.over = True

    def cancel(self, now: float) -> None:
        """0x9207 cancel: nobody takes what is still to come."""
        sent = self._sent
        if sent is not None:
            message = FtpUploadControl(sent.serials[-1], _CANCEL)
            self.tell(message.ID, message.encode(), now)
        self.over = True
