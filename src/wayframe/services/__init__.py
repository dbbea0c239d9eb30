"""The verbs: directory, history, media, commands, connections, live video, recordings; a module each.

Each service takes the rooms above it as constructor arguments. In: typed calls from the gateway and from `rest`. Out:
rows in storage, events on the bus. No sockets, no HTTP.
"""

from dataclasses import dataclass

from .alarms import Alarms, AlarmUpload
from .background import Background
from .catalogue import Catalogue
from .commands import Commands
from .connections import Connection, Connections, Link
from .directory import Directory
from .entries import CHANNELS, CUSTOMER, DEVICES, TOKENS, Caller, Defaults, Entry
from .feeds import Feed
from .history import History
from .journal import Journal
from .keys import TokenKeys
from .limiter import RateLimiter
from .links import Links
from .live import Live, LiveSettings
from .media import MediaStore, NewFile, Upload
from .processing import Processing
from .quota import Quota
from .recordings import Recordings


@dataclass(frozen=True, slots=True)
class Services:
    """Every service of a node."""

    catalogue: Catalogue
    directory: Directory
    journal: Journal
    history: History
    connections: Connections
    commands: Commands
    media: MediaStore
    recordings: Recordings
    live: Live
    links: Links
    alarms: Alarms


__all__ = [
    "CHANNELS",
    "CUSTOMER",
    "DEVICES",
    "TOKENS",
    "AlarmUpload",
    "Alarms",
    "Background",
    "Caller",
    "Catalogue",
    "Commands",
    "Connection",
    "Connections",
    "Defaults",
    "Directory",
    "Entry",
    "Feed",
    "History",
    "Journal",
    "Link",
    "Links",
    "Live",
    "LiveSettings",
    "MediaStore",
    "NewFile",
    "Processing",
    "Quota",
    "RateLimiter",
    "Recordings",
    "Services",
    "TokenKeys",
    "Upload",
]  # fmt: skip
