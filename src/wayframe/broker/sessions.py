"""Sessions as others see them: over REST (`services.sessions`) and as retained state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from wayframe.model import Event

from .retained import Levels

if TYPE_CHECKING:
    from .broker import Broker

_ROOT = ("flespi", "state", "mqtt", "sessions")


class SessionTopics:
    """Retained state `flespi/state/mqtt/sessions/{id}` (mqtt-api.md 6.1)."""

    def __init__(self) -> None:
        self.broker: Broker
        """Set once it is made."""

    def find(self, cids: frozenset[int], levels: Levels) -> Iterator[Event]:
        """Sessions of these accounts, by id."""
        rest = levels[: len(_ROOT)]
        for level, name in zip(rest, _ROOT, strict=False):
            if level == ("#",):
                break
            if level != ("+",) and name not in level:
                return
        wild = ("#",) in levels
        if not wild and len(levels) != len(_ROOT) + 1:
            return
        clients = [client for client in self.broker.spaces.clients() if client.who.cid in cids]
        for client in sorted(clients, key=lambda each: each.session.id):
            session_id = str(client.session.id)
            chosen = levels[len(_ROOT)] if len(levels) > len(_ROOT) else ("#",)
            if chosen in (("#",), ("+",)) or session_id in chosen:
                topic = "/".join((*_ROOT, session_id))
                yield Event(topic, self.broker.view(client), client.who.cid, self.broker.now(), retain=True)
