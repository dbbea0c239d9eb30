"""Rights of tokens, one row a rule."""

from __future__ import annotations

from typing import Any

import pytest

from wayframe.model import BadRequest
from wayframe.model.access import grant, may, parse_access

EMBEDDING = {
    "type": 2,
    "acl": [
        {
            "uri": "gw/devices",
            "methods": ["GET"],
            "submodules": [
                {"name": "media", "methods": ["GET", "POST", "PUT", "DELETE"]},
                {"name": "commands-queue", "methods": ["GET", "POST", "DELETE"]},
                {"name": "logs", "methods": ["GET"]},
            ],
        }
    ],
}
LISTED = {"type": 2, "acl": [{"uri": "gw/devices", "methods": ["GET", "PUT"], "ids": [1, 2]}]}
MODULE = {"type": 2, "acl": [{"uri": "gw", "methods": ["GET", "POST"]}]}
TWO_LINES = {
    "type": 2,
    "acl": [
        {"uri": "gw/devices", "methods": ["GET"], "submodules": []},
        {
            "uri": "gw/devices",
            "methods": ["GET"],
            "ids": [7],
            "submodules": [{"name": "messages", "methods": ["GET"]}],
        },
    ],
}
IN_GROUPS = {
    "type": 2,
    "acl": [
        {"uri": "gw/groups", "methods": ["GET"], "ids": [30]},
        {"uri": "gw/devices", "methods": ["GET"], "ids": "in-groups"},
    ],
}
MQTT = {"type": 2, "acl": [{"uri": "mqtt", "methods": ["GET"]}]}
TOPIC = {"type": 2, "acl": [{"uri": "mqtt", "topic": "a/#", "actions": ["subscribe"], "methods": ["GET"]}]}
WRITE_ONLY = {"type": 2, "acl": [{"uri": "gw/devices", "methods": ["POST"]}]}


@pytest.mark.parametrize(
    ("access", "entity", "method", "submodule", "allowed"),
    [
        # types
        ({"type": 1}, "platform/tokens", "DELETE", None, True),
        ({"type": 1}, "gw/devices", "DELETE", "media", True),
        ({"type": 0}, "gw/devices", "DELETE", "media", True),
        ({"type": 0}, "storage/containers", "GET", None, True),
        ({"type": 0}, "platform/tokens", "GET", None, False),
        ({"type": 0}, "platform/customer", "GET", None, False),
        ({}, "gw/devices", "GET", None, True),
        ({"type": 2}, "gw/devices", "GET", None, False),
        (MODULE, "platform/tokens", "GET", None, False),
        # items and submodules have rights of their own
        (EMBEDDING, "gw/devices", "GET", None, True),
        (EMBEDDING, "gw/devices", "PUT", None, False),
        (EMBEDDING, "gw/devices", "PUT", "media", True),
        (EMBEDDING, "gw/devices", "POST", "commands", False),
        (EMBEDDING, "gw/devices", "POST", "commands-queue", True),
        (EMBEDDING, "gw/devices", "PUT", "commands-queue", False),
        (EMBEDDING, "gw/devices", "GET", "messages", False),
        (EMBEDDING, "gw/channels", "GET", None, False),
        # submodules absent: all of them, with the entry's methods
        (LISTED, "gw/devices", "GET", "media", True),
        (LISTED, "gw/devices", "PUT", "media", True),
        (LISTED, "gw/devices", "DELETE", "media", False),
        # PATCH is granted by PUT, HEAD by GET
        (LISTED, "gw/devices", "PATCH", None, True),
        (EMBEDDING, "gw/devices", "PATCH", None, False),
        (EMBEDDING, "gw/devices", "HEAD", "media", True),
        # a module covers its entities, and only its own
        (MODULE, "gw/channels", "POST", None, True),
        (MODULE, "gw/channels", "GET", "connections", True),
        (MODULE, "storage/containers", "GET", None, False),
        (MODULE, "gwx/devices", "GET", None, False),
        # an entry with a topic opens messages, not the sessions and retained messages of everybody
        (MQTT, "mqtt/sessions", "GET", None, True),
        (TOPIC, "mqtt/sessions", "GET", None, False),
        (TOPIC, "mqtt/messages", "GET", None, False),
        # writing gives no reading, neither of the item nor through it
        (WRITE_ONLY, "gw/devices", "POST", None, True),
        (WRITE_ONLY, "gw/devices", "GET", None, False),
        (WRITE_ONLY, "gw/devices", "POST", "media", False),
    ],
)
def test_a_method_is_granted_or_not(
    access: dict[str, Any], entity: str, method: str, submodule: str | None, allowed: bool
) -> None:
    assert grant(parse_access(access), entity, method, submodule).nothing is not allowed


