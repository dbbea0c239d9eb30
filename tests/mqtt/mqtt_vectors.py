"""Packets written by hand from the tables of the standards (chapter 3), as bytes and as objects."""

from __future__ import annotations

from typing import Any

from wayframe.mqtt import (
    V5,
    V31,
    V311,
    Ack,
    Connack,
    Connect,
    Packet,
    PacketType,
    Publish,
    Subscribe,
    Unsubscribe,
    Will,
    Wish,
)
from wayframe.mqtt import Reason as R
from wayframe.mqtt.packets import Auth, Disconnect, Ping, Suback

T = PacketType
USER = {"user_property": [("a", "1"), ("a", "2"), ("", "é")]}
USER_HEX = "26 0001 61 0001 31  26 0001 61 0001 32  26 0000 0002 c3a9"  # 7 + 7 + 7 bytes

EXACT: list[tuple[str, int, str, Packet]] = [
    # --- 3.1 CONNECT
    ("connect 3.1", V31, "10 10 0006 4d5149736470 03 02 003c 0002 6964", Connect(V31, "id", True, 60)),
    ("connect 3.1.1 empty", V311, "10 0c 0004 4d515454 04 02 0000 0000", Connect(V311, "", True)),
    ("connect 3.1.1 kept", V311, "10 0d 0004 4d515454 04 00 ffff 0001 78", Connect(V311, "x", False, 65535)),
    (
        "connect 3.1.1 everything",
        V311,
        "10 1d 0004 4d515454 04 f6 000a 0001 63  0003 772f74 0002 6279  0001 75  0002 0070",
        Connect(V311, "c", True, 10, "u", b"\0p", Will("w/t", b"by", 2, True)),
    ),
    ("connect 5 empty", V5, "10 0d 0004 4d515454 05 02 0000 00 0000", Connect(V5, "", True)),
    (
        "connect 5 password alone",
        V5,
        "10 11 0004 4d515454 05 42 0000 00 0001 63 0001 70",
        Connect(V5, "c", True, 0, None, b"p"),
    ),
    (
        "connect 5 every property",
        V5,
        "10 4b 0004 4d515454 05 02 0000  3d 11 ffffffff  21 0001  27 00000001  22 ffff  19 01  17 00"
        f"  {USER_HEX}  15 0005 5343524d31  16 0009 000102030405060708  0001 63",
        Connect(
            V5,
            "c",
            properties={
                "session_expiry_interval": 0xFFFFFFFF,
                "receive_maximum": 1,
                "maximum_packet_size": 1,
                "topic_alias_maximum": 65535,
                "request_response_information": 1,
                "request_problem_information": 0,
                **USER,
                "authentication_method": "SCRM1",
                "authentication_data": bytes(range(9)),
            },
        ),
    ),
    (
        "connect 5 every will property",
        V5,
        "10 44 0004 4d515454 05 0e 0000 00 0001 63"
        f"  30 18 00000002  01 01  02 00000003  03 0001 6a  08 0003 722f74  09 0002 ff00  {USER_HEX}"
        "  0001 77 0000",
        Connect(
            V5,
            "c",
            will=Will(
                "w",
                b"",
                1,
                False,
                {
                    "will_delay_interval": 2,
                    "payload_format_indicator": 1,
                    "message_expiry_interval": 3,
                    "content_type": "j",
                    "response_topic": "r/t",
                    "correlation_data": b"\xff\0",
                    **USER,
                },
            ),
        ),
    ),
    # --- 3.2 CONNACK
    ("connack 3.1.1", V311, "20 02 01 00", Connack(True, 0)),
    ("connack 3.1.1 refused", V311, "20 02 00 05", Connack(False, 5)),
    ("connack 5", V5, "20 03 01 00 00", Connack(True, 0)),
    ("connack 5 refused", V5, "20 07 00 86 04 1f 0001 6e", Connack(False, 0x86, {"reason_string": "n"})),
    (
        "connack 5 every property",
        V5,
        "20 4d 00 00  4a 11 00000000  21 ffff  24 01  25 01  27 10000000  12 0001 69  22 0000  1f 0002 6f6b"
        f"  {USER_HEX}  28 01  29 00  2a 01  13 0000  1a 0001 72  1c 0001 73  15 0001 6d  16 0000",
        Connack(
            False,
            0,
            {
                "session_expiry_interval": 0,
                "receive_maximum": 65535,
                "maximum_qos": 1,
                "retain_available": 1,
                "maximum_packet_size": 0x10000000,
                "assigned_client_identifier": "i",
                "topic_alias_maximum": 0,
                "reason_string": "ok",
                **USER,
                "wildcard_subscription_available": 1,
                "subscription_identifier_available": 0,
                "shared_subscription_available": 1,
                "server_keep_alive": 0,
                "response_information": "r",
                "server_reference": "s",
                "authentication_method": "m",
                "authentication_data": b"",
            },
        ),
    ),
    # --- 3.3 PUBLISH
    ("publish 3.1.1", V311, "30 05 0003 612f62", Publish("a/b")),
    ("publish 3.1.1 retained", V311, "31 05 0001 61 6869", Publish("a", b"hi", 0, True)),
    ("publish 3.1.1 QoS 1", V311, "32 06 0001 61 ffff 00", Publish("a", b"\0", 1, packet_id=65535)),
    ("publish 3.1 QoS 2 again", V31, "3d 05 0001 61 0001", Publish("a", b"", 2, True, True, 1)),
    ("publish 5", V5, "30 05 0001 61 00 00", Publish("a", b"\0")),
    (
        "publish 5 by alias",
        V5,
        "32 08 0000 0007 03 23 0001",
        Publish("", b"", 1, packet_id=7, properties={"topic_alias": 1}),
    ),
    (
        "publish 5 every property",
        V5,
        f"35 3a 0003 612f62 0102  32 01 00  02 00000000  23 ffff  08 0001 72  09 0001 00  {USER_HEX}  0b 01 0b ffffff7f"
        "  03 0001 74",
        Publish(
            "a/b",
            b"",
            2,
            True,
            packet_id=0x102,
            properties={
                "payload_format_indicator": 0,
                "message_expiry_interval": 0,
                "topic_alias": 65535,
                "response_topic": "r",
                "correlation_data": b"\0",
                **USER,
                "subscription_identifier": [1, 268_435_455],
                "content_type": "t",
            },
        ),
    ),
    # --- 3.4 to 3.7
    ("puback 3.1.1", V311, "40 02 0001", Ack(T.PUBACK, 1)),
    ("pubrec 3.1.1", V311, "50 02 ffff", Ack(T.PUBREC, 65535)),
    ("pubrel 3.1.1", V311, "62 02 0001", Ack(T.PUBREL, 1)),
    ("pubcomp 3.1.1", V311, "70 02 0001", Ack(T.PUBCOMP, 1)),
    ("puback 5", V5, "40 02 0001", Ack(T.PUBACK, 1)),
    ("puback 5 reason", V5, "40 03 0001 10", Ack(T.PUBACK, 1, 0x10)),
    ("pubrec 5 reason", V5, "50 03 0001 97", Ack(T.PUBREC, 1, 0x97)),
    ("pubrel 5 reason", V5, "62 03 0001 92", Ack(T.PUBREL, 1, 0x92)),
    ("pubcomp 5 reason", V5, "70 03 0001 92", Ack(T.PUBCOMP, 1, 0x92)),
    (
        "puback 5 properties",
        V5,
        f"40 1d 0001 00 19 1f 0001 72 {USER_HEX}",
        Ack(T.PUBACK, 1, 0, {"reason_string": "r", **USER}),
    ),
    # --- 3.8 to 3.11
    ("subscribe 3.1.1", V311, "82 0b 0001 0001 61 00 0002 2b2f 02", Subscribe(1, [Wish("a", 0), Wish("+/", 2)])),
    (
        "subscribe 5",
        V5,
        "82 0c 0001 02 0b 05  0001 23 01 0000 2e",
        Subscribe(1, [Wish("#", 1), Wish("", 2, True, True, 2)], {"subscription_identifier": 5}),
    ),
    ("suback 3.1.1", V311, "90 06 0001 00 01 02 80", Suback(T.SUBACK, 1, [0, 1, 2, 0x80])),
    ("suback 5", V5, "90 06 0001 00 02 87 8f", Suback(T.SUBACK, 1, [2, 0x87, 0x8F])),
    ("unsubscribe 3.1.1", V311, "a2 08 0001 0001 61 0001 62", Unsubscribe(1, ["a", "b"])),
    ("unsubscribe 5", V5, f"a2 1b 0001 15 {USER_HEX} 0001 61", Unsubscribe(1, ["a"], USER)),
    ("unsuback 3.1.1", V311, "b0 02 0001", Suback(T.UNSUBACK, 1, [])),
    ("unsuback 5", V5, "b0 05 0001 00 00 11", Suback(T.UNSUBACK, 1, [0, 0x11])),
    # --- 3.12 to 3.15
    ("pingreq", V311, "c0 00", Ping(T.PINGREQ)),
    ("pingresp", V5, "d0 00", Ping(T.PINGRESP)),
    ("disconnect 3.1.1", V311, "e0 00", Disconnect()),
    ("disconnect 5", V5, "e0 00", Disconnect()),
    ("disconnect 5 with will", V5, "e0 01 04", Disconnect(4)),
    (
        "disconnect 5 every property",
        V5,
        f"e0 24 8e 22 11 00000001 1f 0001 72 1c 0001 73 {USER_HEX}",
        Disconnect(0x8E, {"session_expiry_interval": 1, "reason_string": "r", "server_reference": "s", **USER}),
    ),
    ("auth 5", V5, "f0 00", Auth()),
    (
        "auth 5 continue",
        V5,
        "f0 0a 18 08 15 0001 6d 16 0001 64",
        Auth(0x18, {"authentication_method": "m", "authentication_data": b"d"}),
    ),
]
"""Name, protocol level, bytes, object: in both directions."""

