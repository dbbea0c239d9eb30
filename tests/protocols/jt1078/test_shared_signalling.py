"""The shared signalling vectors: every body decodes to the recorded values and encodes to the same bytes."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wayframe.protocols.jt808.frames import decode_frame, unescape
from wayframe.protocols.jt1078 import AlarmIdentifier, decode_body

pytestmark = pytest.mark.shared

# Names of the vectors that differ from the fields of our records.
RENAMED = {
    "audio_frame_length": "audio_frame_len",
    "audio_output": "audio_out",
    "max_audio_channels": "max_audio",
    "max_video_channels": "max_video",
    "loss_percent": "loss",
    "total": "count",
    "identifier": "alarm_identifier",
}
TIMES = ("start", "end", "position", "time")


def iso(bcd: str) -> str:
    year, month, day, hour, minute, second = (bcd[at : at + 2] for at in range(0, 12, 2))
    return f"20{year}-{month}-{day}T{hour}:{minute}:{second}"


def identifier(value: AlarmIdentifier) -> dict[str, Any]:
    return {
        "terminal_id": value.terminal_id,
        "time": iso(value.time),
        "sequence": value.sequence,
        "attachments": value.attachments,
        "reserved": value.reserved.hex(),
    }


def shown(message: Any, message_id: int) -> dict[str, Any]:
    """A record in the terms of the vectors."""
    got: dict[str, Any] = {}
    for field in dataclasses.fields(message):
        value = getattr(message, field.name)
        if field.name in TIMES:
            value = iso(value)
        elif isinstance(value, AlarmIdentifier):
            value = identifier(value)
        elif field.name == "terminal_id":
            value = value.strip(b"\0").decode()
        elif isinstance(value, bytes):
            value = value.hex()
        got[RENAMED.get(field.name, field.name)] = value
    return SPECIAL.get(message_id, lambda message, got: got)(message, got)


def recording_list(message: Any, got: dict[str, Any]) -> dict[str, Any]:
    return {**got, "items": [shown(item, 0) for item in message.items]}


def live_request(message: Any, got: dict[str, Any]) -> dict[str, Any]:
    return {"ip": got.pop("host"), **got}


def attachment_list(message: Any, got: dict[str, Any]) -> dict[str, Any]:
    files = [{"name": file.name, "size": file.size} for file in message.files]
    return {**got, "files": files, "count": len(files)}


def file_message(message: Any, got: dict[str, Any]) -> dict[str, Any]:
    return {"name": message.name, "type": message.type, "size": message.size}


def file_reply(message: Any, got: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": message.name,
        "type": message.type,
        "result": message.result,
        "count": len(message.ranges),
        "retransmit": [{"offset": offset, "length": length} for offset, length in message.ranges],
    }


SPECIAL: dict[int, Callable[[Any, dict[str, Any]], dict[str, Any]]] = {
    0x1205: recording_list,
    0x9101: live_request,
    0x9201: live_request,
    0x1210: attachment_list,
    0x1211: file_message,
    0x1212: file_message,
    0x9212: file_reply,
}


def test_every_body(shared: Path) -> None:
    cases = json.loads((shared / "vectors/jt1078.json").read_text())["signalling"]
    for case in cases:
        frame = decode_frame(unescape(bytes.fromhex(case["hex"])[1:-1]))
        message = decode_body(frame.header.message_id, frame.body)
        assert frame.header.message_id == message.ID, case["id"]
        assert shown(message, message.ID) == case["body"], case["id"]
        assert message.encode() == frame.body, case["id"]
