"""What the HTTP door is told by whoever puts the house together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class DoorSettings:
    """Limits and places of the HTTP door."""

    version: str
    """Version of this server, for OpenAPI."""
    max_body_bytes: int = 4 * MIB
    """Largest JSON body; more is 413."""
    body_idle_s: float = 30.0
    """Longest silence within a body; then 408."""
    body_total_s: float = 120.0
    """Longest time for a JSON body."""
    upload_least_rate: int = 512
    """Bytes a second an upload must bring on average after its first minute; slower is 408."""
    send_stall_s: float = 120.0
    """Longest time one piece of an answer may wait for a client that does not read."""
    web_dir: Path = Path(__file__).parents[1] / "web"
    """The built pages."""
    public_url: str = ""
    """Base of upload links; empty: the address that was asked."""
    metrics_token: str = ""
    """Bearer token that /metrics asks for; empty: open."""
    gallery_url_tokens: bool = False
    """Whether a GET of bytes from the gallery may carry its token as `?token=`."""
