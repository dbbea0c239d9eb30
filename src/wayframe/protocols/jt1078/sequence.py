"""How a device counts its packets: one run of numbers for the connection as the standard means, or finer."""

from __future__ import annotations

import enum
from typing import Final

SWITCH_AFTER: Final = 3
"""Gaps explained in a row before the device is believed to count differently."""


class SequenceScope(enum.IntEnum):
    """What one run of sequence numbers covers on this device."""

    CONNECTION = 0
    CHANNEL = 1
    KIND = 2
    NONE = 3
    """The number never changes."""


class ScopeLearner:
    """Watches gaps: three in a row that a finer way of counting explains exactly switch the check to it."""

    def __init__(self) -> None:
        self._scope = SequenceScope.CONNECTION
        self._explained = dict.fromkeys(SequenceScope, 0)

    def gap(self, fits_channel: bool, fits_kind: bool, repeated: bool) -> SequenceScope:
        """A gap occurred; whether the number continues its channel, its kind of media, or just repeats."""
        for scope, fits in (
            (SequenceScope.CHANNEL, fits_channel),
            (SequenceScope.KIND, fits_kind),
            (SequenceScope.NONE, repeated),
        ):
            self._explained[scope] = self._explained[scope] + 1 if fits else 0
            if scope > self._scope and self._explained[scope] >= SWITCH_AFTER:
                self._scope = scope
                self._explained = dict.fromkeys(SequenceScope, 0)
                break
        return self._scope
