"""The commands of `wayframe`, one module a group; `cli` mounts them.

In come arguments, settings and the environment; out go lines on stdout (`--json` for scripts), one clear line on stderr
where something failed, and an exit code: 0 done, 1 failed, 2 used wrongly (arguments, settings).
"""

from .errors import CommandError

__all__ = ["CommandError"]
