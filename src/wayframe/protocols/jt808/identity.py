"""Who a terminal is: idents from its number, and the authentication code it is given (reference sections 3.3, 3.4)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from .frames import Frame
from .ids import MessageId
from .terminal import Authentication, Registration

_CODE_BYTES = 8


def candidates(number: bytes) -> tuple[str, ...]:
    """Idents to look a terminal number up by, in order.

    Decimal: digits without leading zeros, the 12-digit form, the 20-digit form. Otherwise the maker packed an IMEI
    without its check digit as an integer: that number with its Luhn digit, then the field in hex.
    """
    digits = number.hex()
    if digits.isdecimal():
        plain = digits.lstrip("0") or "0"
        forms = [plain] + [plain.zfill(length) for length in (12, 20) if len(plain) <= length]
    else:
        packed = str(int.from_bytes(number, "big"))
        forms = [packed + luhn_digit(packed), digits]
    return tuple(dict.fromkeys(forms))


def luhn_digit(digits: str) -> str:
    """The check digit that completes a row of decimal digits (ISO/IEC 7812-1)."""
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 if position % 2 else 2)
        total += value - 9 if value > 9 else value
    return str(-total % 10)


def authentication_code(secret: bytes, number: bytes) -> str:
    """The code of a terminal, 16 hex digits: derived, so that no state has to be kept."""
    return hmac.new(secret, number, hashlib.sha256).digest()[:_CODE_BYTES].hex()


def is_code(secret: bytes, number: bytes, code: str) -> bool:
    """Whether the code is the one this platform issued for the number; compared in constant time."""
    return hmac.compare_digest(authentication_code(secret, number).encode(), code.encode("utf-8", "replace"))


@dataclass(frozen=True, slots=True)
class Introduction:
    """What a terminal says of itself at the beginning."""

    proven: bool = False
    """Whether it presents the code that was issued to its number."""
    details: Mapping[str, str] = field(default_factory=dict)
    """Maker, model, plate, IMEI, software version."""


def introduction(frame: Frame, secret: bytes) -> Introduction:
    """The introduction in a first message. Raises `BodyError`."""
    number, layout = frame.header.number, frame.header.layout
    if frame.header.message_id == MessageId.REGISTER:
        hello = Registration.decode(frame.body, layout)
        named = {"maker": hello.maker, "model": hello.model, "terminal_id": hello.terminal_id}
        # Without a plate colour the plate is the chassis number (S13 8.5).
        return Introduction(False, _filled({**named, "plate" if hello.plate_color else "vin": hello.plate}))
    if frame.header.message_id == MessageId.AUTHENTICATE:
        login = Authentication.decode(frame.body, layout)
        details = _filled({"imei": login.imei, "software_version": login.software})
        return Introduction(is_code(secret, number, login.code), details)
    return Introduction()


def _filled(texts: Mapping[str, str]) -> Mapping[str, str]:
    return {name: text for name, text in texts.items() if text}
