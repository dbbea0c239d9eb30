"""The numbered normative statements of MQTT 5 (OASIS Standard, appendix B), in short words of our own, and which test
covers each. `docs/reference/mqtt-conformance.md` is made from this: `python tests/broker/statements.py`.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent.parent / "docs/reference/mqtt-conformance.md"
F = TypeVar("F", bound=Callable[..., object])
covered: dict[str, list[str]] = {}
"""Tests by statement, filled by `covers` when the test modules are imported."""


def covers(*numbers: str) -> Callable[[F], F]:
    """Says which statements a test covers: `@covers("3.1.2-4")`."""

    def mark(test: F) -> F:
        for number in numbers:
            covered.setdefault(number, []).append(f"{test.__module__}.{test.__name__}")
        return test

    return mark


CLIENT = "client"
"""Only a client, or whoever hands a packet to a client library, can break it."""
AUTH = "auth"
"""Speaks of extended authentication, which is not offered: a CONNECT that asks for it is refused (4.12.0-1)."""

STATEMENTS: dict[str, str | tuple[str, str]] = {
    "1.5.4-1": "strings are well-formed UTF-8 without surrogates",
    "1.5.4-2": "strings hold no U+0000",
    "1.5.4-3": "U+FEFF is kept",
    "1.5.5-1": "variable byte integers are as short as possible",
    "1.5.7-1": "both strings of a pair are UTF-8",
    "2.1.3-1": "reserved flag bits have their value",
    "2.2.1-2": "no packet identifier with QoS 0",
    "2.2.1-3": (CLIENT, "clients use packet identifiers that are free and not 0"),
    "2.2.1-4": "the server uses packet identifiers that are free and not 0",
    "2.2.1-5": "acknowledgements carry the identifier of their PUBLISH",
    "2.2.1-6": "SUBACK and UNSUBACK carry the identifier of their request",
    "2.2.2-1": "no properties are a length of zero",
    "3.1.0-1": "the first packet is CONNECT",
    "3.1.0-2": "a second CONNECT is a protocol error",
    "3.1.2-1": "another protocol name is refused and closed",
    "3.1.2-2": "another version is refused and closed",
    "3.1.2-3": "the reserved connect flag is checked",
    "3.1.2-4": "clean start discards the session",
    "3.1.2-5": "without clean start the session is resumed",
    "3.1.2-6": "or made, where there is none",
    "3.1.2-7": "the will is kept with the session",
    "3.1.2-8": "the will goes out after the connection ended, unless DISCONNECT 0x00 or a return came first",
    "3.1.2-9": "the will flag brings will properties, topic and payload",
    "3.1.2-10": "a will that was sent or discarded is gone",
    "3.1.2-11": "no will, no will QoS",
    "3.1.2-12": "will QoS is 0, 1 or 2",
    "3.1.2-13": "no will, no will retain",
    "3.1.2-14": "a will without retain is not retained",
    "3.1.2-15": "a will with retain is retained",
    "3.1.2-16": "no user name flag, no user name",
    "3.1.2-17": "user name flag, user name",
    "3.1.2-18": "no password flag, no password",
    "3.1.2-19": "password flag, password",
    "3.1.2-20": (CLIENT, "clients send PINGREQ in time"),
    "3.1.2-21": (CLIENT, "clients keep to Server Keep Alive"),
    "3.1.2-22": "a client that is silent for one and a half keep alives is closed",
    "3.1.2-23": "the session is kept when its expiry is above 0",
    "3.1.2-24": "no packet over the client's maximum packet size",
    "3.1.2-25": "a message that is too large counts as delivered",
    "3.1.2-26": "no topic alias over the client's maximum",
    "3.1.2-27": "no topic alias at all without a maximum",
    "3.1.2-28": "no response information for clients that did not ask",
    "3.1.2-29": "no reason strings for clients that want none, but in CONNACK and DISCONNECT",
    "3.1.2-30": (CLIENT, "only AUTH and DISCONNECT while extended authentication runs"),
    "3.1.3-1": "the fields of the payload come in order",
    "3.1.3-2": "the client identifier stands for the session",
    "3.1.3-3": "the client identifier is the first field",
    "3.1.3-4": "it is UTF-8",
    "3.1.3-5": "1 to 23 letters and digits are taken",
    "3.1.3-6": "an empty one is replaced by one of the server's",
    "3.1.3-7": "which is told in CONNACK",
    "3.1.3-8": "a client identifier that is refused closes the connection",
    "3.1.3-9": "no will when the client is back before its delay is over",
    "3.1.3-10": "user properties of the will keep their order",
    "3.1.3-11": "the will topic is UTF-8",
    "3.1.3-12": "the user name is UTF-8",
    "3.1.4-1": "a CONNECT of the wrong form is closed",
    "3.1.4-2": "who may not connect is closed",
    "3.1.4-3": "a second connection with the same client identifier ends the first with 0x8E",
    "3.1.4-4": "clean start is done as said",
    "3.1.4-5": "CONNECT is answered by CONNACK 0x00",
    "3.1.4-6": "nothing that follows a refused CONNECT is worked on",
    "3.2.0-1": "CONNACK comes before anything else",
    "3.2.0-2": "one CONNACK a connection",
    "3.2.2-1": "reserved acknowledge flags are 0",
    "3.2.2-2": "clean start: session present is 0",
    "3.2.2-3": "else it says whether there is one",
    "3.2.2-4": (CLIENT, "a client without a session closes when one is present"),
    "3.2.2-5": (CLIENT, "a client with a session drops it when none is present"),
    "3.2.2-6": "a refusal says session present 0",
    "3.2.2-7": "a refusal closes",
    "3.2.2-8": "CONNACK has one of its reason codes",
    "3.2.2-9": "Maximum QoS says what is supported",
    "3.2.2-10": "SUBSCRIBE with a higher QoS is still taken",
    "3.2.2-11": (CLIENT, "clients keep to Maximum QoS"),
    "3.2.2-12": "a will of a higher QoS is refused",
    "3.2.2-13": "a retained will where retain is not supported (it is: taken)",
    "3.2.2-14": (CLIENT, "clients do not retain where it is not available"),
    "3.2.2-15": (CLIENT, "clients keep to the maximum packet size"),
    "3.2.2-16": "an assigned client identifier is told and new",
    "3.2.2-17": (CLIENT, "clients keep to Topic Alias Maximum"),
    "3.2.2-18": (CLIENT, "and send none without it"),
    "3.2.2-19": "no reason string that makes CONNACK too large",
    "3.2.2-20": "no user property that makes CONNACK too large",
    "3.2.2-21": (CLIENT, "clients use Server Keep Alive"),
    "3.2.2-22": "without Server Keep Alive the client's own is used",
    "3.3.1-1": "DUP on what is sent again",
    "3.3.1-2": "no DUP with QoS 0",
    "3.3.1-3": "DUP is not passed on",
    "3.3.1-4": "QoS 3 is malformed",
    "3.3.1-5": "RETAIN replaces the retained message",
    "3.3.1-6": "an empty one removes it",
    "3.3.1-7": "and is not kept itself",
    "3.3.1-8": "without RETAIN nothing changes",
    "3.3.1-9": "retain handling 0 sends retained messages",
    "3.3.1-10": "retain handling 1 sends them to new subscriptions",
    "3.3.1-11": "retain handling 2 does not",
    "3.3.1-12": "without retain as published RETAIN is 0",
    "3.3.1-13": "with it RETAIN is as it was published",
    "3.3.2-1": "the topic is the first field and UTF-8",
    "3.3.2-2": "the topic has no wildcards",
    "3.3.2-3": "what is delivered matches the subscription",
    "3.3.2-4": "payload format indicator is passed on",
    "3.3.2-5": "an expired message is not delivered",
    "3.3.2-6": "the expiry that remains is passed on",
    "3.3.2-7": "topic aliases end with their connection",
    "3.3.2-8": "topic alias 0 is refused",
    "3.3.2-9": (CLIENT, "clients keep to Topic Alias Maximum"),
    "3.3.2-10": (CLIENT, "clients take every alias up to their maximum"),
    "3.3.2-11": "the server keeps to the client's maximum",
    "3.3.2-12": "every alias up to the server's maximum is taken",
    "3.3.2-13": "the response topic is UTF-8",
    "3.3.2-14": "the response topic has no wildcards",
    "3.3.2-15": "the response topic is passed on",
    "3.3.2-16": "correlation data is passed on",
    "3.3.2-17": "user properties are passed on",
    "3.3.2-18": "in their order",
    "3.3.2-19": "the content type is UTF-8",
    "3.3.2-20": "the content type is passed on",
    "3.3.4-1": "PUBLISH is answered as its QoS asks",
    "3.3.4-2": "overlapping subscriptions: the highest QoS counts",
    "3.3.4-3": "their subscription identifiers are told",
    "3.3.4-4": "all of them in a single copy",
    "3.3.4-5": "in several copies each its own (one copy is sent)",
    "3.3.4-6": "a client's PUBLISH has no subscription identifier",
    "3.3.4-7": "a client that goes over Receive Maximum is told 0x93",
    "3.3.4-8": (CLIENT, "clients delay nothing else"),
    "3.3.4-9": "the server keeps to the client's Receive Maximum",
    "3.3.4-10": "and delays nothing else",
    "3.4.2-1": "PUBACK has one of its reason codes",
    "3.4.2-2": "no reason string that makes PUBACK too large",
    "3.4.2-3": "no user property that makes PUBACK too large",
    "3.5.2-1": "PUBREC has one of its reason codes",
    "3.5.2-2": "no reason string that makes PUBREC too large",
    "3.5.2-3": "no user property that makes PUBREC too large",
    "3.6.1-1": "flags of PUBREL are 2",
    "3.6.2-1": "PUBREL has one of its reason codes",
    "3.6.2-2": "no reason string that makes PUBREL too large",
    "3.6.2-3": "no user property that makes PUBREL too large",
    "3.7.2-1": "PUBCOMP has one of its reason codes",
    "3.7.2-2": "no reason string that makes PUBCOMP too large",
    "3.7.2-3": "no user property that makes PUBCOMP too large",
    "3.8.1-1": "flags of SUBSCRIBE are 2",
    "3.8.3-1": "topic filters are UTF-8",
    "3.8.3-2": "SUBSCRIBE has at least one filter",
    "3.8.3-3": "no local",
    "3.8.3-4": "no local on a shared subscription is a protocol error",
    "3.8.3-5": "reserved options are malformed",
    "3.8.4-1": "SUBSCRIBE is answered",
    "3.8.4-2": "with its packet identifier",
    "3.8.4-3": "the same filter replaces the subscription",
    "3.8.4-4": "retained messages come again with retain handling 0, and nothing is lost",
    "3.8.4-5": "many filters are as many SUBSCRIBE packets",
    "3.8.4-6": "a reason code for each filter",
    "3.8.4-7": "which is the granted QoS or a failure",
    "3.8.4-8": "delivery at the lower of both QoS",
    "3.9.2-1": "no reason string that makes SUBACK too large",
    "3.9.2-2": "no user property that makes SUBACK too large",
    "3.9.3-1": "codes of SUBACK in the order of the filters",
    "3.9.3-2": "SUBACK has its reason codes",
    "3.10.1-1": "flags of UNSUBSCRIBE are 2",
    "3.10.3-1": "its filters are UTF-8",
    "3.10.3-2": "at least one",
    "3.10.4-1": "filters are compared character by character",
    "3.10.4-2": "no new messages after UNSUBSCRIBE",
    "3.10.4-3": "what was begun is delivered",
    "3.10.4-4": "UNSUBSCRIBE is answered",
    "3.10.4-5": "with its identifier, even if nothing was deleted",
    "3.10.4-6": "many filters are as many UNSUBSCRIBE packets",
    "3.11.2-1": "no reason string that makes UNSUBACK too large",
    "3.11.2-2": "no user property that makes UNSUBACK too large",
    "3.11.3-1": "codes of UNSUBACK in the order of the filters",
    "3.11.3-2": "UNSUBACK has its reason codes",
    "3.12.4-1": "PINGREQ is answered",
    "3.14.0-1": "no DISCONNECT before CONNACK",
    "3.14.1-1": "reserved bits of DISCONNECT are checked",
    "3.14.2-1": "DISCONNECT has one of its reason codes",
    "3.14.2-2": "the server sends no session expiry in DISCONNECT",
    "3.14.2-3": "no reason string that makes DISCONNECT too large",
    "3.14.2-4": "no user property that makes DISCONNECT too large",
    "3.14.4-1": "nothing after DISCONNECT",
    "3.14.4-2": "DISCONNECT closes",
    "3.14.4-3": "DISCONNECT 0x00 discards the will",
    "3.15.1-1": "flags of AUTH are 0",
    "3.15.2-1": (AUTH, "AUTH has one of its reason codes"),
    "3.15.2-2": (AUTH, "no reason string that makes AUTH too large"),
    "3.15.2-3": (AUTH, "no user property that makes AUTH too large"),
    "4.1.0-1": "the session stays while its connection is open",
    "4.1.0-2": "it ends when its expiry has passed",
    "4.2-1": "an ordered, lossless stream of bytes carries it",
    "4.3.1-1": "QoS 0: PUBLISH without DUP",
    "4.3.2-1": "QoS 1: a free identifier",
    "4.3.2-2": "QoS 1: PUBLISH without DUP",
    "4.3.2-3": "QoS 1: unacknowledged until PUBACK",
    "4.3.2-4": "QoS 1: PUBACK",
    "4.3.2-5": "QoS 1: after PUBACK the identifier is a new message",
    "4.3.3-1": "QoS 2: a free identifier",
    "4.3.3-2": "QoS 2: PUBLISH without DUP",
    "4.3.3-3": "QoS 2: unacknowledged until PUBREC",
    "4.3.3-4": "QoS 2: PUBREL for PUBREC",
    "4.3.3-5": "QoS 2: PUBREL is unacknowledged until PUBCOMP",
    "4.3.3-6": "QoS 2: no PUBLISH again after PUBREL",
    "4.3.3-7": "QoS 2: what was sent does not expire",
    "4.3.3-8": "QoS 2: PUBREC",
    "4.3.3-9": "QoS 2: after a PUBREC of 0x80 or more the identifier is a new message",
    "4.3.3-10": "QoS 2: PUBREC again for the same identifier, and no second delivery",
    "4.3.3-11": "QoS 2: PUBCOMP for PUBREL",
    "4.3.3-12": "QoS 2: after PUBCOMP the identifier is a new message",
    "4.3.3-13": "QoS 2: the sequence goes on for an expired message",
    "4.4.0-1": "what is unacknowledged comes again at reconnect, and at no other time",
    "4.4.0-2": "what was refused does not",
    "4.5.0-1": "a message goes into the sessions of its subscribers",
    "4.5.0-2": (CLIENT, "clients acknowledge what they do not want"),
    "4.6.0-1": "what comes again comes in its order",
    "4.6.0-2": "PUBACK in the order of PUBLISH",
    "4.6.0-3": "PUBREC in the order of PUBLISH",
    "4.6.0-4": "PUBREL in the order of PUBREC",
    "4.6.0-5": "messages of a topic and QoS in the order they came",
    "4.6.0-6": "which holds for every topic",
    "4.7.0-1": "no wildcards in topic names",
    "4.7.1-1": "# stands alone and last",
    "4.7.1-2": "+ stands alone in its level",
    "4.7.2-1": "a leading wildcard does not match $ topics",
    "4.7.3-1": "topics and filters have a character",
    "4.7.3-2": "and no U+0000",
    "4.7.3-3": "and at most 65,535 bytes",
    "4.7.3-4": "nothing is normalised",
    "4.8.2-1": "a shared subscription has a group name",
    "4.8.2-2": "without /, + and #, and a filter behind it",
    "4.8.2-3": "shared: the granted QoS is kept to",
    "4.8.2-4": "shared: QoS 2 is completed with the client it was begun with",
    "4.8.2-5": "shared: and with nobody else, even if its session ends",
    "4.8.2-6": "shared: a message that was refused goes to nobody else",
    "4.9.0-1": "the send quota begins at Receive Maximum or below",
    "4.9.0-2": "nothing of QoS 1 and 2 without quota",
    "4.9.0-3": "everything else goes on",
    "4.12.0-1": "an authentication method that is not offered is refused",
    "4.12.0-2": (AUTH, "the server's AUTH says 0x18"),
    "4.12.0-3": (CLIENT, "so does the client's"),
    "4.12.0-4": (AUTH, "a refusal during authentication closes"),
    "4.12.0-5": (AUTH, "the method stands in every AUTH and in CONNACK"),
    "4.12.0-6": "no AUTH and no method for clients that did not ask",
    "4.12.0-7": "AUTH from a client that did not ask is refused",
    "4.12.1-1": (CLIENT, "re-authentication has the same method"),
    "4.12.1-2": (AUTH, "re-authentication that fails closes"),
    "4.13.1-1": "malformed packets and protocol errors close",
    "4.13.2-1": "so does a reason of 0x80 or more in CONNACK and DISCONNECT",
    "6.0.0-1": "WebSocket: binary frames only",
    "6.0.0-2": "WebSocket: packets need not fit frames",
    "6.0.0-3": (CLIENT, "WebSocket: clients offer mqtt"),
    "6.0.0-4": "WebSocket: the server chooses mqtt",
}

WHY = {CLIENT: "client only", AUTH: "not offered"}
CONTRACT = {
    "3.2.2-9": "default 1, as flespi; `mqtt_max_qos = 2` for all three",
    "3.3.2-17": "`timestamp` and `cid` are added behind them, as flespi does; `mqtt_stamp_messages = off` adds nothing",
    "4.7.0-1": "a comma in a filter separates alternatives, as in flespi",
}
"""Where flespi's contract adds to the standard."""


