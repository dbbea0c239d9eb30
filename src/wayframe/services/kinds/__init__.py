"""The kinds of items the directory keeps: a table, a body, default fields and rules each.

A new kind is a record in `wayframe.model`, a table in `wayframe.storage.items`, a body in `bodies` and a line (or a
class, where it has rules) here.
"""

from .accounts import AccountKind, TokenKind
from .devices import CHANNEL_FIELDS, DEVICE_FIELDS, ChannelKind, DeviceKind
from .groups import GeofenceKind, groups
from .kind import Kind
from .streams import PluginKind, StreamKind
from .subaccounts import LimitKind, SubaccountKind
from .webhooks import WebhookKind

__all__ = [
    "CHANNEL_FIELDS",
    "DEVICE_FIELDS",
    "AccountKind",
    "ChannelKind",
    "DeviceKind",
    "GeofenceKind",
    "Kind",
    "LimitKind",
    "PluginKind",
    "StreamKind",
    "SubaccountKind",
    "TokenKind",
    "WebhookKind",
    "groups",
]
