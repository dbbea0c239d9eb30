"""`wayframe token …` and `wayframe device …`."""

from __future__ import annotations

from typing import Annotated

import typer

from .access import connect
from .client import Api, segment
from .completion import complete_device
from .errors import CommandError
from .options import (
    ConfigOption,
    JsonOption,
    TokenOption,
    UrlOption,
    print_columns,
    print_fields,
    print_json,
    when,
)

tokens = typer.Typer(no_args_is_help=True, help="Keys that applications use.")
devices = typer.Typer(no_args_is_help=True, help="Registered vehicle units.")

_KINDS = {"standard": 0, "master": 1}
_YEAR = 365 * 86400


@tokens.command("create")
def create_token(
    info: Annotated[str, typer.Option("--info", help="What it is for.")] = "made by wayframe token create",
    kind: Annotated[
        str, typer.Option("--type", help="standard (devices, media, messages) or master (everything).")
    ] = "standard",
    ttl: Annotated[int, typer.Option("--ttl", min=60, help="Seconds it lives after its last use.")] = _YEAR,
    config: ConfigOption = None,
    url: UrlOption = "",
    token: TokenOption = "",
    as_json: JsonOption = False,
) -> None:
    """Make a token and print its key."""
    if kind not in _KINDS:
        raise CommandError(f"--type must be {' or '.join(_KINDS)}, got {kind!r}", exit_code=2)
    body = [{"info": info, "ttl": ttl, "access": {"type": _KINDS[kind]}}]
    (made,) = connect(config, url, token).call("POST", "/platform/tokens", body=body)
    if as_json:
        print_json(made)
    else:
        typer.echo(made["key"])


@tokens.command("list")
def list_tokens(
    config: ConfigOption = None, url: UrlOption = "", token: TokenOption = "", as_json: JsonOption = False
) -> None:
    """List tokens, without their keys."""
    fields = "id,cid,info,enabled,created,accessed,expire,ttl,access"
    found = connect(config, url, token).call("GET", "/platform/tokens/all", query={"fields": fields})
    if as_json:
        print_json(found)
        return
    names = {number: name for name, number in _KINDS.items()} | {2: "ACL"}
    rows = [["ID", "TYPE", "STATE", "LAST USED", "INFO"]]
    for item in found:
        kind = names.get(item.get("access", {}).get("type", 0), "?")
        state = "enabled" if item.get("enabled", True) else "disabled"
        rows.append([str(item["id"]), kind, state, when(item.get("accessed")), item.get("info", "")])
    print_columns(rows)


@tokens.command("revoke")
def revoke_token(
    token_id: Annotated[int, typer.Argument(help="Id as `wayframe token list` shows it.")],
    config: ConfigOption = None,
    url: UrlOption = "",
    token: TokenOption = "",
    as_json: JsonOption = False,
) -> None:
    """Delete a token; what uses it is refused from now on."""
    gone = connect(config, url, token).call("DELETE", f"/platform/tokens/{token_id}")
    if as_json:
        print_json(gone)
    else:
        typer.echo(f"token {token_id} is revoked")


@devices.command("add")
def add_device(
    ident: Annotated[str, typer.Argument(help="Identifier the device presents (JT/T 808: its phone number).")],
    name: Annotated[str, typer.Option("--name", help="Name for people.")] = "",
    kind: Annotated[str, typer.Option("--type", help="Device type, by name or id.")] = "",
    config: ConfigOption = None,
    url: UrlOption = "",
    token: TokenOption = "",
    as_json: JsonOption = False,
) -> None:
    """Register a device, so that its reports are taken."""
    api = connect(config, url, token)
    body = [{"name": name or ident, "device_type_id": _device_type(api, kind), "configuration": {"ident": ident}}]
    (made,) = api.call("POST", "/gw/devices", body=body)
    if as_json:
        print_json(made)
    else:
        typer.echo(f"device {made['id']} ({made['name']}) is registered")


def _device_type(api: Api, wanted: str) -> int:
    """The id of a type named by id or name; without a name the first of JT/T 808, whose devices bring video."""
    if wanted.isdecimal():
        return int(wanted)
    kinds = api.call(
        "GET", "/gw/channel-protocols/all/device-types/all", query={"fields": "id,name,title,protocol_name,features"}
    )
    named = [
        item for item in kinds if (item.get("name") == wanted if wanted else item.get("features", {}).get("video"))
    ]
    if not named:
        known = ", ".join(f"{item['name']} ({item['id']})" for item in kinds)
        raise CommandError(f"no device type {wanted!r}; there are: {known}", exit_code=2)
    return int(named[0]["id"])


@devices.command("list")
def list_devices(
    selector: Annotated[
        str,
        typer.Argument(help="Which: all, ids, field=value or {expression}.", autocompletion=complete_device),
    ] = "all",
    fields: Annotated[str, typer.Option("--fields", help="Which fields, by comma: name,telemetry.position.speed")] = "",
    config: ConfigOption = None,
    url: UrlOption = "",
    token: TokenOption = "",
    as_json: JsonOption = False,
) -> None:
    """List devices: id, ident, whether connected, when last heard, name; or the fields asked for."""
    asked = fields or "id,name,device_type_id,device_type_name,configuration,connected,last_active,enabled"
    found = connect(config, url, token).call("GET", f"/gw/devices/{segment(selector)}", query={"fields": asked})
    if as_json:
        print_json(found)
        return
    if fields:
        print_fields(found, [name.strip() for name in fields.split(",")])
        return
    rows = [["ID", "IDENT", "STATE", "LAST HEARD", "NAME"]]
    for item in found:
        state = "connected" if item.get("connected") else "away"
        ident = str(item.get("configuration", {}).get("ident", ""))
        rows.append([str(item["id"]), ident, state, when(item.get("last_active")), item.get("name", "")])
    print_columns(rows)
