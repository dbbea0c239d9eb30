"""`wayframe reference`: docs/reference/cli.md, made from the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

_HEAD = """# The `wayframe` command

Made by `wayframe reference`; a test keeps it equal to the code.

Commands that talk to a server use its public API: at `--url` (`WAYFRAME_URL`) with `--token` (`WAYFRAME_TOKEN`), or,
without them, the server of this machine with a master token of its own database. A certificate that is not trusted by
this machine is named with the environment variable `SSL_CERT_FILE`.

`--json` prints one JSON value on stdout; what goes on and on (`--follow`, `tail`, `media get`, `media put --recursive`)
prints one line for each. Without it there is a table on a terminal, and plain columns elsewhere. Progress bars and
errors go to stderr.

Exit codes: 0 done; 1 failed, with one line on stderr that says why; 2 used wrongly; 130 ended with Ctrl-C.

`wayframe --install-completion` teaches your shell the commands, their options, and devices with the commands they know.
"""


def reference(context: typer.Context) -> None:
    """Print docs/reference/cli.md."""
    typer.echo(page(context.find_root().command), nl=False)


def page(root: Any) -> str:
    """The page, from the tree of commands."""
    return _HEAD + "".join(_section(name, command) for name, command in walk(root, "wayframe"))


def walk(group: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every command that is not hidden, with its words."""
    for name, command in group.commands.items():
        if command.hidden:
            continue
        words = f"{path} {name}"
        if hasattr(command, "commands"):
            yield from walk(command, words)
        else:
            yield words, command


def _section(words: str, command: Any) -> str:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option" and one.name != "help"]
    usage = " ".join([words, *(_usage(one) for one in arguments)])
    text = "\n\n".join(" ".join(part.split()) for part in (command.help or "").split("\n\n"))
    lines = ["", f"## {words}", "", text, "", "```", usage, "```", ""]
    rows = [(f"`{_metavar(one)}`", one.help or "", "") for one in arguments]
    rows += [(_names(one), one.help or "", _default(one)) for one in options if one.name not in _COMMON]
    common = [f"`{one.opts[0]}`" for one in options if one.name in _COMMON]
    if rows:
        lines += ["| | what | default |", "|---|---|---|"]
        lines += ["| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in rows]
        lines.append("")
    if common:
        lines += [f"And {', '.join(common)}.", ""]
    return "\n".join(lines).rstrip() + "\n"


_COMMON = frozenset({"config", "url", "token", "as_json"})


def _metavar(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def _usage(argument: Any) -> str:
    many = "..." if argument.nargs == -1 else ""
    return f"{_metavar(argument)}{many}" if argument.required else f"[{_metavar(argument)}{many}]"


def _names(option: Any) -> str:
    return ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])


def _default(option: Any) -> str:
    return "" if option.default in (None, "", False, []) or callable(option.default) else f"`{option.default}`"
