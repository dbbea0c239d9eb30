"""What is true now, as retained events: derived from memory at the moment somebody asks (architecture rule 2).

Topics as in mqtt-api.md 6.1. Nothing is kept here, so nothing can be stale, and a restart loses nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from wayframe.bus import is_level
from wayframe.model import Clock, Event, Json

from .assignments import Assignments
from .commands import Commands
from .connections import Connections
from .directory import Directory
from .entries import CUSTOMER, DEVICES, Entry
from .kinds import Kind
from .settings import DeviceSettings

Levels = list[tuple[str, ...]]
"""A topic filter, cut: the alternatives of each level."""

Part = tuple[str, Callable[[], Mapping[str, tuple[Json, float]]]]
"""A part of an item: its name, and what gives its members with their times."""

_ROOT = ("flespi", "state")


class StateTopics:
    """Finds the retained state of the house that a topic filter matches."""

    def __init__(
        self,
        directory: Directory,
        connections: Connections,
        commands: Commands,
        assignments: Assignments,
        settings: DeviceSettings,
        clock: Clock,
    ) -> None:
        self._assignments = assignments
        self._settings = settings
        self._directory = directory
        self._connections = connections
        self._commands = commands
        self._started = clock.now()

    def find(self, cids: frozenset[int], levels: Levels) -> Iterator[Event]:
        """State of these accounts' items, item by item."""
        for kind in self._directory.kinds():
            module, _, name = kind.entity.partition("/")
            if _matches(levels, (*_ROOT, module, name)):
                for entry in self._entries(kind, levels):
                    if kind.account(entry) in cids:
                        yield from self._of(kind, entry, levels)

    def _entries(self, kind: Kind[Any], levels: Levels) -> Iterable[Entry]:
        named = levels[4] if len(levels) > 4 else ()
        if kind.entity == CUSTOMER or not named or named in (("+",), ("#",)):
            return self._directory.entries(kind.entity)
        ids = sorted(int(each) for each in named if each.isascii() and each.isdecimal() and len(each) < 17)
        found = (self._directory.find(kind.entity, item_id) for item_id in ids)
        return [entry for entry in found if entry is not None]

    def _of(self, kind: Kind[Any], entry: Entry, levels: Levels) -> Iterator[Event]:
        base, told = kind.topic(entry.id), kind.account(entry)
        depth = base.count("/") + 1
        rest = _below(levels, depth)
        if rest is None:
            return
        if not rest or rest == [("#",)]:
            yield self._event(base, kind.state(entry), entry, told)
        if not rest:
            return
        if len(rest) == 1 or rest[1:] == [("#",)]:  # `name/#` matches `name` too (MQTT 5, 4.7.1.2)
            known = {name: entry.view[name] for name in kind.announced if name in entry.view}
            for name, value in _chosen(rest[0], known):
                yield self._event(f"{base}/{name}", value, entry, told)
        if len(rest) > 1 or rest[0] != ("+",):
            for part, members in self._parts(entry) if kind.entity == DEVICES else self._assigned(kind, entry):
                deeper = _below([*levels[:depth], *rest], depth + 1) if _matches(rest[:1], (part,)) else None
                if deeper is not None and (len(deeper) == 1 or deeper[1:] == [("#",)]):
                    for name, (value, time) in _chosen(deeper[0], members()):
                        yield Event(f"{base}/{part}/{name}", value, told, time, retain=True)

    def _parts(self, entry: Entry) -> Iterator[Part]:
        """What hangs below a device: name of the part → members with their times."""
        yield "telemetry", lambda: _telemetry(entry)
        yield (
            "settings",
            lambda: {view["name"]: (view, view["updated"]) for view in self._settings.views(entry) if view["updated"]},
        )
        yield (
            "connections",
            lambda: {str(view["id"]): (view, view["established"]) for view in self._connections.views([entry])},
        )
        yield (
            "commands-queue",
            lambda: {
                str(item["id"]): (item, float(item.get("timestamp") or self._started))
                for item in self._commands.queue([entry])
            },
        )

    def _assigned(self, kind: Kind[Any], entry: Entry) -> Iterator[Part]:
        """What hangs below a group, stream or plugin: what is assigned to it."""
        started = entry.changed or self._started
        for noun, states in self._assignments.states(kind.entity, entry.id):
            yield noun, partial(_since, states, started)

    def _event(self, topic: str, value: Json, entry: Entry, told: int) -> Event:
        """A state whose time of change is not known: it is at least as old as this start."""
        return Event(topic, value, told, entry.changed or self._started, retain=True)


def _since(states: Mapping[int, Json], time: float) -> Mapping[str, tuple[Json, float]]:
    return {str(child): (state, time) for child, state in states.items()}


def _telemetry(entry: Entry) -> Mapping[str, tuple[Json, float]]:
    times = entry.view.get("telemetry_times", {})
    return {name: (value, times.get(name, 0.0)) for name, value in entry.view["telemetry"].items()}


def _matches(levels: Levels, names: tuple[str, ...]) -> bool:
    """Whether a filter's first levels match these names; `#` matches what is left of them."""
    for index, name in enumerate(names):
        if index >= len(levels):
            return False
        if levels[index] == ("#",):
            return True
        if levels[index] != ("+",) and name not in levels[index]:
            return False
    return True


def _below(levels: Levels, depth: int) -> Levels | None:
    """The filter's levels from `depth` on; `#` where it ended with one before; None where it is too short."""
    if ("#",) in levels[:depth]:
        return [("#",)]
    return levels[depth:] if len(levels) >= depth else None


def _chosen(names: tuple[str, ...], members: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The members a level names, by name; without those whose name no topic can hold."""
    chosen = members if names in (("+",), ("#",)) else [name for name in names if name in members]
    for name in sorted(chosen):
        if is_level(name):
            yield name, members[name]
