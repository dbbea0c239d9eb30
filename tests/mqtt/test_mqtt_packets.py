"""Packets by hand: from bytes to objects and back, and everything that is refused with its reason."""

from __future__ import annotations

import pytest
from mqtt_vectors import ACCEPTED, EXACT, REFUSED

from wayframe.mqtt import V5, V31, V311, Ack, Framer, MqttError, Packet, PacketType, Reason, Subscribe, Wish
from wayframe.mqtt.packets import Disconnect, Suback, decode, encode
from wayframe.mqtt.properties import PROPERTIES, encode_body
from wayframe.mqtt.reasons import return_code
from wayframe.mqtt.wire import MAX_VARINT, Reader, text, varint


def taken(raw: bytes, version: int) -> Packet:
    """The one packet in these bytes."""
    framer = Framer(1 << 20)
    [(first, body)] = framer.feed(raw)
    assert framer.error is None
    return decode(first, body, version)


@pytest.mark.parametrize(("version", "raw", "packet"), [row[1:] for row in EXACT], ids=[row[0] for row in EXACT])
def test_bytes_and_object_are_one(version: int, raw: str, packet: Packet) -> None:
    assert encode(packet, version) == bytes.fromhex(raw)
    assert taken(bytes.fromhex(raw), version) == packet


@pytest.mark.parametrize(("version", "raw", "packet"), [row[1:] for row in ACCEPTED], ids=[row[0] for row in ACCEPTED])
def test_other_spellings_are_understood(version: int, raw: str, packet: Packet) -> None:
    assert taken(bytes.fromhex(raw), version) == packet


@pytest.mark.parametrize(("version", "raw", "reason"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refused(version: int, raw: str, reason: Reason) -> None:
    with pytest.raises(MqttError) as refused:
        taken(bytes.fromhex(raw), version)
    assert refused.value.reason is reason
    assert refused.value.sentence


def test_every_vector_that_is_cut_waits_or_is_refused() -> None:
    for _, version, raw, packet in EXACT:
        data = bytes.fromhex(raw)
        for end in range(2, len(data)):
            framer = Framer(1 << 20)
            assert framer.feed(data[:end]) == []
            assert framer.error is None
            [(first, body)] = framer.feed(data[end:])
            assert decode(first, body, version) == packet


def test_every_property_has_a_vector() -> None:
    written = " ".join(str(packet) for *_, packet in EXACT)
    assert [entry.name for entry in PROPERTIES if f"'{entry.name}'" not in written] == []


@pytest.mark.parametrize("value", [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, MAX_VARINT])
def test_variable_byte_integers(value: int) -> None:
    raw = varint(value)
    assert len(raw) == 1 + (value > 127) + (value > 16_383) + (value > 2_097_151)
    assert Reader(raw).varint("it") == value


def test_what_cannot_be_written_is_said() -> None:
    with pytest.raises(ValueError, match="larger"):
        varint(MAX_VARINT + 1)
    with pytest.raises(ValueError, match="65536 bytes"):
        text("x" * 65_536)
    with pytest.raises(KeyError):
        encode_body({"colour": 1})


ALLOWED = {
    PacketType.PUBACK: "00 10 80 83 87 90 91 97 99",
    PacketType.PUBREC: "00 10 80 83 87 90 91 97 99",
    PacketType.PUBREL: "00 92",
    PacketType.PUBCOMP: "00 92",
    PacketType.DISCONNECT: "00 04 80 81 82 83 87 89 8b 8d 8e 8f 90 93 94 95 96 97 98 99 9a 9b 9c 9d 9e 9f a0 a1 a2",
    PacketType.AUTH: "00 18 19",
}
"""Tables 3-4 to 3-7, 3-13 and 3-15 of MQTT 5."""


@pytest.mark.parametrize("kind", list(ALLOWED))
def test_reasons_each_packet_may_have(kind: PacketType) -> None:
    flags = 2 if kind is PacketType.PUBREL else 0
    place = b"" if kind in (PacketType.DISCONNECT, PacketType.AUTH) else b"\0\1"
    for code in range(256):
        body = place + bytes((code,))
        raw = bytes((kind << 4 | flags, len(body))) + body
        if code in bytes.fromhex(ALLOWED[kind]):
            assert taken(raw, V5).reason == code  # type: ignore[union-attr]  # all of them have one
        else:
            with pytest.raises(MqttError) as refused:
                taken(raw, V5)
            assert refused.value.reason is Reason.PROTOCOL_ERROR


def test_older_versions_get_what_they_understand() -> None:
    assert encode(Suback(PacketType.SUBACK, 1, [1, 0x87, 0x8F]), V311) == bytes.fromhex("90 05 0001 01 80 80")
    assert encode(Ack(PacketType.PUBACK, 1, 0x87, {"reason_string": "no"}), V311) == bytes.fromhex("40 02 0001")
    assert encode(Disconnect(0x8E, {"reason_string": "no"}), V31) == bytes.fromhex("e0 00")
    wish = Wish("a", 1, no_local=True, retain_as_published=True, retain_handling=2)
    assert encode(Subscribe(1, [wish], {"subscription_identifier": 4}), V311) == bytes.fromhex("82 06 0001 0001 61 01")


def test_return_codes_of_3_1_1() -> None:
    assert {reason: return_code(reason) for reason in Reason if return_code(reason) != 3} == {
        Reason.SUCCESS: 0,
        Reason.UNSUPPORTED_PROTOCOL_VERSION: 1,
        Reason.CLIENT_IDENTIFIER_NOT_VALID: 2,
        Reason.BAD_USER_NAME_OR_PASSWORD: 4,
        Reason.NOT_AUTHORIZED: 5,
        Reason.BANNED: 5,
        Reason.QUOTA_EXCEEDED: 5,
    }
