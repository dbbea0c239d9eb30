"""`wayframe serve`, `wayframe demo` and `wayframe simulate`: what keeps running until it is stopped."""

from __future__ import annotations

import asyncio
import importlib.util
import os
from collections.abc import Coroutine, Mapping
from typing import Any

import structlog
import typer

from wayframe import logs
from wayframe.config import Settings, load, unknown_variables

from .errors import CommandError
from .options import ConfigOption

_log = structlog.get_logger("wayframe.cli")


def serve(config: ConfigOption = None) -> None:
    """Run a server until SIGTERM or Ctrl-C."""
    from wayframe.node import Node  # the whole house: loaded only where it is run

    settings = _prepared(config)
    _ports_are_free(settings)
    run_loop(Node(settings).run())


def demo(config: ConfigOption = None) -> None:
    """Run a server with simulated dashcams driving around, to look at."""
    from wayframe.demo import run as run_demo  # loads the simulator and the whole house

    settings = _prepared(config)
    run_loop(run_demo(settings))


def simulate(context: typer.Context) -> None:
    """Run simulated vehicles against a server (`wayframe simulate --help` says which)."""
    from wayframe.simulator.cli import app  # loads codecs and rendering

    app(context.args, prog_name="wayframe simulate")


def _prepared(config: ConfigOption) -> Settings:
    loaded = load(config)
    logs.configure(loaded.settings.log_format, loaded.settings.log_level)
    _log.info("settings_read", file=str(loaded.file or ""), changed=sorted(_changed(loaded.origins)))
    for sentence in unknown_variables(os.environ):
        _log.warning("setting_unknown", hint=sentence)
    return loaded.settings


def _ports_are_free(settings: Settings) -> None:
    """Say in one line a port which one cannot be had and what to do, before anything is opened."""
    from wayframe.doctor import port_problem  # loads the database's code

    found = [(port, port_problem(settings, port)) for port in settings.ports]
    lines = [
        f"{port.setting} {getattr(settings, port.setting)}: {problem.what}: {problem.advice}"
        for port, problem in found
        if problem is not None
    ]
    if lines:
        raise CommandError("\n".join(lines))


def _changed(origins: Mapping[str, str]) -> list[str]:
    return [name for name, origin in origins.items() if origin != "default"]


def run_loop(work: Coroutine[Any, Any, None]) -> None:
    """Run to the end, on uvloop where it is installed."""
    factory = None
    if importlib.util.find_spec("uvloop"):
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(work)
