"""Messages between the server and its worker processes: two lengths, a JSON object, raw bytes.

Nothing is unpickled, so a worker that a hostile file took over cannot run code in the server.
"""

from __future__ import annotations

import json
import struct
from typing import Any

HEAD = struct.Struct(">II")
LARGEST_JSON = 1024 * 1024
LARGEST_BLOB = 64 * 1024 * 1024


def pack(message: dict[str, Any], blob: bytes = b"") -> bytes:
    """One message, ready to be written. Raises ValueError beyond the limits."""
    text = json.dumps(message, separators=(",", ":")).encode()
    if len(text) > LARGEST_JSON or len(blob) > LARGEST_BLOB:
        raise ValueError(f"message of {len(text)} + {len(blob)} bytes is too large for a worker")
    return HEAD.pack(len(text), len(blob)) + text + blob


def lengths(head: bytes) -> tuple[int, int]:
    """Sizes of JSON and bytes from a message's head. Raises ValueError beyond the limits."""
    text, blob = HEAD.unpack(head)
    if text > LARGEST_JSON or blob > LARGEST_BLOB:
        raise ValueError(f"a worker announced a message of {text} + {blob} bytes")
    return text, blob


def unpack(text: bytes) -> dict[str, Any]:
    """The JSON object of a message. Raises ValueError when it is none."""
    message = json.loads(text)
    if not isinstance(message, dict):
        raise ValueError("a worker message must be a JSON object")
    return message
