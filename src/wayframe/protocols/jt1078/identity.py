"""6 or 10: the length of the number field, by the structure of the first packet (reference 4.3, step 2)."""

from __future__ import annotations

from typing import Final

from .packets import HEADER_LENGTHS, MAGIC, MAX_BODY

NEITHER: Final = -1
"""Neither length makes a packet of these bytes."""


def length_by_structure(buffer: bytearray, at: int) -> int:
    """6 or 10, 0 while more bytes are needed, `NEITHER`; at least 20 bytes from `at` on have to be there.

    A length is possible when data type and part exist, and right when the next packet starts where the length field
    says. If both readings fall at that, 6 is assumed: the standard knows no other.
    """
    headers: dict[int, int] = {}
    for length in (6, 10):
        kind_part = buffer[at + length + 9]
        if kind_part >> 4 <= 4 and kind_part & 0x0F <= 3:
            headers[length] = HEADER_LENGTHS[length, kind_part >> 4]
    if len(headers) < 2:
        return next(iter(headers), NEITHER)
    for length, header in tuple(headers.items()):
        if len(buffer) - at < header:
            continue
        size = int.from_bytes(buffer[at + header - 2 : at + header], "big")
        following = buffer[at + header + size : at + header + size + 4]
        if size <= MAX_BODY and following == MAGIC:
            return length
        if size > MAX_BODY or following != MAGIC[: len(following)]:
            del headers[length]
    return next(iter(headers), 6) if len(headers) < 2 else 0
