"""`wayframe live`: start a live stream and print its link, or say what plays behind one."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from .access import connect, link_parts, reach
from .client import Api, segment
from .completion import complete_device
from .errors import CommandError
from .options import ConfigOption, JsonOption, TokenOption, UrlOption, print_json, shown

_TIMEOUT_S = 30


def live(
    device: Annotated[
        str,
        typer.Argument(
            metavar="DEVICE|LINK",
            help="Device id or selector; or the link or uuid of a stream or file.",
            autocompletion=complete_device,
        ),
    ],
    channel: Annotated[int, typer.Argument(min=1, help="Camera.")] = 1,
    quality: Annotated[str, typer.Option("--quality", help="main or sub.")] = "sub",
    stream: Annotated[str, typer.Option("--format", help="hls or flv.")] = "hls",
    show: Annotated[bool, typer.Option("--open", help="Open the page that plays it in a browser.")] = False,
    config: ConfigOption = None,
    url: UrlOption = "",
    token: TokenOption = "",
    as_json: JsonOption = False,
) -> None:
    """Start live video of a camera and print its link and the page that plays it; of a link, say what plays there.

    A stream ends a minute after nobody watches.
    """
    link = link_parts(device)
    if link is None and re.match(r"[a-z]+://", device):
        raise CommandError(f"{device[:100]!r} is no media link: it has no uuid of 64 hex characters", exit_code=2)
    if link is not None:
        api = reach(link[0], config, url, token)
        playing = api.document(f"/media/{link[1]}", {"preview": "json"})
    else:
        api = connect(config, url, token)
        playing = _started(api, device, channel, quality, stream)
    playing.pop("preview", None)
    page = f"{api.url}/watch/{playing['uuid']}"
    if as_json:
        print_json({**playing, "page": page})
    else:
        meta = playing.get("meta") or playing
        facts = [playing.get("name"), meta.get("type"), playing.get("mime"), meta.get("video_codec")]
        if link is not None:
            typer.echo("  ".join(shown(fact) for fact in facts if fact))
        typer.echo(playing.get("url") or f"{api.url}/media/{playing['uuid']}")
        typer.echo(page)
    if show:
        typer.launch(page)


def _started(api: Api, device: str, channel: int, quality: str, stream: str) -> dict[str, Any]:
    properties = {"channel": channel, "quality": quality, "mediastream": stream}
    body = [{"name": "start_videostream", "properties": properties, "timeout": _TIMEOUT_S}]
    results = api.call("POST", f"/gw/devices/{segment(device)}/commands", body=body)
    if len(results) != 1:
        raise CommandError(f"the device {device!r} must be one, it names {len(results)}", exit_code=2)
    (result,) = results
    if not result["executed"] or not isinstance(result.get("response"), dict):
        reason = result.get("reason") or "the device did not answer; is it connected?"
        raise CommandError(f"no live video of device {result['device_id']}, channel {channel}: {reason}")
    return dict(result["response"])
