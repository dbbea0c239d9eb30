"""The peer of bench/rest_cost.py: the same HTTP stack (uvicorn, httptools, uvloop, Starlette) with an answer that never
changes. PORT BYTES."""

from __future__ import annotations

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_BODY = b"x" * int(sys.argv[2])


async def constant(request: Request) -> Response:
    """The answer."""
    return Response(_BODY, media_type="application/json")


if __name__ == "__main__":
    app = Starlette(routes=[Route("/gw/devices/{id}", constant)])
    uvicorn.run(app, port=int(sys.argv[1]), log_config=None, access_log=False, lifespan="off")
