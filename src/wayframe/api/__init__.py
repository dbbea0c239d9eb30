"""The HTTP door: an ASGI application over `rest`, uploads, media links, live playlists, pages; and the listener.

HTTP requests enter; calls of `rest` and of the services leave. No SQL, no business rules.
"""

from .app import Application, build_app
from .gallery import GalleryOnly
from .observing import Access, log_access
from .server import HttpServer
from .settings import DoorSettings

__all__ = ["Access", "Application", "DoorSettings", "GalleryOnly", "HttpServer", "build_app", "log_access"]