ACCEPTED: list[tuple[str, int, str, Packet]] = [
    (
        "publish 5 with an empty user property", V5, "30 09 0001 61 05 26 0000 0000",
        Publish("a", properties={"user_property": [("", "")]}),
    ),
    ("puback 5 with a length of 0", V5, "40 04 0001 00 00", Ack(T.PUBACK, 1)),
    ("disconnect 5 with reason 0", V5, "e0 01 00", Disconnect()),
    ("disconnect 5 with a length of 0", V5, "e0 02 00 00", Disconnect()),
    ("subscribe 3.1 with DUP", V31, "8a 06 0001 0001 61 01", Subscribe(1, [Wish("a", 1)])),
    ("pubrel 3.1 with DUP", V31, "6a 02 0001", Ack(T.PUBREL, 1)),
    ("a zero width no-break space stays", V311, "30 06 0004 efbbbf61", Publish("\ufeffa")),
    ("a topic of every plane", V311, "30 06 0004 f09f9a97", Publish("\U0001f697")),
    ("a filter with a space only", V311, "82 06 0001 0001 20 00", Subscribe(1, [Wish(" ")])),
]  # fmt: skip
"""What is right although `encode` writes it in another way."""


def _with(body: str) -> str:
    """A CONNECT of 5.0 with these properties and the client identifier c."""
    raw = bytes.fromhex(body)
    rest = bytes.fromhex("0004 4d515454 05 02 0000") + bytes((len(raw),)) + raw + b"\0\1c"
    return (bytes((0x10, len(rest))) + rest).hex()


