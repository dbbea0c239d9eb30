"""What the routes of the gallery API do, where no bytes travel. The first line of each says it in OpenAPI too."""

from __future__ import annotations

from urllib.parse import urlencode

from wayframe.model import Json, WayframeError
from wayframe.services import gallery_shapes as shapes
from wayframe.services.bodies import parse_body
from wayframe.services.gallery import viewer_of
from wayframe.services.gallery_shapes import BatchBody

from .exchange import Response
from .gallery_calls import GalleryCall, code_of, respond
from .gallery_queries import decimal, event_query, switch, whole

_MOST_WAIT_S = 60.0
_WAIT_S = 10.0
_CHANGE = (("PUT", "media"),)
_RIGHTS = {
    "pull": (("POST", "commands-queue"), ("POST", "media")), "delete": (("DELETE", "media"),),
    "flag": _CHANGE, "unflag": _CHANGE, "view": _CHANGE,
}  # fmt: skip
"""What each action of a batch needs besides reading: methods and submodules of `gw/devices`."""
_CHANGES: dict[str, Json] = {"flag": {"flagged": True}, "unflag": {"flagged": False}, "view": {"viewed": True}}


async def paths(call: GalleryCall) -> Response:
    """Where files of this device are dropped; makes the folders."""
    return respond({"success": True, "paths": await call.services.gallery.folders.paths(call.entry)})


async def events(call: GalleryCall) -> Response:
    """The events of a device: a bare array."""
    query = call.request.query
    asked = event_query(query, viewer_of(call.caller))
    found, total = await call.services.gallery.events.events(call.caller, call.entry, asked)
    headers = {} if total is None else {"X-Total-Count": str(total)}
    if len(found) == asked.limit and (total is None or asked.offset + asked.limit < total):
        following = {**query, "limit": str(asked.limit), "offset": str(asked.offset + asked.limit)}
        headers["Link"] = f'<{call.base}/api/gallery/{call.entry.id}/events?{urlencode(following)}>; rel="next"'
    return respond(found, headers=headers)


async def event(call: GalleryCall) -> Response:
    """One event."""
    gallery = call.services.gallery.events
    return respond(await gallery.view(call.caller, await gallery.event(call.entry, call.event)))


async def change(call: GalleryCall) -> Response:
    """Flag, mark as viewed, rename, annotate."""
    gallery = call.services.gallery.events
    found = await gallery.event(call.entry, call.event)
    changed = await gallery.change(call.caller, call.entry, found, call.body())
    return respond({"success": True, "event": await gallery.view(call.caller, changed)})


async def delete(call: GalleryCall) -> Response:
    """Remove an event, and its file."""
    gallery = call.services.gallery.events
    found = await gallery.event(call.entry, call.event)
    await call.services.gallery.pulls.give_up(call.caller, call.entry, found)
    await gallery.delete(call.caller, call.entry, found)
    return respond({"success": True})


async def batch(call: GalleryCall) -> Response:
    """Do one thing with many events; each has a result of its own."""
    asked = parse_body(BatchBody, call.body())
    events = call.services.gallery.events
    for right in _RIGHTS[asked.action]:
        await events.device(call.caller, str(call.entry.id), *right)
    results = [await _one_of_many(call, asked.action, name) for name in dict.fromkeys(asked.ids)]
    return respond({"success": all(result["success"] for result in results), "results": results})


async def _one_of_many(call: GalleryCall, action: str, name: str) -> dict[str, Json]:
    rooms, result = call.services.gallery, {"id": name, "success": True}
    try:
        found = await rooms.events.event(call.entry, name)
        if action == "pull":
            pulled = await rooms.pulls.pull(call.caller, call.entry, found, 0.0)
            return result | {"success": pulled.done, "state": str(pulled.event.state)}
        if action == "delete":
            await rooms.pulls.give_up(call.caller, call.entry, found)
            await rooms.events.delete(call.caller, call.entry, found)
        else:
            await rooms.events.change(call.caller, call.entry, found, _CHANGES[action])
    except WayframeError as error:
        return result | {"success": False, "error": error.reason, "code": code_of(error)}
    return result


