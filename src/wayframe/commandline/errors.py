"""What ends a command with one line on stderr."""

from __future__ import annotations


class CommandError(Exception):
    """A command failed; the text says what was wrong and what to do."""

    def __init__(self, text: str, exit_code: int = 1) -> None:
        super().__init__(text)
        self.exit_code = exit_code
        """1 for a failure, 2 for wrong use."""


class Refused(CommandError):
    """The server answered, and said no."""

    def __init__(self, text: str, status: int, wait_s: float = 0.0) -> None:
        super().__init__(text)
        self.status = status
        """HTTP status."""
        self.wait_s = wait_s
        """How long it asked to wait (Retry-After); 0: it did not."""


class Unreachable(CommandError):
    """The server did not answer, or the connection broke: another try may do."""
