"""`fields`: what is shown of an item."""

from __future__ import annotations

import pytest

from wayframe.rest.fields import parse, project

ITEM = {
    "id": 7,
    "name": "truck",
    "configuration": {"ident": "0138", "phone": "+1"},
    "telemetry": {"position.speed": 5, "position": {"speed": 5}},
    "commands": [{"name": "take_photo", "schema": {}}, {"name": "request_video", "schema": {}}],
}


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        (["id", "name"], {"id": 7, "name": "truck"}),
        (["configuration.ident"], {"configuration": {"ident": "0138"}}),
        (["configuration.ident", "configuration.phone"], {"configuration": {"ident": "0138", "phone": "+1"}}),
        (["configuration", "configuration.ident"], {"configuration": {"ident": "0138", "phone": "+1"}}),
        (["telemetry.position.speed"], {"telemetry": {"position.speed": 5}}),
        (["commands.name"], {"commands": [{"name": "take_photo"}, {"name": "request_video"}]}),
        (["device_id"], {"device_id": 7}),
        (["unknown", "name.deeper", "configuration.unknown", ""], {}),
    ],
)
def test_paths_show_nested_parts_and_unknown_names_nothing(fields: list[str], shown: dict[str, object]) -> None:
    assert project(ITEM, fields) == shown


@pytest.mark.parametrize(
    ("text", "paths"), [(None, ("a",)), ("", ("a",)), (" , ", ("a",)), (" b , c.d ", ("b", "c.d"))]
)
def test_an_empty_list_means_the_default_set(text: str | None, paths: tuple[str, ...]) -> None:
    assert parse(text, ("a",)) == paths
