"""`wayframe rights`: the right each route needs, from the table that the server itself answers by."""

from __future__ import annotations

from typing import Annotated

import typer

from wayframe.rest import ROUTES, Route
from wayframe.rest.gallery import GALLERY_ROUTES
from wayframe.rest.gallery_hooks import HOOKS_ROUTES, RIGHT

from .options import print_columns


def rights(
    markdown: Annotated[bool, typer.Option("--markdown", help="Print docs/reference/rights.md.")] = False,
) -> None:
    """Print every route with the right it needs."""
    if markdown:
        typer.echo(reference(), nl=False)
        return
    print_columns([[route.method, route.path, needed(route), route.submodule or "", also(route)] for route in ROUTES])


def needed(route: Route) -> str:
    """Whose right: an entity, any valid token, or nobody's."""
    if route.open:
        return "nothing"
    return route.entity or "any token"


def also(route: Route) -> str:
    """What else."""
    if route.linked is not None:
        return f"GET on {route.linked}"
    return "master" if (route.entity or "").startswith("platform/") else ""


def reference() -> str:
    """The page docs/reference/rights.md."""
    lines = [
        "# Rights",
        "",
        "Made by `wayframe rights --markdown`; a test keeps it equal to the code, and another asks every route with",
        "every kind of token. How tokens and accounts work: [accounts and tokens](../how-to/accounts.md).",
        "",
        "*Right on* is the entity a token needs the method on; PATCH is granted by PUT, HEAD by GET. `platform/…` is",
        "for master tokens only. With a *submodule*, an ACL token needs GET on the item, the method on the submodule.",
        "*Also* names a second condition. Items of other accounts, and items an ACL does not list, are 404; a missing",
        "method or submodule is 403.",
        "",
        "| method | path | right on | submodule | also |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {route.method} | `{route.path}` | {_code(needed(route))} | {_code(route.submodule or '')} | {also(route)} |"
        for route in ROUTES
    ]
    lines += [
        "",
        "## Gallery",
        "",
        "Below `/api/gallery/{device}`; every one needs the method on the submodule of `gw/devices`. A batch needs",
        "besides what its action needs by itself.",
        "",
        "| method | path | submodule | also |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {route.method} | `{route.path}` | {_right(route.right)} | {_right(route.besides)} |"
        for route in GALLERY_ROUTES
    ]
    lines += [
        "",
        "Hooks, of devices and of whole accounts. One that queues a command needs POST `commands-queue` besides, when",
        "it is made and whenever it is called.",
        "",
        "| method | path | submodule |",
        "|---|---|---|",
    ]
    lines += [
        f"| {route.method} | `{'/'.join(filter(None, ('/api/hooks', route.path)))}` | {_right(RIGHT)} |"
        for route in HOOKS_ROUTES
    ]
    return "\n".join(lines) + "\n"


def _right(right: tuple[str, str] | None) -> str:
    return f"{right[0]} `{right[1]}`" if right is not None else ""


def _code(text: str) -> str:
    return f"`{text}`" if text and text not in ("nothing", "any token") else text
