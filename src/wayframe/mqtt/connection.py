"""One client's connection: packets in, packets out, and the rules between (MQTT 5, chapters 3 and 4): sans-IO.

The broker is the `Host`. Bytes to send gather in `pending`; whoever owns the socket takes them from there and is woken
by `wake` when the first of them is put in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from . import packets
from .framing import Framer
from .host import ConnectionLimits, Host
from .messages import PACKET_IDS, Delivery
from .packets import (
    V5,
    Ack,
    Auth,
    Connack,
    Connect,
    Disconnect,
    Packet,
    Ping,
    Publish,
    Suback,
    Subscribe,
    Unsubscribe,
    Will,
)
from .properties import PacketType, Properties
from .reasons import MqttError, ProtocolError, Reason, return_code
from .session import Session

_OVERDUE = 10_000
"""Answers that may wait for the store before a client is not read any more."""
_PUBLISH = PacketType.PUBLISH
_PUBLISH_0 = _PUBLISH << 4
_RELAYED = (_PUBLISH_0, _PUBLISH_0 | 2)
"""QoS 0 and 1, with neither DUP nor RETAIN."""
_PUBACK_BYTE = PacketType.PUBACK << 4
_PUBACK = bytes((_PUBACK_BYTE, 2))
_LEFT_OUT = ("reason_string", "user_property")


def _nothing() -> None:
    """Nobody owns a socket yet."""


class Connection:
    """The protocol of one connection."""

    __slots__ = (
        "_aliases_in", "_aliases_out", "_connecting", "_deferred", "_receiving", "alias_maximum", "choked", "closing",
        "ended", "expiry", "flush", "framer", "heard", "host", "idle_since", "keep_alive", "lingers",
        "packet_maximum", "pending", "plain", "problems", "relays", "session", "source", "version", "wake", "who",
        "will",
    )  # fmt: skip

    def __init__(self, host: Host, source: str, wake: Callable[[Connection], None]) -> None:
        self.host = host
        self.source = source
        """Address of the peer."""
        self.wake = wake
        """Called when `pending` stops being empty."""
        self.flush: Callable[[], None] = _nothing
        """Carries `pending` to the socket; set by whoever owns that."""
        self.framer = Framer(host.limits.packet_bytes)
        self.version = V5
        self.session: Session | None = None
        """Set once the client is accepted."""
        self.who: object = None
        """What the host knows of the client."""
        self.pending: list[bytes] = []
        """Bytes to send."""
        self.choked = False
        """The peer does not read: nothing of QoS 0 goes into `pending`."""
        self.plain = True
        """No aliases and no maximum packet size: every packet is the same as for others."""
        self.closing = False
        """Nothing is read any more."""
        self.lingers = False
        """A packet that says why was written last: it should reach the peer before the socket closes."""
        self.ended = False
        """The host knows that it is over."""
        self.heard = True
        """Something came since the last look; `idle_since` is then moved on."""
        self.idle_since = 0.0
        """Monotonic seconds, kept by the owner of the clock."""
        self.keep_alive = 0
        """Seconds, 0 for none."""
        self.will: Will | None = None
        self.expiry = 0
        """Seconds the session outlives the connection."""
        self.packet_maximum = 0
        """Largest packet the client takes, 0 for any."""
        self.alias_maximum = 0
        """Topic aliases the client takes."""
        self.problems = True
        """Whether the client wants reason strings."""
        self.relays: dict[bytes, Any] | None = None
        """Routes by topic, as it is on the wire; None under a topic, or at all: its messages go the long way. Set and
        emptied by the host, and only for a client before 5.0, whose packets fit other such clients as they are."""
        self._connecting = True
        self._receiving = 0
        self._aliases_in: dict[int, str] | None = None
        self._aliases_out: dict[str, int] | None = None
        self._deferred: deque[tuple[int, bytes]] | None = None

    # --- in -----------------------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Work on what came. Never raises: a peer that breaks a rule is told so and `closing` is set."""
        self.heard = True
        if self.closing:
            return
        framer = self.framer
        try:
            session, relays = self.session, self.relays
            if session is not None and data[:2] == _PUBACK and not framer.waiting:
                data = data[session.all_acknowledged(data) :]
            data, cuts = framer.cut(data)
            for start, body, end in cuts:
                first = data[start]
                if relays is not None and first in _RELAYED and end - body > 2:
                    topic_end = body + 2 + (data[body] << 8 | data[body + 1])
                    topic = data[body:topic_end]
                    route = relays.get(topic)
                    if route is not None and topic_end <= end:
                        if first == _PUBLISH_0:
                            self.host.relay(route, data[start:end], topic_end - start)
                            continue
                        if self._relay(route, data[start:topic_end], data[topic_end:end]):
                            continue
                    self._publish(packets.decode_publish(first, data[body:end], self.version))
                    if topic not in relays:
                        self.host.find_route(self, topic)
                elif first == _PUBACK_BYTE and end - body == 2 and session is not None:
                    session.acknowledged(data[body] << 8 | data[body + 1])
                elif first >> 4 == _PUBLISH and session is not None:
                    self._publish(packets.decode_publish(first, data[body:end], self.version))
                else:
                    self._control(packets.decode(first, data[body:end], self.version))
                    session, relays = self.session, self.relays
                if self.closing:
                    return
            if framer.error is not None:
                raise framer.error
        except MqttError as error:
            self.fail(error)

    def _relay(self, route: Any, head: bytes, rest: bytes) -> bool:
        """A PUBLISH of QoS 1 cut behind its topic. False: it has to go the long way."""
        number = rest[:2]
        if len(number) < 2 or number == b"\0\0" or self._deferred is not None:
            return False
        ticket = self.host.relay_once(self, route, head, rest[2:])
        if ticket is None:
            return False
        if not ticket:
            self.write(_PUBACK + number)
        elif self._answer(Ack(PacketType.PUBACK, number[0] << 8 | number[1]), ticket):
            self._receiving += 1
        return True

    def _control(self, packet: Packet) -> None:
        if isinstance(packet, Connect):
            self._connect(packet)
            return
        session = self.session
        if session is None:
            raise ProtocolError("the first packet must be CONNECT")
        if isinstance(packet, Ack):
            self._ack(session, packet)
        elif isinstance(packet, Ping) and packet.type is PacketType.PINGREQ:
            self.write(b"\xd0\0")
        elif isinstance(packet, Subscribe):
            reasons, ticket = self.host.subscribe(self, packet)
            self._answer(Suback(PacketType.SUBACK, packet.packet_id, [*reasons]), ticket)
        elif isinstance(packet, Unsubscribe):
            reasons, ticket = self.host.unsubscribe(self, packet)
            self._answer(Suback(PacketType.UNSUBACK, packet.packet_id, [*reasons]), ticket)
        elif isinstance(packet, Disconnect):
            self._disconnect(packet)
        elif isinstance(packet, Auth):
            raise ProtocolError("AUTH without an authentication method")
        else:
            raise ProtocolError("a packet that only servers send")

    def _connect(self, packet: Connect) -> None:
        if not self._connecting:
            raise ProtocolError("a second CONNECT")
        self._connecting = False
        self.version = packet.version
        said = packet.properties
        self.problems = bool(said.get("request_problem_information", 1))
        self.packet_maximum = said.get("maximum_packet_size", 0)
        self.alias_maximum = min(said.get("topic_alias_maximum", 0), self.host.limits.topic_aliases)
        self.plain = not self.packet_maximum and not self.alias_maximum
        if "authentication_method" in said:
            method = str(said["authentication_method"])[:40]
            raise MqttError(Reason.BAD_AUTHENTICATION_METHOD, f"the authentication method {method!r} is not offered")
        self.will = packet.will
        ceiling = self.host.limits.keep_alive_s
        self.keep_alive = packet.keep_alive
        if packet.version == V5 and ceiling and not 0 < packet.keep_alive <= ceiling:
            self.keep_alive = ceiling
        if packet.will is not None and packet.will.qos > self.host.limits.max_qos and packet.version == V5:
            raise MqttError(Reason.QOS_NOT_SUPPORTED, f"the will has QoS {packet.will.qos}")
        self.host.connect(self, packet)

    def accept(self, session: Session, present: bool, said: Properties, window: int) -> None:
        """Welcome the client, then send what waits for it.

        Args:
            present: whether the session was there before.
            said: properties of CONNACK, beside those that follow from the limits.
            window: receive maximum of the client.
        """
        self.session = session
        if self.version == V5:
            limits = self.host.limits
            said = {**self._offers(limits), **said}
        connack = self._encoded(Connack(present, 0, said))
        if not connack:
            session.connection = self
            self._close(Reason.PACKET_TOO_LARGE, "the client does not even take a CONNACK")
            return
        self.write(connack)
        session.resume(self, window)

    def _offers(self, limits: ConnectionLimits) -> Properties:
        said: Properties = {
            "receive_maximum": limits.receive_maximum,
            "retain_available": 1,
            "maximum_packet_size": limits.packet_bytes,
            "topic_alias_maximum": limits.topic_aliases,
            "wildcard_subscription_available": 1,
            "subscription_identifier_available": 1,
            "shared_subscription_available": 1,
        }
        if limits.max_qos < 2:
            said["maximum_qos"] = limits.max_qos
        return said

    def refuse(self, reason: Reason, sentence: str) -> None:
        """Turn the client away."""
        said: Properties = {"reason_string": sentence} if self.version == V5 and self.problems else {}
        if reason not in packets.CONNACK_REASONS:
            reason = Reason.PROTOCOL_ERROR
        code = reason if self.version == V5 else return_code(reason)
        self.send_packet(Connack(False, code, said))
        self.lingers = True
        self._close(reason, sentence)

    def _ack(self, session: Session, packet: Ack) -> None:
        if packet.type is PacketType.PUBACK:
            session.acknowledged(packet.packet_id)
        elif packet.type is PacketType.PUBREC:
            answer, ticket = session.pubrec(packet.packet_id, packet.reason)
            if answer is not None:
                self._answer(answer, ticket)
        elif packet.type is PacketType.PUBCOMP:
            session.pubcomp(packet.packet_id)
        else:
            known, ticket = session.release(packet.packet_id)
            reason = Reason.SUCCESS if known else Reason.PACKET_IDENTIFIER_NOT_FOUND
            if known and self._receiving:  # those of an earlier connection were not counted in this one
                self._receiving -= 1
            self._answer(Ack(PacketType.PUBCOMP, packet.packet_id, reason), ticket)

    def _publish(self, packet: Publish) -> None:
        session = self.session
        if session is None:
            raise ProtocolError("the first packet must be CONNECT")
        if packet.properties:
            self._look_at_properties(packet)
        qos = packet.qos
        if not qos:
            self.host.publish(self, packet)
            return
        limits = self.host.limits
        if qos > limits.max_qos:
            raise MqttError(Reason.QOS_NOT_SUPPORTED, f"QoS {qos}; at most {limits.max_qos} is offered")
        if qos == 1:
            if self._receiving >= limits.receive_maximum:
                self._flooded(limits)
            reason, ticket = self.host.publish(self, packet)
            if not reason and not ticket and self._deferred is None:
                self.write(_PUBACK + PACKET_IDS[packet.packet_id])
            elif self._answer(Ack(PacketType.PUBACK, packet.packet_id, reason), ticket):
                self._receiving += 1
            return
        new, ticket = session.take(packet.packet_id)
        reason = Reason.SUCCESS
        if new:
            if self._receiving >= limits.receive_maximum:
                self._flooded(limits)
            self._receiving += 1
            reason, stored = self.host.publish(self, packet)
            ticket = max(ticket, stored)
            if reason.failed:
                session.release(packet.packet_id)
                self._receiving -= 1
        self._answer(Ack(PacketType.PUBREC, packet.packet_id, reason), ticket)

    def _flooded(self, limits: ConnectionLimits) -> None:
        if self.version == V5:
            raise MqttError(
                Reason.RECEIVE_MAXIMUM_EXCEEDED, f"more than {limits.receive_maximum} messages under way at once"
            )

    def _look_at_properties(self, packet: Publish) -> None:
        said = packet.properties
        if "subscription_identifier" in said:
            raise ProtocolError("a client cannot publish with a subscription identifier")
        alias = said.pop("topic_alias", 0)
        if not alias:
            return
        if alias > self.host.limits.topic_aliases:
            raise MqttError(
                Reason.TOPIC_ALIAS_INVALID, f"topic alias {alias}; the largest is {self.host.limits.topic_aliases}"
            )
        aliases = self._aliases_in
        if aliases is None:
            aliases = self._aliases_in = {}
        if packet.topic:
            aliases[alias] = packet.topic
        elif alias in aliases:
            packet.topic = aliases[alias]
        else:
            raise ProtocolError(f"topic alias {alias} was never set")

    def _disconnect(self, packet: Disconnect) -> None:
        expiry = packet.properties.get("session_expiry_interval")
        if expiry is not None:
            if expiry and not self.expiry:
                raise ProtocolError("a session that was to end with its connection cannot be kept after all")
            self.expiry = expiry
        if packet.reason == Reason.SUCCESS:  # any other reason leaves the will in force ([MQTT-3.14.4-3])
            self.will = None
        self._close(Reason.SUCCESS, "the client disconnected")

    # --- out ----------------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Put bytes behind those that wait."""
        pending = self.pending
        if not pending:
            self.wake(self)
        pending.append(data)

    def send_packet(self, packet: Packet) -> None:
        """Put a packet behind those that wait."""
        data = self._encoded(packet)
        if data:
            self.write(data)

    def _encoded(self, packet: Packet) -> bytes:
        """As large as the client takes: reason string and user properties are left out of one that is too large, and a
        packet that is too large without them is not sent at all, which is empty ([MQTT-3.1.2-24], [MQTT-3.2.2-19])."""
        data = packets.encode(packet, self.version)
        most = self.packet_maximum
        if not most or len(data) <= most:
            return data
        if not isinstance(packet, Ping):
            packet.properties = {name: value for name, value in packet.properties.items() if name not in _LEFT_OUT}
            data = packets.encode(packet, self.version)
        return data if len(data) <= most else b""

    def send(self, delivery: Delivery, packet_id: int = 0, *, dup: bool = False) -> bool:
        """Put a message behind what waits. False: it expired, or is larger than the client takes, and is dropped."""
        if self.plain and delivery.plain and delivery.version == self.version:
            pending = self.pending
            if not pending:
                self.wake(self)
            if not packet_id:
                pending.append(delivery.head)
            else:
                head = delivery.marked_again() if dup else delivery.head
                pending += (head, PACKET_IDS[packet_id], delivery.tail)
            return True
        return self._send_own(delivery, packet_id, dup)

    def _send_own(self, delivery: Delivery, packet_id: int, dup: bool) -> bool:
        message, now = delivery.message, self.host.now()
        session = self.session
        if message.expires is not None and message.expires <= now and not dup:
            if session is not None:
                session.drops.expired += 1
            return False
        alias, with_topic = self._alias(message.topic)
        packet = delivery.for_connection(self.version, packet_id, dup, now, alias, with_topic)
        if self.packet_maximum and len(packet) > self.packet_maximum:
            if alias and with_topic and self._aliases_out is not None:
                del self._aliases_out[message.topic]  # it was never told
            if session is not None:
                session.drops.large += 1
            return False
        self.write(packet)
        return True

    def _alias(self, topic: str) -> tuple[int, bool]:
        """The alias of a topic (0: none), and whether the topic must be written beside it."""
        if not self.alias_maximum or self.version != V5:
            return 0, True
        aliases = self._aliases_out
        if aliases is None:
            aliases = self._aliases_out = {}
        alias = aliases.get(topic)
        if alias is not None:
            return alias, False
        if len(aliases) >= self.alias_maximum:
            return 0, True
        alias = aliases[topic] = len(aliases) + 1
        return alias, True

    def _answer(self, packet: Packet, ticket: int) -> bool:
        """Send an acknowledgement when its ticket is durable, and never before an earlier one ([MQTT-4.6.0-2]).

        True: it waits.
        """
        deferred = self._deferred
        if not ticket and not deferred:
            self.send_packet(packet)
            return False
        if deferred is None:
            deferred = self._deferred = deque()
            self.host.waits(self)
        last = deferred[-1][0] if deferred else 0
        deferred.append((max(ticket, last), self._encoded(packet)))
        return True

    @property
    def waits(self) -> bool:
        """Whether answers wait for a ticket."""
        return self._deferred is not None

    @property
    def overdue(self) -> bool:
        """Whether so many answers wait that nothing more should be read (3.1.1 knows no receive maximum)."""
        return self._deferred is not None and len(self._deferred) > _OVERDUE

    def durable(self, ticket: int) -> None:
        """Everything up to this ticket is stored: answers that waited go out."""
        deferred = self._deferred
        while deferred and deferred[0][0] <= ticket:
            answer = deferred.popleft()[1]
            if answer:
                self.write(answer)
                if answer[0] == _PUBACK_BYTE:
                    self._receiving -= 1
        if not deferred:
            self._deferred = None

    # --- the end ------------------------------------------------------------------------------------------------

    def fail(self, error: MqttError) -> None:
        """The peer broke a rule."""
        if self.session is None and not self._connecting:
            self.refuse(error.reason, error.sentence)
        elif self.session is None and error.reason is Reason.UNSUPPORTED_PROTOCOL_VERSION:
            self.version = packets.V311  # what a stranger understands: return code 1 (3.1.1, table 3.1)
            self.refuse(error.reason, error.sentence)
        else:
            self.disconnect(error.reason, error.sentence)

    def disconnect(self, reason: Reason, sentence: str) -> None:
        """End the connection, in 5.0 with a DISCONNECT that says why."""
        if self.closing:
            return
        if self.version == V5 and self.session is not None:
            said: Properties = {"reason_string": sentence} if self.problems else {}
            if reason not in packets.DISCONNECT_REASONS:  # those that only CONNACK may have
                reason = Reason.NOT_AUTHORIZED if reason is Reason.BANNED else Reason.PROTOCOL_ERROR
            self.send_packet(Disconnect(reason, said))
            self.lingers = True
        self._close(reason, sentence)

    def _close(self, reason: Reason, sentence: str) -> None:
        self.closing = True
        if not self.pending:
            self.wake(self)
        self.end(reason, sentence)

    def end_lost(self) -> None:
        """The socket is gone."""
        self.end(Reason.UNSPECIFIED_ERROR, "the connection was lost")

    def end(self, reason: Reason, sentence: str) -> None:
        """The socket is gone, or soon will be: the host is told once."""
        self.closing = True
        if not self.ended:
            self.ended = True
            self._deferred = None
            self.host.gone(self, reason, sentence)
