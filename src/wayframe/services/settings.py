"""Settings of devices: lasting values a device holds, as it last told them, and those that are to be written.

A value to write is a queued command like any other (`commands`), so it waits for the device, survives restarts and is
logged step by step; when it has ended, the setting follows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from wayframe.bus import Bus
from wayframe.model import BadRequest, Clock, Event, Json, NotFound, OriginType
from wayframe.model.items import DeviceSetting
from wayframe.model.log_codes import Log
from wayframe.protocols.descriptions import SettingSpec
from wayframe.storage import DeviceSettingTable

from .background import Background
from .bodies import parse_body
from .commands import Commands
from .directory import Directory
from .entries import DEVICES, Caller, Entry
from .journal import Journal

READABLE, WRITABLE = 1, 2
"""Bits of `mode`."""
_WRITE_TTL_S = 30 * 86_400
_READ_TTL_S = 86_400
_MARK = "setting"
"""Key in the `meta` of a command that carries a setting."""
_WHO = ("token_id", "user_id", "app", "trace", "host")
"""What a command's log record says of who asked for it (`Caller.said`)."""
_ENDS = f"flespi/log/{DEVICES}/+/commands-queue/+/processed,canceled,expired"


class SettingBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of PUT on a setting: what is to be written."""

    properties: Annotated[dict[str, Any], Meta(min_length=1)]


class _Pending(Struct):
    """A value on its way to the device."""

    properties: dict[str, Json]
    command_id: int


class DeviceSettings:
    """What is known of the settings of every device."""

    def __init__(
        self,
        *,
        table: DeviceSettingTable,
        directory: Directory,
        commands: Commands,
        journal: Journal,
        bus: Bus,
        clock: Clock,
    ) -> None:
        self._table = table
        self._directory = directory
        self._commands = commands
        self._journal = journal
        self._clock = clock
        self._known: dict[int, dict[str, DeviceSetting]] = {}
        self._background = Background("settings")
        bus.listen(_ENDS, self._ended)

    async def load(self) -> None:
        """Read what is known; a value whose command is not under way any more is not pending. After `commands.load`."""
        for setting in await self._table.all():
            pending = _pending(setting)
            if pending is not None and self._commands.find(pending.command_id) is None:
                setting = replace(setting, pending=None)
                await self._table.put(setting)
            self._known.setdefault(setting.device_id, {})[setting.name] = setting

    async def settle(self) -> None:
        """Wait until what was told is written. Called at the end."""
        await self._background.settle(3)

    # --- asking -------------------------------------------------------------------------------------------------

    def current(self, device_id: int, name: str) -> Mapping[str, Json]:
        """A setting as the device last told it; empty if it never did."""
        setting = self._known.get(device_id, {}).get(name)
        return setting.current if setting is not None and isinstance(setting.current, dict) else {}

    def views(self, entry: Entry, names: Sequence[str] | None = None) -> list[dict[str, Json]]:
        """Settings of a device (rest-api.md 6.3): those of its type, and what it told besides; None for all."""
        specs, known = self._specs(entry), self._known.get(entry.id, {})
        there = {*specs, *known}
        wanted = sorted(there) if names is None else [name for name in names if name in there]
        return [self._view(entry.id, name, specs.get(name), known.get(name)) for name in wanted]

    def _specs(self, entry: Entry) -> dict[str, SettingSpec]:
        _, kind = self._directory.catalogue.device_type(entry.device.device_type_id)
        return {spec.name: spec for spec in kind.settings}

    @staticmethod
    def _view(device_id: int, name: str, spec: SettingSpec | None, setting: DeviceSetting | None) -> dict[str, Json]:
        pending = _pending(setting) if setting is not None else None
        return {
            "device_id": device_id, "name": name, "current": setting.current if setting is not None else None,
            "pending": pending.properties if pending is not None else None, "mode": mode_of(spec) if spec else 0,
            "status": int(pending is not None), "updated": setting.updated if setting is not None else 0.0,
        }  # fmt: skip

    # --- from callers -------------------------------------------------------------------------------------------

    async def write(self, caller: Caller, entry: Entry, names: Sequence[str], body: Json) -> list[dict[str, Json]]:
        """Have values written; they take the place of those that wait. Raises `BadRequest`, `NotFound`."""
        properties = parse_body(SettingBody, body).properties
        chosen = self._chosen(entry, names)
        for spec in chosen:
            if not spec.write:
                raise BadRequest(f"the setting {spec.name!r} cannot be written")
        for spec in chosen:
            written = {spec.key: properties} if spec.key else properties
            self._directory.catalogue.check_command(entry.device.device_type_id, spec.write, written)
            await self._drop_pending(caller, entry, spec.name)
            made = await self._enqueue(caller, entry, spec.name, spec.write, written, _WRITE_TTL_S)
            pending = msgspec.to_builtins(_Pending(properties, made))
            await self._put(entry, replace(self._setting(entry, spec.name), pending=pending))
        return self.views(entry, [spec.name for spec in chosen])

    async def read(self, caller: Caller, entry: Entry, names: Sequence[str]) -> list[dict[str, Json]]:
        """Have the device tell settings again. Raises `BadRequest`, `NotFound`."""
        chosen = self._chosen(entry, names)
        readable = [spec for spec in chosen if spec.read]
        if not readable:
            raise BadRequest(f"no setting of {', '.join(names)} can be read")
        for spec in readable:
            await self._enqueue(caller, entry, spec.name, spec.read, {}, _READ_TTL_S)
        return self.views(entry, [spec.name for spec in readable])

    async def cancel(self, caller: Caller, entry: Entry, names: Sequence[str]) -> list[dict[str, Json]]:
        """Forget values that wait to be written. Raises `NotFound`."""
        chosen = self._chosen(entry, names)
        for spec in chosen:
            await self._drop_pending(caller, entry, spec.name)
        return self.views(entry, [spec.name for spec in chosen])

    def _chosen(self, entry: Entry, names: Sequence[str]) -> list[SettingSpec]:
        specs = self._specs(entry)
        chosen = [specs[name] for name in names if name in specs] if names != ["all"] else list(specs.values())
        if not chosen:
            raise NotFound(f"device {entry.id} has no setting {', '.join(names)}; it has: {', '.join(specs) or 'none'}")
        return chosen

    async def _enqueue(
        self, caller: Caller, entry: Entry, name: str, command: str, properties: dict[str, Json], ttl: int
    ) -> int:
        body = {"name": command, "properties": properties, "ttl": ttl, "meta": {_MARK: name}}
        made, errors = await self._commands.enqueue(caller, [entry], [body])
        if errors:
            raise errors[0]
        return int(made[0]["id"])

    async def _drop_pending(self, caller: Caller, entry: Entry, name: str) -> None:
        setting = self._setting(entry, name)
        pending = _pending(setting)
        if pending is None:
            return
        await self._put(entry, replace(setting, pending=None))
        if self._commands.find(pending.command_id) is not None:
            await self._commands.cancel(caller, [entry], str(pending.command_id))

    # --- from devices -------------------------------------------------------------------------------------------

    def told(self, entry: Entry, name: str, values: Mapping[str, Json]) -> None:
        """A device told a setting, or a part of one."""
        current = {**self.current(entry.id, name), **values}
        setting = replace(self._setting(entry, name), current=current, updated=self._clock.now())
        self._known.setdefault(entry.id, {})[name] = setting
        self._journal.log(
            Log.SETTING_RECEIVED, OriginType.DEVICE, entry.id, entry.cid, {"name": name, "current": dict(values)},
            topic_name=name,
        )  # fmt: skip
        self._announce(entry, name)
        self._background.spawn(self._save(entry.id, name))

    def _ended(self, event: Event) -> None:
        """A command came to its end; where it carried a setting, that follows."""
        record = event.payload
        name = record["meta"].get(_MARK) if isinstance(record.get("meta"), dict) else None
        entry = self._directory.device(record.get("device_id", 0))
        if entry is None or not isinstance(name, str):
            return
        setting = self._setting(entry, name)
        pending = _pending(setting)
        if pending is None or pending.command_id != record.get("id"):
            return
        done = bool(record.get("executed"))
        self._journal.log(
            Log.SETTING_ACCEPTED if done else Log.SETTING_REJECTED, OriginType.DEVICE, entry.id, entry.cid,
            {**{who: record[who] for who in _WHO if who in record}, "name": name, "updated": pending.properties,
             "reason": record.get("reason", "")},
            topic_name=name,
        )  # fmt: skip
        current = {**(setting.current or {}), **pending.properties} if done else setting.current
        changed = replace(setting, current=current, pending=None, updated=self._clock.now())
        self._known.setdefault(entry.id, {})[name] = changed
        self._announce(entry, name)
        self._background.spawn(self._save(entry.id, name))

    # --- keeping ------------------------------------------------------------------------------------------------

    def _setting(self, entry: Entry, name: str) -> DeviceSetting:
        return self._known.get(entry.id, {}).get(name) or DeviceSetting(device_id=entry.id, name=name)

    async def _put(self, entry: Entry, setting: DeviceSetting) -> None:
        setting = replace(setting, updated=self._clock.now())
        self._known.setdefault(entry.id, {})[setting.name] = setting
        await self._table.put(setting)
        self._announce(entry, setting.name)

    async def _save(self, device_id: int, name: str) -> None:
        """Write a setting as it is by now."""
        setting = self._known.get(device_id, {}).get(name)
        if setting is not None:
            await self._table.put(setting)

    def _announce(self, entry: Entry, name: str) -> None:
        for shown in self.views(entry, [name]):
            self._journal.state(f"flespi/state/{DEVICES}/{entry.id}/settings/{name}", shown, entry.cid)

    async def hide(self, caller: Caller, entry: Entry) -> None:
        """A device is about to be deleted: its settings are kept for its return, but nothing is written any more."""
        for name in list(self._known.get(entry.id, {})):
            await self._drop_pending(caller, entry, name)
        base = f"flespi/state/{DEVICES}/{entry.id}/settings"
        self._journal.state_members(base, dict.fromkeys(self._known.get(entry.id, {})), entry.cid)

    def show(self, entry: Entry) -> None:
        """A device is back: its settings are told again."""
        for name in self._known.get(entry.id, {}):
            self._announce(entry, name)

    async def forget(self, device_id: int) -> None:
        """A device is gone for good."""
        self._known.pop(device_id, None)
        await self._table.delete([device_id])


def mode_of(spec: SettingSpec) -> int:
    """Bits that say whether a setting can be read and written."""
    return (READABLE if spec.read else 0) | (WRITABLE if spec.write else 0)


def _pending(setting: DeviceSetting) -> _Pending | None:
    return None if setting.pending is None else msgspec.convert(setting.pending, _Pending)
