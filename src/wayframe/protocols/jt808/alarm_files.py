"""Asking for the files of active safety alarms, once for each (T/JSATL 12 4.5; reference jt1078.md section 9)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from ..device import AttachmentsExpected, Endpoints
from ..jt1078.alarms import SafetyAlarm
from ..jt1078.attachment_messages import AttachmentRequest
from .mapping import DeviceMessage

OLD_ALARM_S = 24 * 3600
"""Alarms in batches that are older were asked for when they were new."""
_REMEMBER = 1000


class AlarmFiles:
    """The alarms of one session whose files were asked for."""

    def __init__(self, endpoints: Endpoints, token_hex: Callable[[int], str]) -> None:
        """`token_hex` makes the alarm numbers, which are the capability to upload."""
        self._endpoints = endpoints
        self._token_hex = token_hex
        self._asked: OrderedDict[bytes, None] = OrderedDict()

    def request(
        self, alarm: SafetyAlarm, message: DeviceMessage, offset_s: int, now: float, *, batch: bool
    ) -> tuple[AttachmentsExpected, AttachmentRequest] | None:
        """What to tell the gateway and the terminal; None if there is nothing to ask for."""
        identifier = alarm.identifier
        reported = message.get("timestamp")
        created = identifier.unix_time(offset_s) or (reported if isinstance(reported, float) else now)
        if not identifier.attachments or identifier.raw in self._asked or (batch and created < now - OLD_ALARM_S):
            return None
        self._asked[identifier.raw] = None
        while len(self._asked) > _REMEMBER:
            self._asked.popitem(last=False)
        number = self._token_hex(16)
        host, port = self._endpoints.host, self._endpoints.attachments_port
        expected = AttachmentsExpected(number, identifier.raw, created, dict(message))
        return expected, AttachmentRequest(host, port, 0, identifier, number)
