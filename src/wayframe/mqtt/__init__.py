"""MQTT 3.1, 3.1.1 and 5.0, sans-IO: packets, one client's connection, and the session that outlives it.

Bytes go into `Connection.receive`, bytes come out of `Connection.pending`; the broker is its `Host`. Sources: MQTT
Version 5.0 (OASIS Standard, 7 March 2019), MQTT Version 3.1.1 (OASIS Standard, 29 October 2014), MQTT V3.1 (IBM, 2010).
"""

from .connection import Connection
from .framing import Framer
from .host import ConnectionLimits, Host
from .messages import Delivery, Message
from .packets import V5, V31, V311, Ack, Connack, Connect, Packet, Publish, Subscribe, Unsubscribe, Will, Wish
from .properties import PacketType, Properties
from .reasons import Malformed, MqttError, ProtocolError, Reason
from .session import NEVER, Drops, Session, SessionLimits, Store

__all__ = [
    "NEVER",
    "V5",
    "V31",
    "V311",
    "Ack",
    "Connack",
    "Connect",
    "Connection",
    "ConnectionLimits",
    "Delivery",
    "Drops",
    "Framer",
    "Host",
    "Malformed",
    "Message",
    "MqttError",
    "Packet",
    "PacketType",
    "Properties",
    "ProtocolError",
    "Publish",
    "Reason",
    "Session",
    "SessionLimits",
    "Store",
    "Subscribe",
    "Unsubscribe",
    "Will",
    "Wish",
]
