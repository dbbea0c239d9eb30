"""Every setting: its default, one sentence, its range, and what follows from several of them."""

from __future__ import annotations

import ipaddress
import re
import socket
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from .ports import PORTS, Port
from .units import DAY, GB, GIB, HOUR, KIB, MB, MIB, Bytes, Seconds, Secret, WholeSeconds

ENV_PREFIX = "WAYFRAME_"


def _setting(default: Any, description: str, **limits: Any) -> Any:
    """A field with its sentence. `form` names the allowed values where no range says them."""
    form = limits.pop("form", "")
    return Field(default=default, description=description, json_schema_extra={"form": form}, **limits)


def _port(default: int, description: str) -> Any:
    return _setting(default, description, ge=0, le=65535)


class Settings(BaseSettings):
    """A node's settings. `Settings(...)` takes arguments, then the environment, then defaults; `load` adds the file."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, env_ignore_empty=True, extra="forbid", frozen=True)

    # Where things are kept
    data_dir: Path = _setting(
        Path("data"), "Folder of the database, the files and the node's secret.", form="a folder that can be written"
    )
    database_url: str = _setting(
        "", "Database; empty means SQLite in data_dir.", form="sqlite:///… or postgresql://user:password@host/name"
    )
    blobs_dir: str = _setting("", "Folder of media files; empty means data_dir/blobs.", form="a folder")
    gallery_dir: str = _setting(
        "", "Folder that files of devices are dropped into; empty means data_dir/gallery.", form="a folder"
    )
    gallery_public_dir: str = _setting(
        "", "The same folder as those who write into it see it (a share); empty means gallery_dir.", form="a folder"
    )
    backup_dir: str = _setting("", "Folder that backups go to; empty means data_dir/backups.", form="a folder")
    min_free_disk_bytes: Bytes = _setting(
        512 * MIB, "Free disk space below which files are refused with 507.", ge=0, le=100 * 10**12
    )

    # What applications and browsers reach
    public_url: str = _setting(
        "",
        "Address links are made with, as applications see it (behind a proxy: the proxy's); empty means "
        "http://<this machine's name>:http_port.",
        form="http://… or https://…",
    )
    http_host: str = _setting("0.0.0.0", "Address the HTTP listener binds.", form="an IP address or host name")
    http_port: int = _port(8080, "Port of REST, media links and web pages; 0 takes a free one.")
    trusted_proxies: str = _setting(
        "",
        "Proxies whose X-Forwarded-For and X-Forwarded-Proto are believed; empty: nobody's.",
        form="addresses and networks, comma-separated: 127.0.0.1, 10.0.0.0/8",
    )
    metrics_token: Secret = _setting(
        "", "Bearer token that /metrics asks for; empty: it is open.", form="any text without spaces"
    )
    gallery_port: int = _port(8001, "Port of the gallery API by itself (http_port has it too); 0 takes a free one.")
    gallery_url_tokens: Literal["on", "off"] = _setting(
        "off", "Whether a file or thumbnail of the gallery may be fetched with its token as ?token= in the address."
    )
    max_upload_bytes: Bytes = _setting(4 * GIB, "Largest file accepted, on every door; more is 413.", ge=1, le=10**13)
    max_body_bytes: Bytes = _setting(4 * MIB, "Largest JSON body accepted; more is 413.", ge=KIB, le=GIB)
    requests_per_second: float = _setting(
        200.0, "REST requests a second one token may make over time, beyond it 429; 0 for no limit.", ge=0, le=1e6
    )
    requests_burst: int = _setting(
        400, "REST requests one token may make at once before requests_per_second holds.", ge=1, le=10**6
    )

    # TLS
    tls: Literal["on", "off"] = _setting(
        "on", "Whether the TLS ports are opened; off where a proxy in front holds the certificate."
    )
    https_port: int = _port(
        9005, "Port of the same over TLS, where flespi's web applications look; 0 takes a free one."
    )
    tls_certificate: str = _setting(
        "",
        "Certificate with its chain, for every TLS port; empty means one signed by this node's own authority in "
        "data_dir/tls (`wayframe tls init`).",
        form="a PEM file",
    )
    tls_key: str = _setting("", "Private key of tls_certificate, without a password.", form="a PEM file, mode 600")

    # MQTT
    mqtt_host: str = _setting("0.0.0.0", "Address the MQTT listeners bind.", form="an IP address or host name")
    mqtt_port: int = _port(1883, "Port of MQTT over TCP; 0 takes a free one.")
    mqtts_port: int = _port(8883, "Port of MQTT over TLS; 0 takes a free one.")
    mqtt_ws_port: int = _port(
        9016, "Port of MQTT over WebSocket, beside http_port, which speaks it on any path too; 0 takes a free one."
    )
    mqtt_wss_port: int = _port(9017, "Port of MQTT over secure WebSocket, beside https_port; 0 takes a free one.")
    mqtt_max_qos: int = _setting(1, "Largest quality of service clients may publish with and are granted.", ge=1, le=2)
    mqtt_max_connections: int = _setting(20_000, "MQTT connections at once.", ge=1, le=10**6)
    mqtt_max_packet_bytes: Bytes = _setting(4 * MIB, "Largest MQTT packet taken.", ge=KIB, le=256 * MIB)
    mqtt_receive_maximum: int = _setting(
        1000, "Messages of QoS 1 and 2 a client may have under way towards the server.", ge=1, le=65535
    )
    mqtt_topic_aliases: int = _setting(64, "Topic aliases a client may set.", ge=0, le=65535)
    mqtt_keep_alive_s: WholeSeconds = _setting(
        HOUR, "Largest keep alive; a client of 5.0 that asks for more, or for none, is told this one.", ge=1, le=65535
    )
    mqtt_session_messages: int = _setting(
        100_000,
        "Messages of QoS 1 and 2 a session holds while its client is away; then the oldest goes.",
        ge=1,
        le=10**8,
    )
    mqtt_session_bytes: Bytes = _setting(64 * MIB, "Bytes of them.", ge=KIB, le=10**12)
    mqtt_all_sessions_bytes: Bytes = _setting(
        1024 * MIB, "Bytes of them in all sessions together; the fullest lose their oldest.", ge=MIB, le=10**13
    )
    mqtt_stamp_messages: Literal["on", "off"] = _setting(
        "on", "Whether clients' messages get the user properties timestamp and cid, as the platform's own do (5.0)."
    )
    mqtt_refused_filter: str = _setting(
        "", "A topic filter nobody may subscribe to; for conformance suites.", form="a topic filter"
    )
    mqtt_refusal_code: int = _setting(
        0x87, "Reason code of SUBACK for a filter that is refused; suites of older days want 128.", ge=0x80, le=0xA2
    )

    # What devices reach
    device_host: str = _setting("0.0.0.0", "Address the device listeners bind.", form="an IP address or host name")
    public_device_host: str = _setting(
        "",
        "Host devices are told to send media to (a public address or name, without port); empty means the address "
        "their signalling connection came in on.",
        form="an IP address or host name",
    )
    jt808_port: int = _port(8808, "Port of JT/T 808 signalling; 0 takes a free one.")
    jt1078_live_port: int = _port(8810, "Port of JT/T 1078 live video; 0 takes a free one.")
    jt1078_playback_port: int = _port(8811, "Port of JT/T 1078 recordings; 0 takes a free one.")
    attachments_port: int = _port(8812, "Port of JT/T 808 alarm attachments; 0 takes a free one.")
    public_live_port: int = _port(0, "Live video port devices are told, when a firewall maps it; 0 for the same.")
    public_playback_port: int = _port(0, "Recordings port devices are told, when a firewall maps it; 0 for the same.")
    public_attachments_port: int = _port(
        0, "Attachments port devices are told, when a firewall maps it; 0 for the same."
    )
    ftp_port: int = _port(
        0,
        "FTP port for recordings that devices upload (request_video with method ftp; 8821 is usual); 0: none. FTP is "
        "plain text, every request has a login of its own.",
    )
    public_ftp_port: int = _port(0, "FTP port devices are told, when a firewall maps it; 0 for the same.")
    ftp_passive_ports: str = _setting(
        "",
        "Ports of FTP data connections, which a firewall must let in under the same numbers (8822-8841 is usual); "
        "empty means any free port.",
        form="first-last",
    )
    jt808_auth: Literal["open", "strict"] = _setting(
        "open", "Whether a terminal without a valid authentication code may report (open) or is refused (strict)."
    )
    unknown_idents: Literal["refuse", "create"] = _setting(
        "refuse", "What happens to a device nobody registered: its reports are refused, or it is created."
    )
    device_idle_s: Seconds = _setting(180.0, "Silence after which a device connection is closed.", ge=5, le=DAY)
    pull_networks: str = _setting(
        "",
        "Networks besides the public ones that files may be pulled from over SFTP (10.8.0.0/16, 192.168.7.20).",
        form="a comma list of networks",
    )
    pull_parallel: int = _setting(4, "Files pulled over SFTP at once, one a device.", ge=1, le=64)
    harvest_parallel: int = _setting(16, "Devices harvested for new files at once.", ge=1, le=256)
    max_device_connections: int = _setting(20000, "Device connections at once, all listeners together.", ge=1, le=10**6)
    max_connections_per_ip: int = _setting(
        0, "Device connections at once from one address; 0 for no limit (fleets share an address).", ge=0, le=10**6
    )

    # Where URLs of users may lead
    private_destinations: str = _setting(
        "",
        "Private hosts and networks, by commas, that webhooks, gallery hooks and streams may lead to; all others must "
        "be public.",
        form="hosts and networks: 10.0.0.0/8, relay.lan",
    )

    # How long and how much is kept
    default_media_ttl: WholeSeconds = _setting(
        365 * DAY, "media_ttl of a new device: seconds a file is kept from its upload.", ge=60, le=3650 * DAY
    )
    default_messages_ttl: WholeSeconds = _setting(
        365 * DAY, "messages_ttl of a new device: seconds a message is kept from its arrival.", ge=60, le=3650 * DAY
    )
    device_media_limit: Bytes = _setting(
        10 * GB, "Media one device may hold, whatever its media_rotate.", ge=MB, le=100 * 10**12
    )
    results_keep_s: WholeSeconds = _setting(30 * DAY, "How long command results are kept.", ge=7 * DAY, le=3650 * DAY)
    logs_keep_s: WholeSeconds = _setting(30 * DAY, "How long log records are kept.", ge=HOUR, le=3650 * DAY)

    # Media work and live video
    media_workers: int = _setting(1, "Processes that probe, preview and convert files.", ge=1, le=64)
    worker_memory_bytes: Bytes = _setting(
        GIB, "Memory one media process may take before it is ended.", ge=256 * MIB, le=64 * GIB
    )
    live_conversions: int = _setting(1, "Live streams converted from H.265 to H.264 at once.", ge=0, le=64)
    live_h265: Literal["convert", "pass"] = _setting(
        "convert", "Whether live H.265 is converted to H.264 (plays in every browser) or passed on."
    )
    live_idle_s: Seconds = _setting(60.0, "A live stream nobody fetches ends after this.", ge=5, le=HOUR)
    chunk_keep_s: Seconds = _setting(120.0, "A live segment is removed this long after its last access.", ge=5, le=HOUR)

    # Throughput
    message_batch_rows: int = _setting(500, "Messages written in one transaction at most.", ge=1, le=10000)
    message_batch_ms: int = _setting(
        10,
        "Milliseconds a message waits for others before its transaction; its acknowledgement waits too.",
        ge=0,
        le=1000,
    )

    # Running
    log_format: Literal["auto", "json", "console"] = _setting(
        "auto", "One JSON object a line, or text for people; auto takes text on a terminal."
    )
    log_level: Literal["debug", "info", "warning", "error"] = _setting("info", "Least level that is logged.")
    upkeep_s: Seconds = _setting(60.0, "Seconds between two looks for what is kept long enough.", ge=1, le=HOUR)
    stop_grace_s: Seconds = _setting(10.0, "Time running work has to finish when the node stops.", ge=0, le=600)

    @field_validator("database_url")
    @classmethod
    def _database_address(cls, value: str) -> str:
        if value and not re.match(r"(sqlite:///|postgres(ql)?://)", value):
            raise ValueError("sqlite:///file.db or postgresql://user:password@host/name is wanted")
        return value

    @field_validator("public_url")
    @classmethod
    def _web_address(cls, value: str) -> str:
        if not value:
            return value
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("an address such as https://video.example.com is wanted")
        return value.rstrip("/")

    @field_validator("trusted_proxies", "pull_networks")
    @classmethod
    def _networks(cls, value: str) -> str:
        for item in filter(None, map(str.strip, value.split(","))):
            try:
                ipaddress.ip_network(item)
            except ValueError:
                raise ValueError(f"{item!r} is no address and no network (written without host bits)") from None
        return value

    @field_validator("ftp_passive_ports")
    @classmethod
    def _port_range(cls, value: str) -> str:
        found = re.fullmatch(r"(\d{1,5})-(\d{1,5})", value)
        if value and (found is None or not 1024 <= int(found[1]) <= int(found[2]) <= 65535):
            raise ValueError("two ports from 1024 to 65535, the lower first, are wanted: 8822-8841")
        return value

    @field_validator("public_device_host")
    @classmethod
    def _host_only(cls, value: str) -> str:
        if "/" in value or " " in value or re.fullmatch(r"[^:]+:\d+", value):
            raise ValueError("a host name or address without scheme and port is wanted")
        return value

    @model_validator(mode="after")
    def _ports_differ(self) -> Settings:
        taken: dict[int, str] = {}
        for port in self.ports:
            number = getattr(self, port.setting)
            if number in self.passive_ports:
                raise ValueError(f"{port.setting} {number} lies in ftp_passive_ports; each listener needs its own port")
            if number and number in taken:
                raise ValueError(
                    f"{taken[number]} and {port.setting} are both {number}; each listener needs its own port"
                )
            taken[number] = port.setting
        return self

    @model_validator(mode="after")
    def _certificate_with_key(self) -> Settings:
        if bool(self.tls_certificate) != bool(self.tls_key):
            raise ValueError("tls_certificate and tls_key go together: name both files, or neither")
        return self

    @property
    def ports(self) -> tuple[Port, ...]:
        """The ports this node opens."""
        ftp = self.ftp_port > 0
        return tuple(
            port for port in PORTS if (self.tls == "on" or not port.tls) and (ftp or port.setting != "ftp_port")
        )

    @property
    def passive_ports(self) -> range:
        """The ports of FTP data connections; none: any free one."""
        first, _, last = self.ftp_passive_ports.partition("-")
        return range(int(first), int(last) + 1) if first else range(0)

    @property
    def database(self) -> str:
        """`database_url`, or SQLite in the data folder."""
        return self.database_url or f"sqlite:///{(self.data_dir / 'wayframe.db').absolute()}"

    @property
    def blobs(self) -> Path:
        """The folder of media files."""
        return Path(self.blobs_dir) if self.blobs_dir else self.data_dir / "blobs"

    @property
    def drop_dir(self) -> Path:
        """The folder of drop folders."""
        return Path(self.gallery_dir) if self.gallery_dir else self.data_dir / "gallery"

    @property
    def secret_file(self) -> Path:
        """The node's secret, which tokens are sealed with."""
        return self.data_dir / "secret"

    @property
    def tls_dir(self) -> Path:
        """The folder of this node's own certificate authority."""
        return self.data_dir / "tls"

    @property
    def tls_names(self) -> tuple[str, ...]:
        """Names and addresses under which this node's TLS ports are reached, as far as they are known here."""
        own = (urlsplit(self.url).hostname or "", socket.gethostname(), "localhost", "127.0.0.1", "::1")
        return tuple(dict.fromkeys(own))

    @property
    def backups(self) -> Path:
        """The folder backups go to."""
        return Path(self.backup_dir) if self.backup_dir else self.data_dir / "backups"

    @property
    def url(self) -> str:
        """`public_url`, or this machine's name with the HTTP port; no slash at its end."""
        return self.public_url or f"http://{socket.gethostname()}:{self.http_port}"

    @property
    def secure_url(self) -> str:
        """The address of the TLS door, for clients that want one; `url` where there is none."""
        url = urlsplit(self.url)
        if url.scheme == "https" or self.tls == "off":
            return self.url
        host = url.hostname or "localhost"
        return f"https://{f'[{host}]' if ':' in host else host}:{self.https_port}"

    @property
    def local_url(self) -> str:
        """Where this machine reaches its own server, whatever address it is told to others by."""
        host = "127.0.0.1" if self.http_host in ("", "0.0.0.0", "::") else self.http_host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.http_port}"

    @property
    def told_live_port(self) -> int:
        """Live video port that devices are told."""
        return self.public_live_port or self.jt1078_live_port

    @property
    def told_playback_port(self) -> int:
        """Recordings port that devices are told."""
        return self.public_playback_port or self.jt1078_playback_port

    @property
    def told_attachments_port(self) -> int:
        """Attachments port that devices are told."""
        return self.public_attachments_port or self.attachments_port

    @property
    def told_ftp_port(self) -> int:
        """FTP port that devices are told; 0 where the door is shut."""
        return self.ftp_port and (self.public_ftp_port or self.ftp_port)
