"""Percent-decoding as selectors and `$filter` want it: once, leaving what is no escape as it stands."""

from __future__ import annotations

import re

from .errors import SelectorError

_ESCAPE = re.compile(rb"%([0-9a-fA-F]{2})")


def to_bytes(text: bytes | str) -> bytes:
    """The bytes of an undecoded path or topic."""
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")


def percent_decode(raw: bytes | str) -> str:
    """Decode `%XX` and then UTF-8. Raises SelectorError for invalid UTF-8."""
    decoded = to_bytes(raw)
    if b"%" in decoded:
        decoded = _ESCAPE.sub(lambda found: bytes([int(found[1], 16)]), decoded)
    try:
        return decoded.decode("utf-8")
    except UnicodeDecodeError:
        raise SelectorError("the text is not UTF-8 after percent-decoding") from None