async def register(call: GalleryCall) -> Response:
    """Take a file in, as a form; or, as JSON, note an event that is still on the device."""
    made = await call.services.gallery.events.register(call.entry, call.body())
    return respond({"success": True, "eventId": made.id, "event_id": made.id, "state": str(made.state)})


async def upload_url(call: GalleryCall) -> Response:
    """Links that take a file, and a thumbnail, by PUT without a token."""
    query = call.request.query
    life_s = float(whole(query, "expires", 900, 10, 7 * 86400))
    reserved = await call.services.gallery.links.reserve(
        call.caller,
        call.entry,
        query.get("filename", ""),
        thumbnail=switch(query, "thumbnail") or False,
        media_type=shapes.media_type(query.get("media_type")),
        life_s=life_s,
    )
    shown = {
        "success": True, "upload_url": f"{call.base}/upload/{reserved.media}",
        **({"thumbnail_upload_url": f"{call.base}/upload/{reserved.thumbnail}"} if reserved.thumbnail else {}),
        "eventId": reserved.event.id, "expires_at": shapes.iso(reserved.expires), "method": "PUT",
        "max_size": reserved.max_size,
    }  # fmt: skip
    return respond(shown)


async def stats(call: GalleryCall) -> Response:
    """Counts and sizes by type."""
    return respond(await call.services.gallery.events.stats(call.entry))


async def pull(call: GalleryCall) -> Response:
    """Fetch the bytes from the device; waits a while, then says how far it is."""
    found = await call.services.gallery.events.event(call.entry, call.event)
    wait_s = decimal(call.request.query, "wait", _WAIT_S, _MOST_WAIT_S)
    pulled = await call.services.gallery.pulls.pull(call.caller, call.entry, found, wait_s)
    body = {
        "success": pulled.done, "eventId": found.id, "event_id": found.id, "state": str(pulled.event.state),
        **({"commandId": pulled.event.command_id} if pulled.event.command_id and not pulled.done else {}),
        **({"received": pulled.received, "size": pulled.event.size} if not pulled.done else {}),
        **({"error": pulled.event.error} if pulled.event.error and not pulled.done else {}),
    }  # fmt: skip
    return respond(body, 200 if pulled.done else 202)


async def read_source(call: GalleryCall) -> Response:
    """Where the files of a device are pulled from, without what opens it."""
    return respond({"success": True, "source": await call.services.gallery.hosts.view(call.entry)})


async def write_source(call: GalleryCall) -> Response:
    """Say where the files of a device are pulled from."""
    return respond({"success": True, "source": await call.services.gallery.hosts.write(call.entry, call.body())})


async def delete_source(call: GalleryCall) -> Response:
    """Forget where the files of a device are pulled from."""
    await call.services.gallery.hosts.delete(call.entry)
    return respond({"success": True})


async def scan(call: GalleryCall) -> Response:
    """Look at the device's host or list of recordings now, and note what is new."""
    seen = await call.services.gallery.harvests.look(call.caller, call.entry)
    body = {"success": not seen.error, "found": seen.found, "new": seen.new}
    return respond(body | ({"error": seen.error} if seen.error else {}))


async def start(call: GalleryCall) -> Response:
    """Have the device looked at by itself from now on, every `interval` seconds."""
    await call.services.gallery.harvests.start(call.caller, call.entry, call.body())
    return respond({"success": True})


async def stop(call: GalleryCall) -> Response:
    """Look at the device by itself no more."""
    await call.services.gallery.harvests.stop(call.entry)
    return respond({"success": True})


async def status(call: GalleryCall) -> Response:
    """How the harvest of the device stands."""
    return respond({"success": True, "status": call.services.gallery.harvests.status(call.entry)})
