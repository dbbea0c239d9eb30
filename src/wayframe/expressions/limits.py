"""The fixed bounds of the language (reference, section 14)."""

from __future__ import annotations

MAX_TEXT = 4096
"""Characters in one expression or selector."""
MAX_TOKENS = 1000
"""Tokens in one expression."""
MAX_NESTING = 64
"""Depth of parentheses, brackets, calls, unary operators and `?:` inside `?:`."""
MAX_NAME_PARTS = 64
"""Parts of a dotted name."""
MAX_STRING = 65536
"""Characters in a string an expression makes."""
MAX_ARGUMENTS = 16
"""Arguments in one call."""
MAX_INTEGER = 2**53
"""Integers are exact up to here; larger ones become doubles."""
MAX_MATCH_WORK = 4_000_000
"""Characters of text times characters of pattern in one wildcard match with `?` after `*`."""
MAX_NUMBER_TEXT = 1024
"""A longer string never reads as a number."""