@pytest.mark.parametrize(
    ("access", "submodule", "item_id", "group_ids", "allowed"),
    [
        (EMBEDDING, None, 5, (), True),
        (LISTED, None, 1, (), True),
        (LISTED, None, 3, (), False),
        (LISTED, "media", 2, (), True),
        (LISTED, "media", 3, (), False),
        (TWO_LINES, None, 3, (), True),
        (TWO_LINES, "messages", 7, (), True),
        (TWO_LINES, "messages", 3, (), False),
        (IN_GROUPS, None, 5, (30, 31), True),
        (IN_GROUPS, None, 5, (31,), False),
        (IN_GROUPS, None, 5, (), False),
    ],
)
def test_an_item_is_covered_or_not(
    access: dict[str, Any], submodule: str | None, item_id: int, group_ids: tuple[int, ...], allowed: bool
) -> None:
    parsed = parse_access(access)
    assert may(parsed, "gw/devices", "GET", submodule, item_id=item_id, group_ids=group_ids) is allowed


def test_in_groups_alone_covers_nothing_because_no_group_is_readable() -> None:
    access = parse_access({"type": 2, "acl": [{"uri": "gw", "methods": ["GET"], "ids": "in-groups"}]})
    assert not may(access, "gw/devices", "GET", item_id=5, group_ids=(30,))


@pytest.mark.parametrize(
    ("access", "said"),
    [
        ({"type": 3}, "access.type must be 0"),
        ({"type": True}, "access.type must be 0"),
        ({"type": 2, "acl": {}}, None),
        ({"type": 2, "acl": "gw"}, "access.acl must be an array"),
        ({"type": 0, "acl": [{"uri": "gw"}]}, "only for access.type 2"),
        ({"type": 2, "acl": ["gw"]}, "access.acl[0] must be an object"),
        ({"type": 2, "acl": [{"uri": "platform/tokens"}]}, "access.acl[0].uri must be one of"),
        ({"type": 2, "acl": [{"uri": "gw", "methods": ["LIST"]}]}, "access.acl[0].methods must be an array of GET"),
        ({"type": 2, "acl": [{"uri": "gw", "ids": "some"}]}, 'access.acl[0].ids must be "all"'),
        ({"type": 2, "acl": [{"uri": "gw", "ids": [True]}]}, 'access.acl[0].ids must be "all"'),
        ({"type": 2, "acl": [{"uri": "gw", "submodules": [{"name": "x"}]}]}, "submodules[0].name must be one of"),
        ({"type": 2, "acl": [{"uri": "gw", "submodules": [{"name": "logs", "methods": "GET"}]}]}, "methods must be"),
        ({"type": 2, "acl": [{"uri": "mqtt", "actions": ["PATCH"]}]}, "actions must be an array of publish"),
    ],
)
def test_a_wrong_access_object_is_refused_with_field_and_rule(access: dict[str, Any], said: str | None) -> None:
    if said is None:
        assert parse_access(access).acl == ()
        return
    with pytest.raises(BadRequest) as refused:
        parse_access(access)
    assert said in refused.value.reason
