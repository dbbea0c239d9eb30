"""`wayframe command …`: commands to devices."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from .access import connect
from .client import Api, patiently, segment
from .completion import complete_command
from .errors import CommandError, Refused
from .options import (
    ConfigOption,
    DeviceArgument,
    JsonOption,
    TokenOption,
    UrlOption,
    print_columns,
    print_json,
    shown,
    value_of,
)

commands = typer.Typer(no_args_is_help=True, help="Commands to devices.")

_FIRST_LOOK_S, _LONGEST_LOOK_S = 0.2, 2.0


@commands.command("send")
def send(
    device: DeviceArgument,
    name: Annotated[
        str,
        typer.Argument(help="Its name, as `wayframe command list DEVICE` shows them.", autocompletion=complete_command),
    ],
    properties: Annotated[
        list[str] | None,
        typer.Option(
            "--property", "-p", help="channel=1, text='\"007\"': JSON where it is JSON, else text; repeat it."
        ),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the answer; exit code 1 if it is none.")] = False,
    ttl: Annotated[int, typer.Option("--ttl", help="Seconds in which it may start; also how long --wait waits.")] = 600,
    config: ConfigOption = None,
    url: UrlOption = "",
    token: TokenOption = "",
    as_json: JsonOption = False,
) -> None:
    """Queue a command; the device gets it as soon as it is connected."""
    body = [{"name": name, "properties": _properties(properties or []), "ttl": ttl}]
    api = connect(config, url, token)
    queued = api.call("POST", f"/gw/devices/{segment(device)}/commands-queue", body=body)
    if not queued:
        raise CommandError(f"the selector {device!r} names no device")
    results = [_result(api, item, ttl) for item in queued] if wait else queued
    if as_json:
        print_json(results)
    else:
        for item in results:
            typer.echo(_line(item) if wait else f"command {item['id']} is queued for device {item['device_id']}")
    if wait and not all(item["executed"] for item in results):
        raise typer.Exit(1)


def _properties(pairs: list[str]) -> dict[str, Any]:
    properties = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not name or not equals:
            raise CommandError(f"--property must be NAME=VALUE, got {pair!r}", exit_code=2)
        properties[name] = value_of(text)
    return properties


def _result(api: Api, item: dict[str, Any], ttl: int) -> dict[str, Any]:
    """What became of a queued command. Raises CommandError where nothing does within `ttl` and a minute."""
    path = f"/gw/devices/{item['device_id']}/commands-result/{item['id']}"
    until, pause = time.monotonic() + ttl + 60, _FIRST_LOOK_S
    while time.monotonic() < until:
        try:
            found: list[dict[str, Any]] = patiently(lambda: api.call("GET", path), max(0.0, until - time.monotonic()))
        except Refused as error:
            if error.status != 404:
                raise
            found = []
        if found:
            return found[0]
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_LOOK_S)
    raise CommandError(f"nothing is known yet of command {item['id']}; it may still be carried out")


def _line(result: dict[str, Any]) -> str:
    response = result.get("response")
    if not result["executed"]:
        return f"device {result['device_id']}: not executed: {shown(result.get('reason') or 'no answer')}"
    said = response.get("url") if isinstance(response, dict) and response.get("url") else response
    return f"device {result['device_id']}: {shown(said)}"


@commands.command("list")
def listed(
    device: DeviceArgument,
    config: ConfigOption = None,
    url: UrlOption = "",
    token: TokenOption = "",
    as_json: JsonOption = False,
) -> None:
    """List the commands a device knows, with their properties (* must be given)."""
    found = connect(config, url, token).call("GET", f"/gw/devices/{segment(device)}", query={"fields": "id,commands"})
    if as_json:
        print_json(found)
        return
    rows = [["DEVICE", "COMMAND", "PROPERTIES"]]
    for item in found:
        rows += [[str(item["id"]), command["name"], _schema(command["schema"])] for command in item.get("commands", [])]
    print_columns(rows)


def _schema(schema: dict[str, Any]) -> str:
    needed = schema.get("required", [])
    return ", ".join(f"{name}*" if name in needed else name for name in schema.get("properties", {}))
