"""The REST API without a transport: routes, the rights each needs, and their handlers.

A plain `Request` enters, a plain `Response` leaves; in between one service is called. HTTP and MQTT
both stand in front.
"""

from .api import RestApi
from .context import Call, Site
from .exchange import Answer, Page, Request, Response, WrongMethod, decode, refuse, respond
from .gallery import GalleryApi
from .handlers.media import with_preview
from .openapi import openapi
from .routes import ROUTES, Match, Route, RouteTable

__all__ = [
    "ROUTES",
    "Answer",
    "Call",
    "GalleryApi",
    "Match",
    "Page",
    "Request",
    "Response",
    "RestApi",
    "Route",
    "RouteTable",
    "Site",
    "WrongMethod",
    "decode",
    "openapi",
    "refuse",
    "respond",
    "with_preview",
]
