"""What /metrics shows (Prometheus), read from the services at each scrape: counting costs nothing in between."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from wayframe import __version__
from wayframe.services import DEVICES

if TYPE_CHECKING:
    from wayframe.broker import MqttDoor
    from wayframe.bus import Bus
    from wayframe.gateway import Gateway
    from wayframe.services import Services


class _NodeCollector(Collector):
    """Reads a running node."""

    def __init__(self, services: Services, gateway: Gateway, bus: Bus, mqtt: MqttDoor) -> None:
        self._services = services
        self._gateway = gateway
        self._bus = bus
        self._mqtt = mqtt

    def collect(self) -> Iterator[Metric]:
        services, gateway = self._services, self._gateway
        gauges = {
            "devices": (services.directory.count(DEVICES), "Registered devices."),
            "device_connections": (gateway.admission.open, "Open device connections, media included."),
            "live_streams": (len(services.live.running()), "Live streams going on."),
            "commands_open": (services.commands.open_count, "Commands that are not at their end."),
            "media_queue": (services.media.waiting, "Files waiting to be processed."),
            "messages_waiting": (services.history.waiting, "Messages waiting for their batch."),
        }
        counters = {
            "messages_stored": (services.history.stored, "Messages stored."),
            "messages_duplicate": (services.history.duplicates, "Messages that were there already."),
            "events_published": (self._bus.published, "Events put on the bus."),
            "log_records_dropped": (services.journal.dropped, "Log records lost because the queue was full."),
            "device_connections_refused": (gateway.admission.refused, "Device connections refused by a limit."),
        }
        broker = self._mqtt.broker
        queued = [client.session for client in broker.spaces.clients()]
        drops = broker.counters.drops
        gauges |= {
            "mqtt_connections": (broker.counters.connected, "MQTT clients connected."),
            "mqtt_sessions": (len(queued), "MQTT sessions, those of absent clients included."),
            "mqtt_queued_messages": (sum(each.waiting for each in queued), "Messages sessions wait for."),
            "mqtt_queued_bytes": (sum(each.held_bytes for each in queued), "Bytes of those not sent yet."),
        }
        counters |= {
            "mqtt_connects": (broker.counters.connects, "MQTT clients that came in."),
            "mqtt_refused": (broker.counters.refused, "MQTT clients turned away."),
            "mqtt_messages_received": (broker.counters.messages_in, "Messages clients published."),
            "mqtt_bytes_received": (broker.counters.bytes_in, "Bytes from MQTT clients."),
            "mqtt_bytes_sent": (broker.counters.bytes_out, "Bytes to MQTT clients."),
            "mqtt_dropped_slow": (broker.outbox.dropped, "Messages of QoS 0 dropped for clients that do not read."),
            "mqtt_dropped_full": (drops.queued, "Messages dropped because a session held too many."),
            "mqtt_dropped_expired": (drops.expired, "Messages that expired before they could be sent."),
            "mqtt_dropped_large": (drops.large, "Messages over a client's maximum packet size."),
        }
        info = GaugeMetricFamily("wayframe_info", "The running version.", labels=["version"])
        info.add_metric([__version__], 1)
        yield info
        for name, (value, text) in gauges.items():
            yield GaugeMetricFamily(f"wayframe_{name}", text, value=value)
        for name, (value, text) in counters.items():
            yield CounterMetricFamily(f"wayframe_{name}", text, value=value)


def registry_of(services: Services, gateway: Gateway, bus: Bus, mqtt: MqttDoor) -> CollectorRegistry:
    """A registry that reads these."""
    registry = CollectorRegistry()
    registry.register(_NodeCollector(services, gateway, bus, mqtt))
    return registry
