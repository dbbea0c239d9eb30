"""People who log in with a password: list, add, change, remove. For master tokens."""

from __future__ import annotations

from wayframe.model import BadRequest, Json
from wayframe.model.users import User
from wayframe.rest.context import Call
from wayframe.rest.exchange import Answer

from .shared import each, projected


async def read(call: Call) -> Answer:
    """GET /platform/users/{users}: `all`, ids or identities."""
    users = call.services.gallery.users
    return projected(call, [users.view(user) for user in users.visible(call.caller, call.params[0])])


async def create(call: Call) -> Answer:
    """POST /platform/users: people of the acting account."""
    users = call.services.gallery.users

    async def add(body: Json) -> Json:
        return users.view(await users.create(call.caller, body))

    return await each(call.objects(), add, "user")


async def change(call: Call) -> Answer:
    """PUT /platform/users/{users}: name, password, whether they may log in."""
    users, body = call.services.gallery.users, call.request.json()
    if not isinstance(body, dict):
        raise BadRequest("the body must be one JSON object with the fields to change")

    async def write(user: User) -> Json:
        return users.view(await users.change(call.caller, user, body))

    return await each(users.visible(call.caller, call.params[0]), write, "user")


async def delete(call: Call) -> Answer:
    """DELETE /platform/users/{users}: their sessions end with them."""
    users = call.services.gallery.users

    async def remove(user: User) -> Json:
        await users.delete(call.caller, user)
        return {"id": user.id}

    return await each(users.visible(call.caller, call.params[0]), remove, "user")
