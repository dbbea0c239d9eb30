"""`wayframe settings`: every setting, its value and where it came from; or the table of the documentation."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from wayframe.config import PORTS, Loaded, Settings, allowed, env_name, load, show

from .options import ConfigOption, JsonOption, print_columns, print_json


def settings(
    config: ConfigOption = None,
    as_json: JsonOption = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print docs/reference/settings.md.")] = False,
) -> None:
    """Print every setting with its value and where it came from (default, environment, file)."""
    if markdown:
        typer.echo(reference(), nl=False)
        return
    loaded = load(config)
    if as_json:
        print_json([_described(name, loaded) for name in Settings.model_fields])
        return
    rows = [
        [name, "=", show(name, getattr(loaded.settings, name)), loaded.origins[name]] for name in Settings.model_fields
    ]
    print_columns(rows)


def _described(name: str, loaded: Loaded) -> dict[str, Any]:
    value = getattr(loaded.settings, name)
    plain = value if isinstance(value, int | float) else show(name, value)
    return {
        "name": name,
        "value": plain,
        "origin": loaded.origins[name],
        "environment": env_name(name),
        "allowed": allowed(name),
        "description": Settings.model_fields[name].description,
    }


def reference() -> str:
    """The page docs/reference/settings.md."""
    lines = [
        "# Settings and ports",
        "",
        "Made by `wayframe settings --markdown`; a test keeps it equal to the code.",
        "",
        "Every setting has one name in two spellings: the key in `wayframe.toml` (in the working directory, or named",
        "by `--config` or `WAYFRAME_CONFIG`) and the environment variable. The environment goes before the file, the",
        "file before the default. Sizes take units (`512 MiB`, `10 GB`), durations too (`30 d`, `10 min`).",
        "`wayframe settings` prints what a node really uses and where each value came from.",
        "",
        "```toml",
        "# wayframe.toml",
        'public_url = "https://video.example.com"',
        'data_dir = "/var/lib/wayframe"',
        'default_media_ttl = "90 d"',
        "```",
        "",
        "## Settings",
        "",
        "| key | environment | default | allowed | what it does |",
        "|---|---|---|---|---|",
    ]
    for name, info in Settings.model_fields.items():
        default = show(name, info.default) or "empty"
        limits = allowed(name).replace("|", r"\|")
        lines.append(f"| `{name}` | `{env_name(name)}` | {default} | {limits} | {info.description} |")
    lines += [
        "",
        "## Ports",
        "",
        "What a node listens on; open these in a firewall. Where the outside sees another number, tell the node with",
        "the setting in the last column, because devices are told where to send media.",
        "",
        "| default | setting | bound to | who dials | what is spoken | told as |",
        "|---|---|---|---|---|---|",
    ]
    for port in PORTS:
        told = f"`{port.public_setting}`" if port.public_setting else ""
        number = Settings.model_fields[port.setting].default
        lines.append(f"| {number} | `{port.setting}` | `{port.host_setting}` | {port.who} | {port.what} | {told} |")
    return "\n".join(lines) + "\n"
