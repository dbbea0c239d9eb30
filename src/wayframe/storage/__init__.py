"""What outlives a restart: the database (SQLite or PostgreSQL), the message history and the files.

Enters and leaves: the structs of `wayframe.model`, and bytes. No business rules: a query module a noun, each taking the
open `Database`.
"""

from ._rows import Rows as ItemTable
from .accounts import AccountTable, TokenTable
from .backup import Manifest, backup, restore
from .blobs import Blob, BlobStore, BlobWriter, DirectoryBlobs
from .commands import CommandTable
from .database import Database, DatabaseTooNew
from .devices import ChannelTable, DeviceTable, TelemetryTable
from .gallery import GalleryTable
from .gallery_keys import GalleryKeyTable
from .harvest import HarvestTable, HookCallTable, HookTable
from .items import AssignmentTable, DeviceSettingTable, IdentTable, ItemTables
from .logs import LogTable
from .media import LISTED, MediaTable
from .messages import HistoryMessage, MessageStore
from .mqtt import MqttBatch, MqttTable
from .packets import PacketTable
from .secret import SecretError
from .spool import DirectorySpool
from .state import StateTable
from .users import PullHostTable, UserTable

__all__ = [
    "LISTED",
    "AccountTable",
    "AssignmentTable",
    "Blob",
    "BlobStore",
    "BlobWriter",
    "ChannelTable",
    "CommandTable",
    "Database",
    "DatabaseTooNew",
    "DeviceSettingTable",
    "DeviceTable",
    "DirectoryBlobs",
    "DirectorySpool",
    "GalleryKeyTable",
    "GalleryTable",
    "HarvestTable",
    "HistoryMessage",
    "HookCallTable",
    "HookTable",
    "IdentTable",
    "ItemTable",
    "ItemTables",
    "LogTable",
    "Manifest",
    "MediaTable",
    "MessageStore",
    "MqttBatch",
    "MqttTable",
    "PacketTable",
    "PullHostTable",
    "SecretError",
    "StateTable",
    "TelemetryTable",
    "TokenTable",
    "UserTable",
    "backup",
    "restore",
]
