"""REST over MQTT (mqtt-api.md 8): a PUBLISH to `flespi/rest/{method}/{uri}` is a request, answered by the same handlers
as over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from wayframe.expressions import SelectorError, split_path
from wayframe.model import BadRequest, Forbidden, TooLarge, TooManyRequests, Unauthorized, WayframeError
from wayframe.mqtt import Message, Properties, Publish
from wayframe.rest import Request, Response, RestApi, refuse
from wayframe.services import Background

from .clients import Client
from .plans import deliver_to
from .rights import RESERVED, REST

if TYPE_CHECKING:
    from .broker import Broker

_METHODS = ("get", "post", "put", "patch", "delete")
_AT_ONCE = 32
"""Calls one client may have under way."""


class RestCalls:
    """Answers calls of MQTT clients."""

    def __init__(self, broker: Broker, rest: RestApi, *, answer_bytes: int = 1 << 20) -> None:
        """Args: `answer_bytes` is the largest answer in one message; a larger one only in chunks, if asked for."""
        self._broker = broker
        self._rest = rest
        self._answer_bytes = answer_bytes
        self._open: dict[Client, int] = {}
        self._working = Background("rest over mqtt")

    def begin(self, client: Client, packet: Publish) -> None:
        """Take a request; the answer follows by itself."""
        self._working.spawn(self._answer(client, packet))

    async def stop(self) -> None:
        """Wait a moment for what is under way."""
        await self._working.settle(1.0)

    async def _answer(self, client: Client, packet: Publish) -> None:
        self._open[client] = self._open.get(client, 0) + 1
        try:
            if self._open[client] > _AT_ONCE:
                raise TooManyRequests(f"at most {_AT_ONCE} calls of one client are worked on at once", 1.0)
            response = await self._rest.handle(self._request(client, packet))
        except WayframeError as error:
            response = refuse(error)
        finally:
            self._open[client] -= 1
            if not self._open[client]:
                del self._open[client]
        try:
            self._reply(client, packet, response)
        except WayframeError as error:
            self._reply(client, packet, refuse(error), own_topic=True)

    def _request(self, client: Client, packet: Publish) -> Request:
        """The request in a message. Raises BadRequest, Unauthorized."""
        if why := self._rest.services.directory.token_alive(client.who.token.id):
            raise Unauthorized(why)  # its connection ends within half a second
        method, _, uri = packet.topic.removeprefix(REST).partition("/")
        if method not in _METHODS:
            raise BadRequest(f"the method is one of {', '.join(_METHODS)}, got {method[:20]!r}")
        path, _, query_text = uri.partition("?")
        try:
            segments = tuple(split_path(path))
        except SelectorError as error:
            raise BadRequest(f"uri: {error}") from None
        query = dict(parse_qsl(query_text, keep_blank_values=True))
        said = _user(packet.properties)
        headers = {name: value for name, value in said.items() if name in ("x-flespi-app", "x-flespi-trace")}
        if "cid" in said:
            headers["x-flespi-cid"] = said["cid"]
        body = packet.payload
        if method == "get" and body.strip() and "data" not in query:
            query["data"], body = body.decode(errors="replace"), b""
        connection = client.connection
        source = connection.source if connection is not None else client.source
        return Request(method.upper(), segments, query, body, headers, source, client.who.token)

    def _reply(self, client: Client, packet: Publish, response: Response, *, own_topic: bool = False) -> None:
        """Publish the answer. Raises Forbidden, TooLarge, BadRequest where it cannot go where it was asked to."""
        said = _user(packet.properties)
        topic = packet.properties.get("response_topic", "")
        echo = own_topic or not topic or topic == packet.topic
        if not echo and (topic.startswith(RESERVED) or not client.who.publishes(topic)):
            raise Forbidden("the response topic cannot begin with flespi/, and you must be allowed to publish to it")
        cid = client.who.cid
        if "response_cid" in said and not echo:
            cid = self._answering_account(client, said["response_cid"])
        body = response.body
        pieces = [body]
        if len(body) > self._answer_bytes:
            if said.get("response_chunked") != "true":
                raise TooLarge(
                    f"the answer has {len(body)} bytes, at most {self._answer_bytes} go into one message: ask for less "
                    "with `fields` or `limit`, or for chunks with the user property response_chunked"
                )
            size = self._answer_bytes
            pieces = [body[start : start + size] for start in range(0, len(body), size)]
        passed: Properties = {}
        if "correlation_data" in packet.properties:
            passed["correlation_data"] = packet.properties["correlation_data"]
        for index, piece in enumerate(pieces):
            properties = dict(passed)
            if index == len(pieces) - 1:
                properties["user_property"] = [("http_code", str(response.status))]
            message = Message(
                packet.topic if echo else topic, piece, 1, cid=cid, timestamp=self._broker.now(),
                properties=properties, stamped=True,
            )  # fmt: skip
            if echo:
                self._echo(client, message)
            else:
                self._broker.distribute(message)

    def _answering_account(self, client: Client, text: str) -> int:
        if not (text.isascii() and text.isdecimal() and len(text) < 17):
            raise BadRequest(f"the user property response_cid must be an account id, got {text[:40]!r}")
        caller = self._rest.services.directory.caller(client.who.token, cid=int(text))
        return caller.cid

    def _echo(self, client: Client, message: Message) -> None:
        """An answer to the request's own topic goes to the one who asked, as far as it has subscribed to it."""
        tree = self._broker.spaces.of(client.who.cid).tree
        mine = [each for each in tree.match(message.topic) if each.client is client and each.share is None]
        deliver_to(client, mine, message, self._broker.outbox)
        message.let_go()


def _user(said: Properties) -> dict[str, str]:
    return dict(said.get("user_property", ()))