def modules() -> list[str]:
    """Test modules that cover statements."""
    return sorted(path.stem for path in HERE.glob("test_conformance_*.py"))


def page() -> str:
    """The table, from the list and the tests' own words."""
    sys.path[:0] = [str(HERE), str(HERE.parent)]
    for name in modules():
        importlib.import_module(name)
    unknown = sorted(covered.keys() - STATEMENTS.keys())
    assert not unknown, f"no such statements: {unknown}"
    rows = [_row(number, said) for number, said in STATEMENTS.items()]
    return "\n".join([_HEAD, *rows, ""])


def _row(number: str, said: str | tuple[str, str]) -> str:
    if isinstance(said, tuple):
        who, words = said
        assert number not in covered, f"{number} is covered after all"
        return f"| {number} | {words} | {WHY[who]} |"
    tests = ", ".join(f"`{name.removeprefix('test_conformance_')}`" for name in sorted(set(covered.get(number, []))))
    assert tests, f"no test covers {number}"
    extra = f"; {CONTRACT[number]}" if number in CONTRACT else ""
    return f"| {number} | {said} | {tests}{extra} |"


_HEAD = """\
# MQTT 5 conformance

Every numbered statement of MQTT Version 5.0 (appendix B of the OASIS Standard), in short words, and the test that holds
the broker to it: over real sockets, with bytes of the test's own, once with `mqtt_max_qos = 1` (the default, as flespi)
and once with 2. A test `connect.test_x` stands in `tests/broker/test_conformance_connect.py`. *Client only* is what no
server can break; *not offered* belongs to extended authentication. The packets themselves are tested in `tests/mqtt`.

This page is made by `python tests/broker/statements.py`; a test compares.

| number | what it says | covered by |
|---|---|---|"""


if __name__ == "__main__":
    import statements  # the tests know this module by its name, and fill that one

    PAGE.write_text(statements.page())
