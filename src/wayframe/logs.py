"""Logging: one line an event, as JSON or as text, from our own code and from the libraries alike.

Rooms take a logger with `structlog.get_logger()` and call `log.info("device_connected", device=7, connection=12)`: the
first word is the event, the rest are fields. `bind` puts device, connection and trace on every line of a task.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import sys
import time
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Literal, TextIO

import msgspec
import structlog
from structlog.typing import EventDict, Processor

_HIDDEN_FIELDS = frozenset({"token", "authorization", "password", "secret", "cookie", "set-cookie"})
# A token is 64 alphanumerics. A media uuid is 64 upper-case hex digits and the capability to its file: hidden as well.
_TOKEN = re.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9]{64}(?![A-Za-z0-9])")
_SCHEME = re.compile(r"\b(FlespiToken|Bearer)\s+[^\s\"',]+", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"(://[^/\s:@]*:)[^/\s@]+@")
_word = re.compile(r"[\w./:-]{0,63}").fullmatch
"""Tells whether a text is too short for a token, and has neither blanks nor what a password in a URL stands behind."""
_TOKEN_LENGTH = 64
_DEPTH = 4


def configure(
    log_format: Literal["auto", "json", "console"] = "auto", level: str = "info", stream: TextIO | None = None
) -> None:
    """Send everything that is logged to `stream` (stderr), one line an event; called once at start.

    `auto` writes text where the stream is a terminal and JSON elsewhere.
    """
    out = stream or sys.stderr
    human = log_format == "console" or (log_format == "auto" and out.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        _stamp,
        structlog.processors.StackInfoRenderer(),
    ]
    render = [*_render(human, out.isatty())]
    # Our own lines do not pass through the library's loggers: one is written for every request, and it costs a
    # third that way.
    structlog.configure(
        processors=[*shared, *render],
        logger_factory=lambda name="": _Lines(name, out),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(out)
    meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[meta, *render]))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        # uvicorn brings handlers of its own; its lines are to go through ours.
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
    quiet = logging.INFO if level.lower() == "debug" else logging.WARNING
    for name in ("uvicorn.access", "sqlalchemy.engine", "aiosqlite", "asyncio", "alembic", "httpx", "httpcore"):
        logging.getLogger(name).setLevel(quiet)


@contextlib.contextmanager
def bind(**fields: Any) -> Iterator[None]:
    """Put fields (`device`, `connection`, `trace`) on every line logged inside, in this task and those it starts."""
    with structlog.contextvars.bound_contextvars(**fields):
        yield


def hide_secrets(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """A structlog processor: no token, password or Authorization value leaves the process."""
    # One line a request: numbers and short words, which hold no secret, are not looked at any closer.
    return {
        key: value
        if (value.__class__ is int or value.__class__ is float or (value.__class__ is str and _word(value)))
        and key.lower() not in _HIDDEN_FIELDS
        else _hidden(key, value, _DEPTH)
        for key, value in event.items()
    }


class _Lines:
    """Takes rendered lines of one of our loggers."""

    def __init__(self, name: str, out: TextIO) -> None:
        self.name = name
        self._out = out

    def _write(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # a full disk or a closed pipe must not stop the work
            self._out.write(f"{line}\n")
            self._out.flush()

    debug = info = warning = error = critical = _write


def _render(human: bool, colours: bool) -> Iterator[Processor]:
    # A traceback becomes text before secrets are looked for, because it may quote them.
    yield structlog.processors.ExceptionRenderer()
    yield hide_secrets
    if human:
        yield structlog.dev.ConsoleRenderer(colors=colours, sort_keys=False)
    else:
        yield _as_json


def _as_json(_logger: Any, _method: str, event: EventDict) -> str:
    """A structlog processor: the line. What cannot be UTF-8 is escaped."""
    try:
        return msgspec.json.encode(event).decode()
    except (UnicodeEncodeError, OverflowError):
        return json.dumps(event)


def _stamp(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """A structlog processor: UTC, to the microsecond."""
    now = time.time()
    second = int(now)
    event["timestamp"] = f"{_second(second)}.{int((now - second) * 1_000_000):06d}Z"
    return event


@lru_cache(maxsize=1)
def _second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def _hidden(key: str, value: Any, depth: int) -> Any:
    if key.lower() in _HIDDEN_FIELDS and value:
        return "***"
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return _masked(value)
    if depth and isinstance(value, Mapping):
        return {str(name): _hidden(str(name), inner, depth - 1) for name, inner in value.items()}
    if depth and isinstance(value, list | tuple):
        return [_hidden("", inner, depth - 1) for inner in value]
    return _masked(str(value))


def _masked(text: str) -> str:
    text = _SCHEME.sub(r"\1 ***", text)
    if "://" in text:
        text = _URL_PASSWORD.sub(r"\1***@", text)
    if len(text) >= _TOKEN_LENGTH:
        text = _TOKEN.sub(lambda match: f"{match[0][:8]}***", text)
    return text
