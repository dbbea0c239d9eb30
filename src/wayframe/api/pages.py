"""The built pages (`/watch/{uuid}`, `/docs`, `/login/`, `/formbox`, `/fleet`), and their scripts and styles."""

from __future__ import annotations

import mimetypes
import re
from hashlib import sha256
from pathlib import Path

from starlette.responses import Response
from starlette.types import ASGIApp

from wayframe.model import NotFound, Unavailable

from .file_response import FileResponse

PAGES = ("watch", "docs", "login", "formbox", "fleet")
"""Names of the pages, which are also the first segments of their paths."""
_CONTENT_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "media-src": "'self' blob:",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "*",
}
"""Own scripts and styles only, nothing inline; a page may stand in anybody's frame, as it can do nothing there."""
_OWN_POLICIES = {
    # Where a token is typed, nobody may draw something over the page.
    "login": {"img-src": "data:", "media-src": "'none'", "frame-ancestors": "'none'"},
    "fleet": {"img-src": "data:", "media-src": "'none'", "frame-ancestors": "'none'"},
    # It talks to nobody but the page around it.
    "formbox": {"img-src": "data:", "media-src": "'none'", "connect-src": "'none'"},
}


def content_policy(name: str) -> str:
    """The Content-Security-Policy of a page."""
    rules = _CONTENT_POLICY | _OWN_POLICIES.get(name, {})
    return "; ".join(f"{what} {who}" for what, who in rules.items())


_PAGE_HEADERS = {
    "cache-control": "no-cache",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
_NAME = re.compile(r"[\w-]+(?:\.[\w-]+)*")
_FOREVER = "public, max-age=31536000, immutable"


class Pages:
    """Serves the build in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def page(self, name: str) -> ASGIApp:
        """One of `PAGES`. Raises Unavailable where the web sources were not built."""
        path = self._folder / f"{name}.html"
        try:
            text = path.read_bytes()
        except OSError:
            raise Unavailable("the pages are not built: run `make` in the project's folder") from None
        return Response(
            text, media_type="text/html", headers={"content-security-policy": content_policy(name), **_PAGE_HEADERS}
        )

    def asset(self, segments: tuple[str, ...]) -> ASGIApp:
        """A file below `/assets`; its name carries a hash of its content. Raises NotFound."""
        if len(segments) != 1 or not _NAME.fullmatch(segments[0]):
            raise NotFound("there is no such page")
        path = self._folder / "assets" / segments[0]
        if not path.is_file():
            raise NotFound("there is no such page")
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        if kind.startswith("text/") or kind.endswith("javascript"):
            kind += "; charset=utf-8"
        tag = f'"{sha256(path.name.encode()).hexdigest()[:32]}"'
        return FileResponse(path, kind, tag, path.stat().st_mtime, cache=_FOREVER)
