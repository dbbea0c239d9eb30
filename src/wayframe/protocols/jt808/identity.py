"""Who a terminal is: idents from its number, and the authentication code it is given (reference sections 3.3, 3.4)."""

from __future__ import annotations

import hashlib
import hmac

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
