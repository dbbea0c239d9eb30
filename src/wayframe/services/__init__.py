"""The verbs: directory, history, media, commands, connections, live video, recordings; a module each.

Each service takes the rooms above it as constructor arguments. In: typed calls from the gateway and from `rest`. Out:
rows in storage, events on the bus. No sockets, no HTTP.
"""

from dataclasses import dataclass

from .alarms import Alarms, AlarmUpload
from .assignments import Assignments
from .background import Background
from .bin import Bin
from .catalogue import Catalogue
from .channel_history import ChannelHistory
from .commands import Commands
from .connections import Connection, Connections, Link
from .directory import Directory
from .entries import CHANNELS, CUSTOMER, DEVICES, TOKENS, Caller, Defaults, Entry
from .feeds import Feed
from .gallery_rooms import GalleryRooms, GallerySettings, gallery_rooms
from .history import History
from .idents import Idents
from .journal import Journal
from .keys import TokenKeys
from .kinds.accounts import token_view
from .limiter import RateLimiter
from .links import Links
from .live import Live, LiveSettings
from .media import MediaStore
from .media_files import NewFile, Upload
from .processing import Processing
from .quota import Quota
from .recordings import Recordings
from .removal import Removal
from .sessions import MqttSessions, SessionSource
from .settings import DeviceSettings
from .state import StateTopics
from .statistics import Statistics
from .traffic import Traffic
from .transfers import Transfer, Transfers


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
    sessions: MqttSessions
    assignments: Assignments
    bin: Bin
    removal: Removal
    traffic: Traffic
    settings: DeviceSettings
    transfers: Transfers
    gallery: GalleryRooms
    idents: Idents
    channel_history: ChannelHistory
    statistics: Statistics


__all__ = [
    "CHANNELS",
    "CUSTOMER",
    "DEVICES",
    "TOKENS",
    "AlarmUpload",
    "Alarms",
    "Assignments",
    "Background",
    "Bin",
    "Caller",
    "Catalogue",
    "ChannelHistory",
    "Commands",
    "Connection",
    "Connections",
    "Defaults",
    "DeviceSettings",
    "Directory",
    "Entry",
    "Feed",
    "GalleryRooms",
    "GallerySettings",
    "History",
    "Idents",
    "Journal",
    "Link",
    "Links",
    "Live",
    "LiveSettings",
    "MediaStore",
    "MqttSessions",
    "NewFile",
    "Processing",
    "Quota",
    "RateLimiter",
    "Recordings",
    "Removal",
    "Services",
    "SessionSource",
    "StateTopics",
    "Statistics",
    "TokenKeys",
    "Traffic",
    "Transfer",
    "Transfers",
    "Upload",
    "gallery_rooms",
    "token_view",
]  # fmt: skip
