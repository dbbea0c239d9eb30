"""The nouns, errors, clock and ids that every room speaks of. No SQL, no HTTP, no asyncio."""

from .errors import (
    BadRequest,
    Blocked,
    Conflict,
    Forbidden,
    MethodNotAllowed,
    NotFound,
    StorageFull,
    TokenEnded,
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
    "AccessType", "Account", "BadRequest", "Blocked", "Channel", "Clock", "Command", "CommandStage", "Conflict",
    "ConnectionInfo", "Device", "Event", "Forbidden", "Ids", "Json", "LogRecord", "MediaFile", "MediaState",
    "MethodNotAllowed", "MicrosecondIds", "NotFound", "OriginType", "StorageFull", "StoredMessage", "SystemClock",
    "Token", "TokenEnded", "TooLarge", "TooManyRequests", "Unauthorized", "Unavailable", "WayframeError",
]  # fmt: skip
