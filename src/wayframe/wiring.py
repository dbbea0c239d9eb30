"""From the settings of a node to those of each room: the part of the composition root that needs no object."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from wayframe.broker import BrokerSettings
from wayframe.certificates import CertificateFiles, LocalAuthority, ServerCertificate
from wayframe.config import Settings
from wayframe.gateway import GatewaySettings
from wayframe.model import Clock
from wayframe.mqtt import ConnectionLimits, Reason, SessionLimits
from wayframe.rest import Site

JT808 = 552
"""Protocol id of JT/T 808 (rulings.md 5)."""


def certificate_of(settings: Settings, clock: Clock) -> ServerCertificate:
    """The certificate as the settings name it: files, or one of this node's own authority."""
    if settings.tls_certificate:
        files = CertificateFiles(Path(settings.tls_certificate), Path(settings.tls_key))
        return ServerCertificate(files, clock)
    return ServerCertificate(LocalAuthority(settings.tls_dir, settings.tls_names), clock)


def broker_settings(settings: Settings) -> BrokerSettings:
    """What the settings say of MQTT."""
    return BrokerSettings(
        limits=ConnectionLimits(
            packet_bytes=settings.mqtt_max_packet_bytes,
            receive_maximum=settings.mqtt_receive_maximum,
            topic_aliases=settings.mqtt_topic_aliases,
            keep_alive_s=settings.mqtt_keep_alive_s,
            max_qos=settings.mqtt_max_qos,
        ),
        session=SessionLimits(messages=settings.mqtt_session_messages, bytes=settings.mqtt_session_bytes),
        all_sessions_bytes=settings.mqtt_all_sessions_bytes,
        connections=settings.mqtt_max_connections,
        refused_filter=settings.mqtt_refused_filter,
        refusal=Reason(settings.mqtt_refusal_code),
        stamp=settings.mqtt_stamp_messages == "on",
    )


def with_free_ports(settings: Settings) -> Settings:
    """Settings with ports in place of 0 where links and `/auth/regions` name them before anything listens."""
    hosts = dict.fromkeys(("http_port", "https_port"), settings.http_host)
    hosts |= dict.fromkeys(("mqtt_port", "mqtts_port"), settings.mqtt_host)
    with contextlib.ExitStack() as held:
        found = {}
        for name, host in hosts.items():
            if getattr(settings, name) == 0:
                probe = held.enter_context(socket.socket())
                probe.bind((host, 0))
                found[name] = int(probe.getsockname()[1])
    return settings.model_copy(update=found)


def listed(text: str) -> tuple[str, ...]:
    """The parts of a comma list."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def gateway_settings(settings: Settings) -> GatewaySettings:
    """What the settings say of devices."""
    return GatewaySettings(
        host=settings.device_host,
        ports={JT808: settings.jt808_port},
        live_port=settings.jt1078_live_port,
        playback_port=settings.jt1078_playback_port,
        attachments_port=settings.attachments_port,
        public_host=settings.public_device_host,
        public_live_port=settings.public_live_port,
        public_playback_port=settings.public_playback_port,
        public_attachments_port=settings.public_attachments_port,
        ftp_port=settings.told_ftp_port,
        max_connections=settings.max_device_connections,
        max_per_address=settings.max_connections_per_ip,
        unknown_idents=settings.unknown_idents,
    )


def site_of(settings: Settings) -> Site:
    """The addresses applications are told."""
    secure = urlsplit(settings.secure_url)
    return Site(
        public_url=settings.url,
        secure_url=settings.secure_url,
        mqtt=f"{secure.hostname}:{settings.mqtts_port if settings.tls == 'on' else settings.mqtt_port}",
        mqtt_ws=f"{secure.hostname}:{secure.port or (443 if secure.scheme == 'https' else 80)}",
        gw=settings.public_device_host,
        ftp_port=settings.told_ftp_port,
    )


def http_doors(settings: Settings) -> Iterator[tuple[str, str, bool]]:
    """The setting of the port, the host and whether it is TLS, of every door that serves everything over HTTP."""
    yield "http_port", settings.http_host, False
    yield "mqtt_ws_port", settings.mqtt_host, False
    if settings.tls == "on":
        yield "https_port", settings.http_host, True
        yield "mqtt_wss_port", settings.mqtt_host, True
