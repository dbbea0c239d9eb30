"""`wayframe logs` and `wayframe tail messages`: what happened, and what happens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any

import typer

from .access import connect
from .client import Api, segment
from .completion import complete_device
from .errors import CommandError
from .options import (
    ConfigOption,
    FilterOption,
    FromOption,
    JsonOption,
    PatienceOption,
    TokenOption,
    ToOption,
    UrlOption,
    print_json,
    print_line,
    shown,
    span,
)

tail = typer.Typer(no_args_is_help=True, help="Follow what comes from devices.")

_DevicesArgument = Annotated[
    str, typer.Argument(help="Device id or a selector; all without it.", autocompletion=complete_device)
]
_LimitOption = Annotated[int, typer.Option("--limit", min=0, help="End after so many that came; 0 for never.")]
_PATIENCE_S = 300
_MOST_IDS = 256
_LOOKED_BACK, _REMEMBERED = 200, 10_000
"""Records of before, and records in all, that are told from new ones."""
_KEY = ("timestamp", "server.timestamp", "event_code", "origin_id", "device.id", "uuid", "id")
"""What tells one record from another where history and news overlap."""


@tail.callback()
def _group() -> None:
    """Keeps `messages` a word of its own while it is the only one."""


@tail.command("messages")
def messages(
    device: _DevicesArgument = "all",
    count: Annotated[int, typer.Option("--count", "-n", min=0, help="Messages of before to begin with.")] = 10,
    limit: _LimitOption = 0,
    condition: FilterOption = "",
    patience: PatienceOption = _PATIENCE_S,
    config: ConfigOption = None,
    url: UrlOption = "",
    token: TokenOption = "",
    as_json: JsonOption = False,
) -> None:
    """Print messages of devices as they arrive, after the last ones of before; with --json one line each."""
    _follow(connect(config, url, token), "messages", device, {}, count, condition, limit, patience, _message, as_json)


def logs(
    device: _DevicesArgument = "all",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as things happen, until Ctrl-C.")] = False,
    earliest: FromOption = "",
    latest: ToOption = "",
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Newest records only, so many.")] = 100,
    limit: _LimitOption = 0,
    condition: FilterOption = "",
    patience: PatienceOption = _PATIENCE_S,
    config: ConfigOption = None,
    url: UrlOption = "",
    token: TokenOption = "",
    as_json: JsonOption = False,
) -> None:
    """Print log records of devices, oldest first; with --follow also the coming ones, --json then one line each."""
    api, asked = connect(config, url, token), span(earliest, latest)
    if follow:
        if latest:
            raise CommandError("--to has no meaning with --follow", exit_code=2)
        line = partial(_record, names={} if as_json else _event_names(api))
        _follow(api, "logs", device, asked, count, condition, limit, patience, line, as_json)
        return
    found = _history(api, "logs", device, asked, count, condition)
    if as_json:
        print_json(found)
        return
    names = _event_names(api)
    for record in found:
        typer.echo(_record(record, names))


def _history(
    api: Api, kind: str, device: str, asked: Mapping[str, float], count: int, condition: str
) -> list[dict[str, Any]]:
    """The newest records, oldest first."""
    path = f"/gw/devices/{segment(device)}/{kind}"
    return api.ask(path, **asked, count=count, reverse=True, filter=condition or None)[::-1]


def _follow(
    api: Api, kind: str, device: str, asked: Mapping[str, float], count: int, condition: str, limit: int,
    patience: int, line: Callable[[Mapping[str, Any]], str], as_json: bool,
) -> None:  # fmt: skip
    """History, then news; the news are heard first, so that nothing falls between."""
    from .following import Follower  # websockets and the codec of MQTT

    say: Callable[[Mapping[str, Any]], None] = print_line if as_json else lambda record: typer.echo(line(record))
    follower = Follower(api, _topic(api, kind, device, condition), patience)
    came = 0
    try:
        follower.open()
        known = _history(api, kind, device, asked, max(count, _LOOKED_BACK), condition)
        seen = dict.fromkeys(map(_key, known))
        for record in known[len(known) - min(count, len(known)) :]:
            say(record)
        for record in follower.events():
            if _key(record) in seen:
                continue  # a server that crashed announces again what it may not have announced
            seen[_key(record)] = None
            if len(seen) > _REMEMBERED:
                del seen[next(iter(seen))]
            say(record)
            came += 1
            if came == limit:
                break
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    finally:
        follower.close()


def _topic(api: Api, kind: str, device: str, condition: str) -> str:
    """The filter over what is published: devices by their ids, a condition in the prefix (mqtt-api.md)."""
    ids = "+"
    if device != "all":
        found = [str(item["id"]) for item in api.call("GET", f"/gw/devices/{segment(device)}", query={"fields": "id"})]
        if not found or len(found) > _MOST_IDS:
            raise CommandError(f"the selector {device!r} names {len(found)} devices; 1 to {_MOST_IDS} can be followed")
        ids = ",".join(found)
    prefix = f"$filter/payload={segment(condition)}/" if condition else ""
    return f"{prefix}flespi/{'message' if kind == 'messages' else 'log'}/gw/devices/{ids}" + "/#" * (kind == "logs")


def _key(record: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(record.get(name)) for name in _KEY)


# --- lines for people -------------------------------------------------------------------------------------------------


def _event_names(api: Api) -> dict[str, str]:
    """What each event code means, as the server says it."""
    (found,) = api.call("GET", "/const/values", query={"names": "toolbox/codes"})
    return {number: code["description"] for number, code in found["toolbox/codes"]["codes"].items()}


def _record(record: Mapping[str, Any], names: Mapping[str, str]) -> str:
    code, origin = str(record.get("event_code", "")), record.get("origin_id")
    event = f"{code} {shown(names[code])}" if code in names else code
    return f"{_exactly(record)}  {origin}  {event}  {_rest(record, {'event_code', 'origin_id', 'origin_type', 'cid'})}"


def _message(message: Mapping[str, Any]) -> str:
    name = shown(message.get("device.name") or str(message.get("device.id", "")))
    hidden = {name for name in message if name.startswith(("device.", "channel.", "protocol.", "server."))}
    return f"{_exactly(message)}  {name}  {_rest(message, hidden | {'ident'})}"


def _exactly(record: Mapping[str, Any]) -> str:
    from datetime import datetime

    return datetime.fromtimestamp(record.get("timestamp") or 0).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def _rest(record: Mapping[str, Any], hidden: set[str]) -> str:
    return "  ".join(f"{name}={shown(value)}" for name, value in record.items() if name not in {*hidden, "timestamp"})
