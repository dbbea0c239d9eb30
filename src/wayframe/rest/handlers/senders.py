"""What goes out over streams and SMS modems (rest-api.md 4, 5.5). Nothing here carries it: what is asked is checked,
and the answer says what is missing. Histories are empty.
"""

from __future__ import annotations

from wayframe.model import Conflict, Json
from wayframe.rest.context import Call
from wayframe.rest.exchange import Answer
from wayframe.services.bodies import parse_body
from wayframe.services.entries import Entry
from wayframe.services.item_bodies import SmsBody

from .history import given_messages
from .shared import each


async def stream_messages(call: Call) -> Answer:
    """POST /gw/streams/{sel}/messages: hand messages to streams."""
    given_messages(call)

    async def hand_over(entry: Entry) -> Json:
        if not entry.view["enabled"]:
            raise Conflict(f"stream {entry.id} is not enabled", item_id=entry.id)
        raise Conflict(f"stream {entry.id} is not running: this server passes no messages on", item_id=entry.id)

    return await each(await call.entries(), hand_over, "stream")


async def sms(call: Call) -> Answer:
    """POST /gw/devices/{sel}/sms: send text to devices."""
    for body in call.objects():
        parse_body(SmsBody, body)

    async def send(entry: Entry) -> Json:
        if not entry.device.configuration.get("phone"):
            raise Conflict(f"device {entry.id} has no number: `configuration.phone` is empty", item_id=entry.id)
        raise Conflict(f"no SMS modem could send to device {entry.id}", item_id=entry.id)

    return await each(await call.entries(), send, "device")
