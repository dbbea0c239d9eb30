"""`$filter` subscriptions and what their expressions see of a message (reference, section 12)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import msgspec

from .environment import Context, Environment, Mode
from .errors import SelectorError
from .escapes import percent_decode
from .expression import Expression, compile
from .limits import MAX_INTEGER
from .values import Number, read_number

_SHARE = "$share/"
_FILTER = "$filter/"
_PART = re.compile(r"(cid|modified_since|payload|message)(=|(?<=modified_since)>)")
_decode = msgspec.json.Decoder(dict[str, object]).decode
_MAX_LIST = 65536  # an MQTT topic filter cannot be longer


class MqttMessage:
    """A published message as filters see it; its two contexts are built once, when first asked for."""

    def __init__(
        self,
        topic: str,
        payload: bytes | str,
        *,
        cid: int | None = None,
        timestamp: float | None = None,
        user_properties: Mapping[str, object] | None = None,
    ) -> None:
        self.topic = topic
        """The topic name."""
        self.payload = payload
        """The payload; bytes are read as UTF-8, what is none as replacement characters."""
        self.cid = cid
        """The publisher's account."""
        self.timestamp = timestamp
        """When it was published, Unix seconds."""
        self.user_properties = user_properties or {}
        """MQTT 5 user properties."""

    @cached_property
    def text(self) -> str:
        """The payload as text."""
        return self.payload if isinstance(self.payload, str) else self.payload.decode("utf-8", "replace")

    @cached_property
    def payload_context(self) -> Context:
        """What `payload=` expressions see."""
        return payload_context(self.text)

    @cached_property
    def message_context(self) -> Context:
        """What `message=` expressions see; the payload is text only."""
        return {
            "topic": self.topic,
            "topics": self.topic.split("/"),
            "cid": self.cid,
            "timestamp": self.timestamp,
            "user_properties": self.user_properties,
            "payload": self.text,
        }


def payload_context(text: str) -> Context:
    """The members of a payload that is a JSON object, and `payload`, its text, unless a member has that name."""
    if text.lstrip(" \t\r\n").startswith("{"):
        members = _members(text)
        members.setdefault("payload", text)
        return members
    return {"payload": text}


def _members(text: str) -> dict[str, object]:
    """Those of a JSON object; none where it is no JSON after all."""
    try:
        return _decode(text)
    except (ValueError, RecursionError):
        pass  # the quick reader takes neither lone surrogates nor numbers beyond a double; the other one decides
    try:
        members: dict[str, object] = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return {}
    return members


def _refuse(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


@dataclass(frozen=True, slots=True)
class MqttFilter:
    """The conditions of one `$filter` list; all must hold."""

    text: str
    """The list as the client wrote it."""
    cid: int | None = None
    """Only messages published within this account."""
    modified_since: Number | None = None
    """Only messages at or after this time, Unix seconds."""
    payload: Expression | None = None
    """An expression over the payload."""
    message: Expression | None = None
    """An expression over the message."""

    @property
    def on_payload(self) -> Expression | None:
        """The expression over the payload, where that is the only condition."""
        return self.payload if self.cid is None and self.modified_since is None and self.message is None else None

    def matches(self, message: MqttMessage, env: Environment | None = None) -> bool:
        """Whether a message passes; an expression that fails does not hold."""
        if self.cid is not None and message.cid != self.cid:
            return False
        if self.modified_since is not None and not (message.timestamp or 0) >= self.modified_since:
            return False
        if self.payload is not None and not self.payload.matches(message.payload_context, env):
            return False
        return self.message is None or self.message.matches(message.message_context, env)


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription's text taken apart."""

    share: str | None
    """The group of a shared subscription."""
    filter: MqttFilter | None
    """The conditions, if any."""
    topic: str
    """The MQTT topic filter itself."""


def parse_subscription(text: str) -> Subscription:
    """Read `[$share/<group>/][$filter/<list>/]<topic>`.

    Raises SelectorError for a bad list, group or missing topic, RefusedError for a bad expression.
    """
    share = None
    if text.startswith(_SHARE):
        share, _, text = text.removeprefix(_SHARE).partition("/")
        if not share or "+" in share or "#" in share:
            raise SelectorError("a shared subscription is $share/<group>/<topic>")
    conditions = None
    if text.startswith(_FILTER):
        listed, _, text = text.removeprefix(_FILTER).partition("/")
        conditions = parse_filter(listed)
    if not text:
        raise SelectorError("the subscription has no topic")
    return Subscription(share, conditions, text)


def parse_filter(text: str) -> MqttFilter:
    """Read the undecoded list between `$filter/` and the next slash: `key=value` parts joined by `&`.

    Raises SelectorError for a bad list, RefusedError for a bad expression.
    """
    if len(text) > _MAX_LIST:
        raise SelectorError("the filter list is too long")
    values: dict[str, str] = {}
    for key, raw in _parts(text):
        if key in values:
            raise SelectorError(f"{key} may stand once in a filter")
        values[key] = percent_decode(raw)
    return MqttFilter(
        text,
        _cid(values["cid"]) if "cid" in values else None,
        _time(values["modified_since"]) if "modified_since" in values else None,
        compile(values["payload"], Mode.MQTT_PAYLOAD) if "payload" in values else None,
        compile(values["message"], Mode.MQTT_MESSAGE) if "message" in values else None,
    )


def _parts(text: str) -> list[tuple[str, str]]:
    """Key and raw value of each part. What does not begin with a key belongs to the part before it, and so does what
    follows an empty part: there an unencoded `&&` was split."""
    parts: list[tuple[str, str]] = []
    before = None
    for piece in text.split("&"):
        found = _PART.match(piece) if before != "" or not parts else None
        if found is not None:
            parts.append((found[1], piece[found.end() :]))
        elif parts:
            key, value = parts[-1]
            parts[-1] = (key, f"{value}&{piece}")
        else:
            raise SelectorError("a filter begins with cid=, modified_since=, payload= or message=")
        before = piece
    return parts


def _cid(value: str) -> int:
    if value.isascii() and value.isdecimal() and len(value) <= 16 and int(value) < MAX_INTEGER:
        return int(value)
    raise SelectorError(f"cid must be a number, got {value!r}")


def _time(value: str) -> Number:
    result = read_number(value)
    if result is None or result < 0:
        raise SelectorError(f"modified_since must be Unix seconds, got {value!r}")
    return result
