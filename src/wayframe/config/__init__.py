"""Every setting of a node: its default, one sentence, its range, and where its value came from.

A setting has one name in three spellings: the attribute (`http_port`), the key in the TOML file (`http_port = 8080`)
and the environment variable (`WAYFRAME_HTTP_PORT=8080`). The environment goes before the file, the file before the
default.
"""

from .loading import Loaded, SettingsError, env_name, load, unknown_variables
from .ports import PORTS
from .settings import Settings
from .showing import allowed, mask, show

__all__ = [
    "PORTS", "Loaded", "Settings", "SettingsError", "allowed", "env_name", "load", "mask", "show", "unknown_variables",
]  # fmt: skip
