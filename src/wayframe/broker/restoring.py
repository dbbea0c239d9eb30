"""At the start: sessions, the messages they wait for and retained messages as the store has them."""

from __future__ import annotations

from collections import defaultdict

import msgspec
import structlog

from wayframe.bus import InvalidFilter
from wayframe.expressions import ExpressionError, parse_subscription
from wayframe.model import Token
from wayframe.model.log_codes import Log
from wayframe.mqtt import Delivery, Message, Session, Will, Wish
from wayframe.services import CUSTOMER, TOKENS, Directory
from wayframe.storage import MqttTable

from .broker import Broker
from .clients import Client, Subscription
from .keeper import Keeper, SessionRecord, stored_message
from .retained import Retained

log = structlog.get_logger(__name__)


async def restore(broker: Broker, directory: Directory, keeper: Keeper, retained: Retained, table: MqttTable) -> int:
    """Take up everything; returns the number of sessions. What cannot be read is left out, and said."""
    await table.sweep()
    for cid, topic, body in await table.retained():
        try:
            retained.restore(body)
        except (msgspec.DecodeError, ValueError) as error:
            log.error("mqtt_retained_unreadable", cid=cid, topic=topic[:200], reason=str(error))
    messages = dict(_messages(await table.messages()))
    deliveries: dict[int, list[tuple[int, Delivery | None]]] = defaultdict(list)
    for session_id, number, message_id, options in await table.deliveries():
        message = messages.get(message_id) if message_id is not None else None
        if message_id is None or message is not None:
            deliveries[session_id].append((number, _delivery(message, options)))
    received: dict[int, set[int]] = defaultdict(set)
    for session_id, packet_id in await table.received():
        received[session_id].add(packet_id)
    count = 0
    for session_id, body in await table.sessions():
        try:
            record = msgspec.msgpack.decode(body, type=SessionRecord)
        except msgspec.DecodeError as error:
            log.error("mqtt_session_unreadable", session=session_id, reason=str(error))
            continue
        waiting = deliveries.get(session_id, [])
        session = Session(session_id, record.cid, record.client_id, broker.settings.session, broker.counters.drops)
        session.store = keeper
        for _, delivery in waiting:
            if delivery is not None:
                delivery.message.holders += 1
        # What was under way when the server was killed is not known: everything the window let through may have been.
        sent = record.sent
        if record.connected and waiting:
            sent = waiting[min(len(waiting), broker.settings.session.window) - 1][0]
        session.restore(record.number, waiting, sent)
        session.received = received.get(session_id) or None
        count += _take_up(broker, directory, keeper, session, record)
    return count


def _take_up(broker: Broker, directory: Directory, keeper: Keeper, session: Session, record: SessionRecord) -> int:
    entry = directory.find(TOKENS, record.token_id)
    if entry is None or not isinstance(entry.item, Token):
        keeper.forget(session)
        _tell_of_orphan(broker, directory, session, record)
        return 0
    client = Client(session, broker.principal(entry.item), record.version, record.created)
    client.clean, client.expiry, client.source = record.clean, record.expiry, record.source
    for said in record.subscriptions:
        wish = Wish(said["topic"], said["qos"], said["no_local"], said["rap"], said["retain_handling"])
        try:
            parsed = parse_subscription(wish.filter)
            subscription = Subscription(client, wish, parsed, wish.qos, said["subscription_id"], said["cid"])
            broker.spaces.add(subscription)
        except (ExpressionError, InvalidFilter) as error:
            log.error("mqtt_subscription_unreadable", filter=wish.filter[:200], reason=str(error))
            continue
        client.subscriptions[wish.filter] = subscription
    will = Will(**record.will) if record.will is not None else None
    broker.take_up(client, record.connected, record.ends_at, will, record.will_at)
    return 1


def _tell_of_orphan(broker: Broker, directory: Directory, session: Session, record: SessionRecord) -> None:
    """A stored session whose token is gone is not taken up: its account is told."""
    reason, count = "its token was deleted while the server was down", session.waiting
    log.warning("mqtt_session_ended", client=session.client_id[:80], cid=session.cid, messages=count, reason=reason)
    if directory.find(CUSTOMER, session.cid) is not None:
        said = {"client_id": session.client_id, "ip": record.source, "token_id": record.token_id}
        broker.log_of(Log.MQTT_ENDED, session.cid, {**said, "reason": reason, "count": count})


def _messages(bodies: dict[int, bytes]) -> list[tuple[int, Message]]:
    found = []
    for number, body in bodies.items():
        try:
            message = stored_message(body)
        except (msgspec.DecodeError, ValueError) as error:
            log.error("mqtt_message_unreadable", message=number, reason=str(error))
            continue
        message.kept_as = number
        found.append((number, message))
    return found


def _delivery(message: Message | None, options: str) -> Delivery | None:
    """A delivery from `version qos retain ids`."""
    if message is None:
        return None
    version, qos, retain, *ids = options.split(" ")
    numbers = tuple(int(each) for each in ids[0].split(",") if each) if ids else ()
    return message.delivery(int(version), int(qos), retain == "1", numbers)
