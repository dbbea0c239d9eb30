"""The doors for devices: listeners that accept, limit and time out connections, and join protocols to the services.

In: sockets of devices. Out: calls of the services (messages, files, frames, command outcomes). No protocol bytes are
understood here; that is what the sans-IO sessions of `protocols/` are for.
"""

from .gateway import Gateway, GatewaySettings

__all__ = ["Gateway", "GatewaySettings"]
