"""What ends a command with one line on stderr."""

from __future__ import annotations


class CommandError(Exception):
    """A command failed; the text says what was wrong and what to do."""

    def __init__(self, text: str, exit_code: int = 1) -> None:
        super().__init__(text)
        self.exit_code = exit_code
        """1 for a failure, 2 for wrong use."""
