"""Logging: one line an event, ours and the libraries', and no secrets in it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from wayframe import logs

KEY = "a1B2" * 16


@pytest.fixture
def lines(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """What is logged, at level `info` as JSON; the loggers are put back as they were afterwards."""
    root = logging.getLogger()
    before = (root.level, root.handlers[:])
    stream = io.StringIO()
    logs.configure("json", "info", stream)
    yield stream
    root.setLevel(before[0])
    root.handlers = before[1]
    structlog.reset_defaults()


def records(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_texts_that_are_no_utf_8_and_huge_numbers_lose_no_line(lines: io.StringIO) -> None:
    log = structlog.get_logger("wayframe.test")
    log.info("odd", text="\ud800", number=10**30)
    (record,) = records(lines)
    assert (record["text"], record["number"]) == ("\ud800", 10**30)


def test_bound_fields_are_on_every_line_inside(lines: io.StringIO) -> None:
    log = structlog.get_logger("wayframe.test")
    with logs.bind(device=7, connection=12, trace="t1"):
        log.info("device_connected", peer="127.0.0.1")
    log.info("later")
    first, second = records(lines)
    assert {**first, "timestamp": ""} == {
        "event": "device_connected", "level": "info", "logger": "wayframe.test", "timestamp": "",
        "device": 7, "connection": 12, "trace": "t1", "peer": "127.0.0.1",
    }  # fmt: skip
    assert "device" not in second


def test_libraries_go_the_same_way(lines: io.StringIO) -> None:
    with logs.bind(device=7):
        logging.getLogger("uvicorn.error").warning("port %d is taken", 8080)
    (record,) = records(lines)
    assert (record["event"], record["level"], record["device"]) == ("port 8080 is taken", "warning", 7)


def test_a_traceback_is_one_line(lines: io.StringIO) -> None:
    try:
        raise ValueError(f"bad key {KEY}")
    except ValueError:
        structlog.get_logger("wayframe.test").exception("failed")
    (record,) = records(lines)
    assert "ValueError: bad key a1B2a1B2***" in record["exception"]


@pytest.mark.parametrize(
    "fields",
    [
        {"token": KEY},
        {"Authorization": "Basic abc"},
        {"headers": {"authorization": f"FlespiToken {KEY}", "x": [{"password": KEY}]}},
        {"text": f"got Authorization: Bearer {KEY}."},
        {"text": f"GET /?token={KEY} HTTP/1.1"},
        {"url": f"postgresql://wayframe:{KEY}@db/x"},
        {"what": ValueError(f"FlespiToken {KEY}")},
    ],
)
def test_no_secret_leaves_the_process(lines: io.StringIO, fields: dict[str, Any]) -> None:
    structlog.get_logger("wayframe.test").info("request", **fields)
    assert len(records(lines)) == 1
    assert KEY not in lines.getvalue()
    assert "Basic abc" not in lines.getvalue()


def test_below_the_level_nothing_is_written(lines: io.StringIO) -> None:
    structlog.get_logger("wayframe.test").debug("detail")
    logging.getLogger("sqlalchemy.engine").info("SELECT 1")
    assert lines.getvalue() == ""


def test_console_is_text() -> None:
    root = logging.getLogger()
    before = (root.level, root.handlers[:])
    stream = io.StringIO()
    try:
        logs.configure("console", "info", stream)
        structlog.get_logger("wayframe.test").info("device_connected", device=7, token=KEY)
    finally:
        root.setLevel(before[0])
        root.handlers = before[1]
        structlog.reset_defaults()
    assert "device_connected" in stream.getvalue()
    assert "device=7" in stream.getvalue()
    assert KEY not in stream.getvalue()
