"""The nouns, errors, clock and ids that every room speaks of. No SQL, no HTTP, no asyncio."""

from .errors import (
    BadRequest,
    Conflict,
    Forbidden,
    MethodNotAllowed,
    NotFound,
    StorageFull,
    TooLarge,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    WayframeError,
)
from .events import Event
from .nouns import (
    AccessType,
    Account,
    Channel,
    Command,
    CommandStage,
    ConnectionInfo,
    Device,
    Json,
    LogRecord,
    MediaFile,
    MediaState,
    OriginType,
    StoredMessage,
    Token,
)
from .time import Clock, Ids, MicrosecondIds, SystemClock

__all__ = [
    "AccessType", "Account", "BadRequest", "Channel", "Clock", "Command", "CommandStage", "Conflict", "ConnectionInfo",
    "Device", "Event", "Forbidden", "Ids", "Json", "LogRecord", "MediaFile", "MediaState", "MethodNotAllowed",
    "MicrosecondIds", "NotFound", "OriginType", "StorageFull", "StoredMessage", "SystemClock", "Token", "TooLarge",
    "TooManyRequests", "Unauthorized", "Unavailable", "WayframeError",
]  # fmt: skip
