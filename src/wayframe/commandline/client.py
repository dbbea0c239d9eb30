"""The public REST API as the commands use it: an address, a token, and errors as one sentence."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from urllib.parse import quote

import httpx

from .errors import CommandError, Refused, Unreachable

_TIMEOUT = httpx.Timeout(60.0, connect=5.0)
PASSING = frozenset({408, 429, 502, 503, 504})
"""Refusals that another try may not meet. 507, a full store, is none of them."""
_LONGEST_PAUSE_S = 30.0

T = TypeVar("T")


def segment(text: str) -> str:
    """One path segment, percent-encoded (selectors hold slashes, braces and blanks)."""
    return quote(text, safe="")


class Api:
    """A connection to one server. Every call returns the `result` array or raises `CommandError`. Threads may share it.

    An empty token sends none: for links, which need none.
    """

    def __init__(self, url: str, token: str, timeout: httpx.Timeout = _TIMEOUT) -> None:
        self.url = url.rstrip("/")
        self.token = token
        headers = {"x-flespi-app": "wayframe-cli"} | ({"Authorization": f"FlespiToken {token}"} if token else {})
        self._http = httpx.Client(base_url=self.url, headers=headers, timeout=timeout)

    def call(self, method: str, path: str, *, body: Any = None, query: dict[str, str] | None = None) -> list[Any]:
        """One request with a JSON body."""
        content = None if body is None else json.dumps(body).encode()
        with self._reached():
            answer = self._http.request(method, path, content=content, params=query)
        return self._result(answer)

    def ask(self, path: str, **data: Any) -> list[Any]:
        """GET with a `data` query (rest-api.md 1.4); values that are None are left out."""
        said = {name: value for name, value in data.items() if value is not None}
        return self.call("GET", path, query={"data": json.dumps(said)} if said else None)

    def send_parts(self, path: str, parts: list[tuple[str, Any]]) -> list[Any]:
        """A multipart POST, read as it goes out; waits for the answer as long as a big file needs to become durable."""
        with self._reached():
            answer = self._http.post(path, files=parts, timeout=httpx.Timeout(600.0, connect=5.0))
        return self._result(answer)

    def document(self, path: str, query: dict[str, str] | None = None) -> dict[str, Any]:
        """GET of one JSON object without an envelope, as links answer `?preview=json`."""
        with self._reached():
            answer = self._http.get(path, params=query)
        if answer.is_error:
            self._result(answer)
        return self._parsed(answer)

    def post(self, path: str, body: Any) -> dict[str, Any]:
        """A POST that is answered with one JSON object without an envelope, as the gallery does."""
        with self._reached():
            answer = self._http.post(path, json=body)
        if answer.is_error:
            self._result(answer)
        return self._parsed(answer)

    @contextmanager
    def stream(self, path: str, headers: dict[str, str], method: str = "GET") -> Iterator[httpx.Response]:
        """The answer to a GET or HEAD, its body still to come."""
        with self._reached(), self._http.stream(method, path, headers=headers) as answer:
            if answer.is_error:
                answer.read()
                self._result(answer)
            yield answer

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except httpx.ConnectError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise CommandError(
                    f"the certificate of {self.url} is not trusted; name its authority with SSL_CERT_FILE=FILE"
                ) from None
            raise Unreachable(
                f"no server answers at {self.url}. Start it with `wayframe serve` (or `make run`), "
                "or name another with --url or WAYFRAME_URL"
            ) from None
        except httpx.TimeoutException:
            raise Unreachable(f"{self.url} took too long to answer") from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol):
            raise CommandError(f"{self.url!r} is no address; http://host:8080 is wanted", exit_code=2) from None
        except httpx.HTTPError as error:
            raise Unreachable(f"talking to {self.url} failed: {error}") from None

    def _parsed(self, answer: httpx.Response) -> dict[str, Any]:
        try:
            document = answer.json()
        except ValueError:
            document = None
        if not isinstance(document, dict):
            sentence = f"{self.url} answered {answer.status_code} without JSON; is that a Wayframe server?"
            raise Refused(sentence, answer.status_code)
        return document

    def _result(self, answer: httpx.Response) -> list[Any]:
        document = self._parsed(answer)
        errors = document.get("errors") or []
        if errors or answer.is_error:
            said = "; ".join(str(error.get("reason", error)) for error in errors)
            reasons = said or document.get("error") or answer.reason_phrase
            hint = " (check --token or WAYFRAME_TOKEN)" if answer.status_code == 401 else ""
            waits = answer.headers.get("retry-after", "")
            raise Refused(f"{reasons}{hint}", answer.status_code, float(waits) if waits.isdecimal() else 0.0)
        result = document.get("result")
        return result if isinstance(result, list) else []


def patiently(
    work: Callable[[], T],
    patience_s: float,
    *,
    pause: Callable[[float], object] = time.sleep,
    progress: Callable[[], int] = lambda: 0,
) -> T:
    """Do `work`, again and again where the server does not answer or has no time, for `patience_s` without `progress`.

    Raises what `work` raised last.
    """
    since, seen, delay = time.monotonic(), progress(), 0.5
    while True:
        try:
            return work()
        except (Unreachable, Refused) as error:
            if isinstance(error, Refused) and error.status not in PASSING:
                raise
            now = time.monotonic()
            if (done := progress()) != seen:
                since, seen, delay = now, done, 0.5
            asked = error.wait_s if isinstance(error, Refused) else 0.0
            if now - since + max(delay, asked) > patience_s:
                raise
            pause(max(delay, asked))
            delay = min(delay * 2, _LONGEST_PAUSE_S)
