"""Hooks of the gallery as callers keep them (gallery-api.md B3, B7, C12); `hook_calls` calls them.

A hook belongs to a device, or to every device of its account. It does what its maker may do, and whoever changes it is
its maker from then on.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from wayframe.bus import Bus
from wayframe.model import BadRequest, Clock, Event, Forbidden, Json, NotFound
from wayframe.model.hooks import Hook, HookAction, HookEvent
from wayframe.storage import HookTable

from .background import Background
from .bodies import parse_body
from .directory import Directory
from .entries import DEVICES, Caller, Entry
from .gallery import Gallery
from .hook_bodies import HookBody, check_execution, checked, hook_view
from .hook_calls import RIGHTS, HookCalls

_MAX_HOOKS = 200
"""Hooks of one account."""
_REQUIRED = ("hookName", "eventType", "actionId")


class Hooks:
    """The hooks of all accounts."""

    def __init__(
        self,
        *,
        table: HookTable,
        calls: HookCalls,
        gallery: Gallery,
        directory: Directory,
        bus: Bus,
        clock: Clock,
        destinations: Collection[str],
    ) -> None:
        """`destinations`: private hosts and networks that webhooks may lead to."""
        self._table = table
        self._calls = calls
        self._gallery = gallery
        self._directory = directory
        self._clock = clock
        self._destinations = destinations
        self._background = Background("hooks")
        bus.listen(f"flespi/log/{DEVICES}/+/deleted", self._device_deleted)

    async def load(self) -> None:
        """Read every hook, and what is on its way to them."""
        for hook in await self._table.all():
            self._calls.put(hook)
        await self._calls.load()

    # --- reading ------------------------------------------------------------------------------------------------

    async def visible(self, caller: Caller, device: str, kind: str | None = None) -> list[dict[str, Json]]:
        """Hooks the caller may keep: all, or those a device's events go to; of one kind of event.

        Raises `BadRequest`, `NotFound`, `Forbidden`.
        """
        self._directory.granted(caller, DEVICES, "POST", "media")
        entry = await self._gallery.device(caller, device, "POST", "media") if device else None
        wanted = None if kind is None else _kind(kind)
        return [
            hook_view(hook)
            for hook in sorted(self._calls.hooks.values(), key=lambda hook: hook.id)
            if wanted in (None, hook.event_type)
            and (entry is None or self._calls.concerns(hook, entry))
            and await self._keeps(caller, hook)
        ]

    async def _keeps(self, caller: Caller, hook: Hook) -> bool:
        """Whether a hook is the caller's to see and change: he made it, or may write to all that it is for."""
        if hook.cid not in self._directory.visible_accounts(caller.cid):
            return False
        if hook.made_by == caller.token.id:
            return True
        if not hook.device_id:
            return self._directory.granted(caller, DEVICES, "POST", "media").everything
        try:
            return bool(await self._directory.select(caller, DEVICES, str(hook.device_id), "POST", "media"))
        except (NotFound, Forbidden):
            return False

    async def _one(self, caller: Caller, hook_id: str) -> Hook:
        self._directory.granted(caller, DEVICES, "POST", "media")
        hook = self._calls.hooks.get(int(hook_id)) if hook_id.isdecimal() and len(hook_id) < 16 else None
        if hook is None or not await self._keeps(caller, hook):
            raise NotFound(f"no hook {hook_id[:64]!r}")
        return hook

    # --- changing -----------------------------------------------------------------------------------------------

    async def create(self, caller: Caller, body: Json) -> dict[str, Json]:
        """Make a hook. Raises `BadRequest`, `NotFound`, `Forbidden`."""
        self._directory.granted(caller, DEVICES, "POST", "media")
        asked = parse_body(HookBody, body)
        missing = [name for name in _REQUIRED if getattr(asked, name) is UNSET]
        if missing:
            raise BadRequest(f"`{missing[0]}` is required", schema_hint=list(HookBody.__struct_fields__))
        if sum(hook.cid == caller.cid for hook in self._calls.hooks.values()) >= _MAX_HOOKS:
            raise BadRequest(f"this account has {_MAX_HOOKS} hooks; delete some")
        now = self._clock.now()
        blank = Hook(
            id=0, cid=caller.cid, name="", event_type=HookEvent.AFTER_EVENT_PULLED, action=HookAction.WEBHOOK,
            parameters={}, made_by=caller.token.id, created=now, changed=now,
        )  # fmt: skip
        hook = await self._changed(caller, blank, asked)
        stored = await self._table.insert(hook)
        self._calls.put(stored)
        return hook_view(stored)

    async def change(self, caller: Caller, hook_id: str, body: Json) -> dict[str, Json]:
        """Change a hook; what is not named stays, and `parameters` are replaced as a whole. The caller answers for it
        from now on. Raises as `create`."""
        hook = await self._changed(caller, await self._one(caller, hook_id), parse_body(HookBody, body))
        await self._table.update(hook)
        self._calls.put(hook)
        return hook_view(hook)

    async def delete(self, caller: Caller, hook_id: str) -> None:
        """Remove a hook, and what is on its way to it. Raises `NotFound`, `Forbidden`."""
        hook = await self._one(caller, hook_id)
        self._calls.forget(hook.id)
        await self._table.delete([hook.id])

    async def _changed(self, caller: Caller, hook: Hook, asked: HookBody) -> Hook:
        action = hook.action if asked.actionId is UNSET else asked.actionId
        check_execution(action, asked.executionType)
        parameters = hook.parameters
        if asked.parameters is not UNSET or action is not hook.action or not parameters:
            given = {} if asked.parameters is UNSET else asked.parameters
            parameters = checked(action, given, self._destinations)
        device_id = hook.device_id
        if asked.deviceId is not UNSET:
            device_id = await self._device(caller, asked.deviceId)
        changed = replace(
            hook,
            device_id=device_id,
            action=action,
            parameters=parameters,
            made_by=caller.token.id,
            changed=self._clock.now(),
            name=_or(asked.hookName, hook.name),
            event_type=_or(asked.eventType, hook.event_type),
            enabled=_or(asked.enabled, hook.enabled),
        )
        await self._check_rights(caller, changed)
        return changed

    async def _device(self, caller: Caller, named: str | int | None) -> int:
        if named is None or named == "":
            return 0
        return (await self._gallery.device(caller, str(named), "POST", "media")).id

    async def _check_rights(self, caller: Caller, hook: Hook) -> None:
        """The caller must have the rights that the hook will use; a command must be one of its device."""
        entry: Entry | None = None
        for method, submodule in RIGHTS[hook.action]:
            if hook.device_id:
                (entry,) = await self._directory.select(caller, DEVICES, str(hook.device_id), method, submodule)
            else:
                self._directory.granted(caller, DEVICES, method, submodule)
        if entry is not None and hook.action is HookAction.COMMAND:
            name, properties = hook.parameters["name"], hook.parameters["properties"]
            if "{{" in str(properties):  # what templates fill in is checked when it is known
                self._directory.catalogue.command(entry.device.device_type_id, name)
            else:
                self._directory.catalogue.check_command(entry.device.device_type_id, name, properties)

    # --- what goes with others ----------------------------------------------------------------------------------

    async def forget_account(self, cid: int) -> None:
        """Remove the hooks of an account that is deleted."""
        for hook in [hook for hook in self._calls.hooks.values() if hook.cid == cid]:
            self._calls.forget(hook.id)
        await self._table.delete_of_account(cid)

    def _device_deleted(self, news: Event) -> None:
        device_id = int(news.topic.split("/")[4])
        gone = [hook.id for hook in self._calls.hooks.values() if hook.device_id == device_id]
        for hook_id in gone:
            self._calls.forget(hook_id)
        if gone:
            self._background.spawn(self._table.delete(gone))


def _kind(text: str) -> HookEvent:
    try:
        return HookEvent(text)
    except ValueError:
        known = ", ".join(HookEvent)
        raise BadRequest(f"eventType must be one of {known}; got {text[:50]!r}") from None


def _or(value: Any | UnsetType, other: Any) -> Any:
    return other if value is UNSET else value
