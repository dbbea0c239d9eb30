"""The whole MQTT door of a node: its parts made, opened and closed in order."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from functools import partial

import structlog

from wayframe.bus import Bus
from wayframe.model import Clock, Event, Ids
from wayframe.rest import RestApi
from wayframe.services import Services, StateTopics
from wayframe.storage import MqttTable

from .broker import Broker
from .calls import RestCalls
from .keeper import Keeper
from .listener import MqttListener
from .restoring import restore
from .retained import Retained
from .sessions import SessionDesk, SessionTopics
from .settings import BrokerSettings
from .websocket import MqttWebSocket

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class MqttPorts:
    """Where it listens."""

    host: str
    port: int
    """MQTT over TCP."""
    tls_port: int | None
    """MQTT over TLS; None where there is no TLS."""


class MqttDoor:
    """Broker, store, listeners."""

    def __init__(
        self,
        settings: BrokerSettings,
        ports: MqttPorts,
        *,
        services: Services,
        rest: RestApi,
        table: MqttTable,
        bus: Bus,
        clock: Clock,
        ids: Ids,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._ports = ports
        self._tls = tls
        self._services = services
        self._table = table
        self._bus = bus
        directory = services.directory
        self.keeper = Keeper(table, ids)
        state = StateTopics(
            directory, services.connections, services.commands, services.assignments, services.settings, clock
        )
        sessions = SessionTopics()
        self._retained = Retained(
            keeper=self.keeper,
            states=(state, sessions),
            family=directory.visible_accounts,
            no_room=partial(directory.limits.no_room, "mqtt_retained_storage"),
            clock=clock,
            outbox=lambda: self.broker.outbox,
        )
        self.broker = Broker(
            settings,
            directory=directory,
            journal=services.journal,
            keeper=self.keeper,
            retained=self._retained,
            clock=clock,
            ids=ids,
        )
        sessions.broker = self.broker
        services.sessions.source = SessionDesk(self.broker, self._retained)
        self.keeper.committed = self.broker.durable
        self._calls = self.broker.calls = RestCalls(self.broker, rest)
        self._listener = MqttListener(self.broker)
        self.websocket = MqttWebSocket(self.broker)
        """ASGI application for WebSockets."""
        self.port = ports.port
        """Port of MQTT over TCP, once it listens."""
        self.tls_port = ports.tls_port

    async def load(self) -> None:
        """Take up sessions and hear of everything from now on: before anything is announced."""
        count = await restore(self.broker, self._services.directory, self.keeper, self._retained, self._table)
        if count:
            log.info("mqtt_sessions_restored", count=count)
        self._bus.attach(self.broker)
        self._bus.listen("flespi/log/platform/tokens/+/updated", self._token_changed)
        self._bus.listen("flespi/log/platform/subaccounts/+/#", self._accounts_changed)
        self._bus.listen("flespi/log/platform/limits/+/#", self._limits_changed)
        self._bus.listen("flespi/state/gw/+/+/groups", self._groups_changed)

    async def start(self) -> None:
        """Open the doors. Raises OSError."""
        await self._listener.start()
        self.port = await self._listener.listen(self._ports.host, self._ports.port)
        if self._ports.tls_port is not None and self._tls is not None:
            self.tls_port = await self._listener.listen(self._ports.host, self._ports.tls_port, self._tls)

    async def run(self) -> None:
        """Write what sessions must not forget, until cancelled."""
        await self.keeper.run()

    async def settle(self) -> None:
        """Wait until what sessions were given so far is durable."""
        await self.keeper.settle()

    async def stop(self) -> None:
        """Say goodbye to every client, and write what is left."""
        await self._calls.stop()
        await self._retained.stop()
        await self._listener.stop()
        await self.keeper.settle()

    def _token_changed(self, event: Event) -> None:
        self.broker.token_changed(int(event.topic.split("/")[4]))

    def _accounts_changed(self, event: Event) -> None:
        self.broker.accounts_changed()
        *_, account, what = event.topic.split("/")
        if what == "deleted":
            self.broker.account_gone(int(account))

    def _limits_changed(self, event: Event) -> None:
        self.broker.limits_changed()

    def _groups_changed(self, event: Event) -> None:
        self.broker.spaces.all_changed()
