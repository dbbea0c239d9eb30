"""The public REST API as the commands use it: an address, a token, and errors as one sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import httpx

from .errors import CommandError

_TIMEOUT = httpx.Timeout(60.0, connect=5.0)


def segment(text: str) -> str:
    """One path segment, percent-encoded (selectors hold slashes, braces and blanks)."""
    return quote(text, safe="")


class Api:
    """A connection to one server. Every call returns the `result` array or raises `CommandError`."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url.rstrip("/")
        headers = {"Authorization": f"FlespiToken {token}", "x-flespi-app": "wayframe-cli"}
        self._http = httpx.Client(base_url=self.url, headers=headers, timeout=_TIMEOUT)

    def call(self, method: str, path: str, *, body: Any = None, query: dict[str, str] | None = None) -> list[Any]:
        """One request with a JSON body."""
        content = None if body is None else json.dumps(body).encode()
        with self._reached():
            answer = self._http.request(method, path, content=content, params=query)
        return self._result(answer)

    def send_parts(self, path: str, parts: list[tuple[str, Any]]) -> list[Any]:
        """A multipart POST, read as it goes out; waits for the answer as long as a big file needs to become durable."""
        with self._reached():
            answer = self._http.post(path, files=parts, timeout=httpx.Timeout(600.0, connect=5.0))
        return self._result(answer)

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except httpx.ConnectError:
            raise CommandError(
                f"no server answers at {self.url}. Start it with `wayframe serve` (or `make run`), "
                "or name another with --url or WAYFRAME_URL"
            ) from None
        except httpx.TimeoutException:
            raise CommandError(f"{self.url} took too long to answer") from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol):
            raise CommandError(f"{self.url!r} is no address; http://host:8080 is wanted", exit_code=2) from None
        except httpx.HTTPError as error:
            raise CommandError(f"talking to {self.url} failed: {error}") from None

    def _result(self, answer: httpx.Response) -> list[Any]:
        try:
            document = answer.json()
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise CommandError(f"{self.url} answered {answer.status_code} without JSON; is that a Wayframe server?")
        errors = document.get("errors") or []
        if errors or answer.is_error:
            reasons = "; ".join(str(error.get("reason", error)) for error in errors) or answer.reason_phrase
            hint = " (check --token or WAYFRAME_TOKEN)" if answer.status_code == 401 else ""
            raise CommandError(f"{reasons}{hint}")
        result = document.get("result")
        return result if isinstance(result, list) else []
