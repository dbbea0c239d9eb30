"""Webhooks: stored and checked; what delivers them is elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import msgspec

from wayframe.bus.topics import InvalidFilter, split_filter
from wayframe.expressions import ExpressionError, Mode, compile_template
from wayframe.model import BadRequest, Json, OriginType
from wayframe.model.items import Webhook
from wayframe.model.urls import check_url
from wayframe.storage import ItemTables

from ..entries import WEBHOOKS
from ..item_bodies import CustomServer, Request, WebhookBody
from ..rules import check_expression
from .kind import Kind

_FIELDS = ("id", "cid", "name", "enabled", "triggers", "configuration", "metadata")


class WebhookKind(Kind[Webhook]):
    """Webhooks (rest-api.md 3.6)."""

    def __init__(self, tables: ItemTables, destinations: Collection[str]) -> None:
        super().__init__(
            WEBHOOKS, OriginType.WEBHOOK, tables.webhooks, Webhook, WebhookBody, _FIELDS,
            required=["triggers", "configuration"],
        )  # fmt: skip
        self._destinations = destinations
        self.family: Callable[[int], Collection[int]] = lambda cid: (cid,)
        """An account and those below it."""

    def checked(self, item: Webhook) -> Webhook:
        for index, trigger in enumerate(item.triggers):
            _check_trigger(trigger, f"triggers.{index}")
        chain = item.configuration if isinstance(item.configuration, list) else [item.configuration]
        requests: list[Any] = []
        for index, request in enumerate(chain):
            where = f"configuration.{index}" if isinstance(item.configuration, list) else "configuration"
            requests.append(self._checked_request(request, where))
            self._check_account(item, requests[-1].get("cid"), f"{where}.cid")
        configuration = requests if isinstance(item.configuration, list) else requests[0]
        return msgspec.structs.replace(item, configuration=configuration)

    def _check_account(self, item: Webhook, said: Json, where: str) -> None:
        """An account that a webhook acts as must be its own or one below; one that a template names is looked at when
        it is known. That of a trigger's filter only narrows. Raises `BadRequest`."""
        cid = int(said) if isinstance(said, str) and said.isascii() and said.isdecimal() else said
        if isinstance(cid, int) and cid not in self.family(item.cid):
            raise BadRequest(f"`{where}`: account {cid} is neither yours nor one below it")

    def _checked_request(self, body: Json, where: str) -> Json:
        """A request with its defaults. Raises `BadRequest`."""
        if isinstance(body, dict):  # typed clients send null for what they leave out
            body = {name: value for name, value in body.items() if value is not None}
        try:
            request: Any = msgspec.convert(body, Request)
        except msgspec.ValidationError as error:
            names = [field.name for field in msgspec.structs.fields(CustomServer)]
            raise BadRequest(f"`{where}`: {error}", schema_hint=["type", *names]) from None
        for name in ("uri", "body"):
            _check_template(getattr(request, name), f"{where}.{name}")
        if isinstance(request, CustomServer):
            # What a template fills in is looked at when it is known; scheme and host must stand in the text.
            check_url(_before_template(request.uri), f"{where}.uri", allowed=self._destinations)
            for number, header in enumerate(request.headers):
                if any(character in header.value for character in "\r\n\0"):
                    raise BadRequest(f"`{where}.headers.{number}.value` must be one line")
                _check_template(header.value, f"{where}.headers.{number}.value")
        elif "://" in request.uri:
            raise BadRequest(f"`{where}.uri` must be a path of this API, such as gw/devices/1/commands-queue")
        if request.validate is not msgspec.UNSET:
            check_expression(request.validate.expression, f"{where}.validate.expression")
        shown: dict[str, Any] = msgspec.to_builtins(request)
        return shown


def _check_trigger(trigger: dict[str, Json], where: str) -> None:
    try:
        split_filter(trigger["topic"])
    except InvalidFilter as error:
        raise BadRequest(f"`{where}.topic`: {error}") from None
    condition = trigger.get("filter", {})
    check_expression(condition.get("payload", ""), f"{where}.filter.payload", mode=Mode.MQTT_PAYLOAD)
    check_expression(condition.get("message", ""), f"{where}.filter.message", mode=Mode.MQTT_MESSAGE)


def _check_template(text: str, where: str) -> None:
    try:
        compile_template(text)
    except ExpressionError as error:
        raise BadRequest(f"`{where}`: {error}") from None


def _before_template(uri: str) -> str:
    """The part of a URL before what a template fills in, which must reach beyond the host."""
    fixed, sign, _ = uri.partition("%{")
    if sign and "/" not in fixed.partition("://")[2]:
        raise BadRequest("`configuration.uri`: scheme and host must not come from a template")
    return fixed
