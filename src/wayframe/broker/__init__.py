"""The MQTT door: a broker that knows the fleet.

In: bytes of MQTT clients over TCP, TLS and WebSocket; events of the bus. Out: messages to whoever subscribed and may
see them; REST calls to `rest`. It knows no business rules: retained state is derived by `services.state`.
"""

from .broker import Broker
from .door import MqttDoor, MqttPorts
from .settings import BrokerSettings, Counters

__all__ = ["Broker", "BrokerSettings", "Counters", "MqttDoor", "MqttPorts"]
