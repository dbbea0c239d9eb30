"""Every port of a node, in one table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Port:
    """One listening port."""

    setting: str
    """Name of the setting that holds its number."""
    host_setting: str
    """Name of the setting that holds the address it binds."""
    public_setting: str
    """Name of the setting with the number told to the outside; empty if none."""
    who: str
    """Who dials it."""
    what: str
    """What is spoken there."""
    tls: bool = False
    """Whether it is opened only where `tls` is on."""


PORTS: tuple[Port, ...] = (
    Port(
        "http_port",
        "http_host",
        "public_url",
        "applications, browsers",
        "HTTP: REST, media links, live playlists, web pages",
    ),
    Port("https_port", "http_host", "public_url", "applications, browsers", "the same over TLS", tls=True),
    Port("gallery_port", "http_host", "", "applications", "HTTP: the gallery API alone"),
    Port("mqtt_port", "mqtt_host", "", "applications", "MQTT 3.1, 3.1.1 and 5.0 over TCP"),
    Port("mqtts_port", "mqtt_host", "", "applications", "the same over TLS", tls=True),
    Port("mqtt_ws_port", "mqtt_host", "", "applications, browsers", "MQTT over WebSocket (on http_port too)"),
    Port("mqtt_wss_port", "mqtt_host", "", "applications, browsers", "the same over TLS (on https_port too)", tls=True),
    Port("jt808_port", "device_host", "", "devices", "JT/T 808 over TCP: registration, reports, commands"),
    Port("jt1078_live_port", "device_host", "public_live_port", "devices", "JT/T 1078 over TCP: live video and audio"),
    Port("jt1078_playback_port", "device_host", "public_playback_port", "devices", "JT/T 1078 over TCP: recordings"),
    Port(
        "attachments_port", "device_host", "public_attachments_port", "devices", "JT/T 808 alarm attachments over TCP"
    ),
    Port(
        "ftp_port",
        "device_host",
        "public_ftp_port",
        "devices",
        "FTP, and its data on ftp_passive_ports: recordings; shut unless it is set",
    ),
)
"""Every port of a node; docs, doctor and the composition root read this one table."""