def _said(body: str) -> str:
    """A PUBLISH of 5.0 with these properties."""
    raw = bytes.fromhex(body)
    rest = b"\0\1a" + bytes((len(raw),)) + raw
    return (bytes((0x30, len(rest))) + rest).hex()


REFUSED: list[tuple[str, int, str, Any]] = [
    # --- 1.5 data
    ("a surrogate", V311, "30 05 0003 eda080", R.MALFORMED_PACKET),
    ("bytes that are not UTF-8", V311, "30 03 0001 ff", R.MALFORMED_PACKET),
    ("an overlong slash", V311, "30 04 0002 c0af", R.MALFORMED_PACKET),
    ("U+0000", V311, "30 05 0003 610062", R.MALFORMED_PACKET),
    ("U+0000 in a user property", V5, _said("26 0001 00 0000"), R.MALFORMED_PACKET),
    ("a string that is cut", V311, "30 03 0005 61", R.MALFORMED_PACKET),
    ("half a length", V311, "30 01 00", R.MALFORMED_PACKET),
    ("a property length longer than needed", V5, "30 05 0001 61 8000", R.MALFORMED_PACKET),
    ("a property length of five bytes", V5, "30 08 0001 61 8080808001", R.MALFORMED_PACKET),
    # --- 2.1 packet types and flags
    ("type 0", V311, "00 00", R.MALFORMED_PACKET),
    ("type 15 before 5.0", V311, "f0 00", R.MALFORMED_PACKET),
    ("connect with flags", V5, "11 0d 0004 4d515454 05 02 0000 00 0000", R.MALFORMED_PACKET),
    ("puback with flags", V5, "42 02 0001", R.MALFORMED_PACKET),
    ("pubrec with flags", V5, "54 02 0001", R.MALFORMED_PACKET),
    ("pubrel without flags", V5, "60 02 0001", R.MALFORMED_PACKET),
    ("pubrel with other flags", V311, "6a 02 0001", R.MALFORMED_PACKET),
    ("pubcomp with flags", V5, "78 02 0001", R.MALFORMED_PACKET),
    ("subscribe without flags", V5, "80 07 0001 00 0001 61 00", R.MALFORMED_PACKET),
    ("unsubscribe without flags", V311, "a0 05 0001 0001 61", R.MALFORMED_PACKET),
    ("pingreq with flags", V311, "c1 00", R.MALFORMED_PACKET),
    ("disconnect with flags", V5, "e1 00", R.MALFORMED_PACKET),
    ("auth with flags", V5, "f1 00", R.MALFORMED_PACKET),
    ("pingreq with a body", V311, "c0 01 00", R.MALFORMED_PACKET),
    ("disconnect of 3.1.1 with a body", V311, "e0 01 00", R.MALFORMED_PACKET),
    ("puback of 3.1.1 with a body", V311, "40 03 0001 00", R.MALFORMED_PACKET),
    # --- 2.2.1 packet identifiers
    ("publish with identifier 0", V311, "32 05 0001 61 0000", R.PROTOCOL_ERROR),
    ("publish without identifier", V311, "32 03 0001 61", R.MALFORMED_PACKET),
    ("puback with identifier 0", V5, "40 02 0000", R.PROTOCOL_ERROR),
    ("subscribe with identifier 0", V5, "82 07 0000 00 0001 61 00", R.PROTOCOL_ERROR),
    ("unsubscribe with identifier 0", V5, "a2 06 0000 00 0001 61", R.PROTOCOL_ERROR),
    # --- 2.2.2 properties
    ("no property length", V5, "30 03 0001 61", R.MALFORMED_PACKET),
    ("properties beyond their packet", V5, "30 04 0001 61 05", R.MALFORMED_PACKET),
    ("a property beyond its length", V5, "30 07 0001 61 02 02 0000", R.MALFORMED_PACKET),
    ("a property that is none", V5, _said("00"), R.MALFORMED_PACKET),
    ("a property of another packet", V5, _said("11 00000001"), R.MALFORMED_PACKET),
    ("a property identifier longer than needed", V5, _said("8100 01"), R.MALFORMED_PACKET),
    ("payload format 2", V5, _said("01 02"), R.PROTOCOL_ERROR),
    ("payload format twice", V5, _said("01 01 01 01"), R.PROTOCOL_ERROR),
    ("message expiry twice", V5, _said("02 00000001 02 00000001"), R.PROTOCOL_ERROR),
    ("content type twice", V5, _said("03 0000 03 0000"), R.PROTOCOL_ERROR),
    ("response topic twice", V5, _said("08 0001 61 08 0001 61"), R.PROTOCOL_ERROR),
    ("correlation data twice", V5, _said("09 0000 09 0000"), R.PROTOCOL_ERROR),
    ("topic alias twice", V5, _said("23 0001 23 0001"), R.PROTOCOL_ERROR),
    ("topic alias 0", V5, _said("23 0000"), R.TOPIC_ALIAS_INVALID),
    ("subscription identifier 0", V5, _said("0b 00"), R.PROTOCOL_ERROR),
    ("response topic with a wildcard", V5, _said("08 0003 612f23"), R.TOPIC_NAME_INVALID),
    # --- 3.1 CONNECT
    ("another protocol", V5, "10 0b 0002 686a 04 02 0000 0001 78", R.UNSUPPORTED_PROTOCOL_VERSION),
    ("level 6", V5, "10 0d 0004 4d515454 06 02 0000 00 0000", R.UNSUPPORTED_PROTOCOL_VERSION),
    ("MQIsdp with level 4", V5, "10 0e 0006 4d5149736470 04 02 0000 0000", R.UNSUPPORTED_PROTOCOL_VERSION),
    ("the reserved connect flag", V311, "10 0c 0004 4d515454 04 03 0000 0000", R.MALFORMED_PACKET),
    ("will QoS 3", V311, "10 11 0004 4d515454 04 1e 0000 0000 0001 77 0000", R.MALFORMED_PACKET),
    ("will QoS without will", V311, "10 0c 0004 4d515454 04 0a 0000 0000", R.MALFORMED_PACKET),
    ("will retain without will", V5, "10 0d 0004 4d515454 05 22 0000 00 0000", R.MALFORMED_PACKET),
    ("will flag without will", V5, "10 0d 0004 4d515454 05 06 0000 00 0000", R.MALFORMED_PACKET),
    ("will topic with a wildcard", V311, "10 11 0004 4d515454 04 06 0000 0000 0001 2b 0000", R.TOPIC_NAME_INVALID),
    ("empty will topic", V311, "10 10 0004 4d515454 04 06 0000 0000 0000 0000", R.TOPIC_NAME_INVALID),
    ("password without user name in 3.1.1", V311, "10 0f 0004 4d515454 04 42 0000 0000 0001 70", R.MALFORMED_PACKET),
    ("user name flag without user name", V311, "10 0c 0004 4d515454 04 82 0000 0000", R.MALFORMED_PACKET),
    ("user name without its flag", V311, "10 0f 0004 4d515454 04 02 0000 0000 0001 75", R.MALFORMED_PACKET),
    ("password flag without password", V5, "10 0d 0004 4d515454 05 42 0000 00 0000", R.MALFORMED_PACKET),
    ("no client identifier", V311, "10 0a 0004 4d515454 04 02 0000", R.MALFORMED_PACKET),
    ("client identifier that is not UTF-8", V311, "10 0e 0004 4d515454 04 02 0000 0002 c328", R.MALFORMED_PACKET),
    ("user name that is not UTF-8", V311, "10 0f 0004 4d515454 04 82 0000 0000 0001 ff", R.MALFORMED_PACKET),
    ("session expiry twice", V5, _with("11 00000000 11 00000000"), R.PROTOCOL_ERROR),
    ("receive maximum 0", V5, _with("21 0000"), R.PROTOCOL_ERROR),
    ("receive maximum twice", V5, _with("21 0001 21 0001"), R.PROTOCOL_ERROR),
    ("maximum packet size 0", V5, _with("27 00000000"), R.PROTOCOL_ERROR),
    ("maximum packet size twice", V5, _with("27 00000001 27 00000001"), R.PROTOCOL_ERROR),
    ("topic alias maximum twice", V5, _with("22 0001 22 0001"), R.PROTOCOL_ERROR),
    ("request response information 2", V5, _with("19 02"), R.PROTOCOL_ERROR),
    ("request problem information 2", V5, _with("17 02"), R.PROTOCOL_ERROR),
    ("authentication method twice", V5, _with("15 0001 6d 15 0001 6d"), R.PROTOCOL_ERROR),
    ("authentication data without a method", V5, _with("16 0001 64"), R.PROTOCOL_ERROR),
    ("will delay outside of the will", V5, _with("18 00000001"), R.MALFORMED_PACKET),
    ("maximum QoS from a client", V5, _with("24 01"), R.MALFORMED_PACKET),
    # --- 3.3 PUBLISH
    ("QoS 3", V311, "36 05 0001 61 0001", R.MALFORMED_PACKET),
    ("DUP with QoS 0", V311, "38 03 0001 61", R.MALFORMED_PACKET),
    ("a plus in the topic", V311, "30 05 0003 612f2b", R.TOPIC_NAME_INVALID),
    ("a hash in the topic", V5, "30 04 0001 23 00", R.TOPIC_NAME_INVALID),
    ("no topic", V311, "30 02 0000", R.TOPIC_NAME_INVALID),
    ("neither topic nor alias", V5, "30 03 0000 00", R.PROTOCOL_ERROR),
    # --- 3.4 to 3.7
    ("half an identifier", V311, "40 01 00", R.MALFORMED_PACKET),
    ("a reason that PUBACK cannot have", V5, "40 03 0001 92", R.PROTOCOL_ERROR),
    ("a reason that PUBREC cannot have", V5, "50 03 0001 01", R.PROTOCOL_ERROR),
    ("a reason that PUBREL cannot have", V5, "62 03 0001 10", R.PROTOCOL_ERROR),
    ("a reason that PUBCOMP cannot have", V5, "70 03 0001 80", R.PROTOCOL_ERROR),
    ("a reason string twice", V5, "40 0a 0001 00 06 1f 0000 1f 0000", R.PROTOCOL_ERROR),
    # --- 3.8, 3.10
    ("subscribe without a filter", V311, "82 02 0001", R.PROTOCOL_ERROR),
    ("subscribe without options", V311, "82 05 0001 0001 61", R.MALFORMED_PACKET),
    ("subscription QoS 3", V311, "82 06 0001 0001 61 03", R.MALFORMED_PACKET),
    ("reserved bits of 3.1.1", V311, "82 06 0001 0001 61 04", R.MALFORMED_PACKET),
    ("reserved bits of 5.0", V5, "82 07 0001 00 0001 61 40", R.MALFORMED_PACKET),
    ("retain handling 3", V5, "82 07 0001 00 0001 61 30", R.PROTOCOL_ERROR),
    ("no local on a shared subscription", V5, "82 10 0001 00 000a 2473686172652f672f61 04", R.PROTOCOL_ERROR),
    ("subscription identifier 0 in subscribe", V5, "82 09 0001 02 0b00 0001 61 00", R.PROTOCOL_ERROR),
    ("two subscription identifiers", V5, "82 0b 0001 04 0b01 0b02 0001 61 00", R.PROTOCOL_ERROR),
    ("subscribe filter that is not UTF-8", V5, "82 07 0001 00 0001 ff 00", R.MALFORMED_PACKET),
    ("unsubscribe without a filter", V5, "a2 03 0001 00", R.PROTOCOL_ERROR),
    ("unsubscribe filter that is not UTF-8", V311, "a2 05 0001 0001 ff", R.MALFORMED_PACKET),
    # --- 3.14, 3.15
    ("a reason that DISCONNECT cannot have", V5, "e0 01 03", R.PROTOCOL_ERROR),
    ("session expiry twice in disconnect", V5, "e0 0c 00 0a 11 00000001 11 00000001", R.PROTOCOL_ERROR),
    ("a reason that AUTH cannot have", V5, "f0 01 01", R.PROTOCOL_ERROR),
    # --- from a server only, and wrong
    ("reserved acknowledge flags", V311, "20 02 02 00", R.MALFORMED_PACKET),
    ("connack that is cut", V311, "20 01 00", R.MALFORMED_PACKET),
]  # fmt: skip
"""Name, protocol level, bytes, the reason they are refused with."""
