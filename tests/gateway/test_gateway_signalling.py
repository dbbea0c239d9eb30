"""Signalling connections: who is let in, who takes over, and channels that come and go while the server runs."""

from __future__ import annotations

import asyncio
import socket

import pytest
from doors import IDENT, Doors, Open

from wayframe.gateway.peers import Admission, Peer
from wayframe.model.query import HistoryQuery
from wayframe.services import CHANNELS, DEVICES
from wayframe.simulator import bodies808 as b808
from wayframe.simulator.wire808 import Layout, Msg

pytestmark = pytest.mark.anyio


async def test_a_device_signs_in_reports_and_leaves(doors: Doors) -> None:
    truck = await doors.device()
    terminal = await doors.sign_in()
    assert truck.view["connected"] is True and doors.channel.view["connections_count"] == 1
    assert await terminal.acknowledged(terminal.report(77)) == 0
    messages = await doors.services.history.messages([truck], HistoryQuery())
    assert [message["position.altitude"] for message in messages] == [77]
    assert messages[0]["channel.id"] == doors.channel.id and messages[0]["peer"].startswith("127.0.0.1:")
    assert truck.view["last_active"] > 0
    terminal.close()
    await doors.until(lambda: truck.view["connected"] is False)
    gone = (await doors.logs(truck, 301))[0]
    assert (gone["close_code"], gone["msgs"]) == (0, 1) and gone["recv"] > 0 and gone["send"] > 0
    assert [len(await doors.logs(doors.channel, code, 9)) for code in (100, 101, 102)] == [1, 1, 1]
    assert doors.channel.view["connections_count"] == 0


async def test_an_unknown_ident_is_refused_remembered_and_logged_with_what_to_do(doors: Doors) -> None:
    terminal = await doors.dial("13900000077")
    terminal.say(Msg.REGISTER, b808.register(b808.Identity(), Layout.V2013))
    answer = b808.parse_register_answer((await terminal.hear(Msg.REGISTER_ANSWER)).body)
    assert answer.result != 0
    (knocked,) = doors.services.idents.of(doors.channel.id)
    assert (knocked.ident, knocked.device_id) == ("13900000077", 0) and knocked.source.startswith("127.0.0.1:")
    record = (await doors.logs(doors.channel, 104, 9))[0]
    assert record["ident"] == "13900000077" and "POST /gw/devices" in record["error_text"]
    terminal.close()


async def test_a_disabled_device_is_refused(doors: Doors) -> None:
    await doors.device(enabled=False)
    terminal = await doors.dial()
    terminal.say(Msg.REGISTER, b808.register(b808.Identity(), Layout.V2013))
    assert b808.parse_register_answer((await terminal.hear(Msg.REGISTER_ANSWER)).body).result != 0
    assert "disabled" in (await doors.logs(doors.channel, 104, 9))[0]["error_text"]
    terminal.close()


async def test_a_channel_may_register_devices_by_itself(doors: Doors) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    configuration = {"port": str(port), "unknown_idents": "create", "device_type_id": "6"}
    body = {"protocol_id": 552, "configuration": configuration}
    channel = await doors.services.directory.create(doors.master, CHANNELS, body)
    await doors.until(lambda: f"channel-{channel.id}" in doors.gateway.ports())
    terminal = await doors.sign_in("13900000088", port)
    made = doors.services.directory.device_by_ident(552, ["13900000088"])
    assert made is not None and made.view["device_type_id"] == 6 and made.view["connected"] is True
    terminal.close()


async def test_admission_is_limited_by_address_and_in_all(opened: Open) -> None:
    doors = await opened(max_connections_per_ip=2)
    first, second = await doors.dial(), await doors.dial()
    third = await doors.dial()
    assert await third.closed() == b""
    assert (doors.gateway.admission.open, doors.gateway.admission.refused) == (2, 1)
    first.close()
    await doors.until(lambda: doors.gateway.admission.open == 1)
    await doors.device()
    again = await doors.sign_in()
    for terminal in (second, third, again):
        terminal.close()
    await doors.until(lambda: doors.gateway.admission.open == 0)


def test_admission_counts_in_all() -> None:
    admission = Admission(2, 0)
    assert [bool(admission.admit(address)) for address in ("a", "b", "c")] == [False, False, True]
    admission.leave("a")
    assert admission.admit("c") == "" and admission.open == 2 and admission.refused == 1
    assert "max_device_connections" in admission.admit("d")


async def test_a_device_that_does_not_read_is_cut_off() -> None:
    ended: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()

    class Talker(Peer):
        def received(self, data: bytes) -> None:
            for _ in range(32):
                self.send(bytes(1 << 20))

        def lost(self, reason: str) -> None:
            ended.set_result((self.close_code, reason))

    admission = Admission(1, 0)
    server = await asyncio.get_running_loop().create_server(lambda: Talker(admission), "127.0.0.1", 0)
    with socket.socket() as deaf:
        deaf.setblocking(False)
        await asyncio.get_running_loop().sock_connect(deaf, server.sockets[0].getsockname())
        await asyncio.get_running_loop().sock_sendall(deaf, b"hello")
        async with asyncio.timeout(10):
            code, reason = await ended
    server.close()
    assert code == 4 and "does not read" in reason and admission.open == 0


async def test_a_connection_that_proves_itself_takes_over(doors: Doors) -> None:
    truck = await doors.device()
    older = await doors.dial()
    older.say(Msg.REGISTER, b808.register(b808.Identity(), Layout.V2013))
    code = b808.parse_register_answer((await older.hear(Msg.REGISTER_ANSWER)).body).code
    assert await older.acknowledged(older.say(Msg.AUTHENTICATE, code.encode())) == 0
    newer = await doors.dial()
    assert await newer.acknowledged(newer.say(Msg.AUTHENTICATE, code.encode())) == 0
    await older.closed()
    await doors.until(lambda: len(doors.services.connections.of(truck.id)) == 1)
    gone = (await doors.logs(truck, 301))[0]
    assert gone["close_code"] == 12 and truck.view["connected"] is True
    assert await newer.acknowledged(newer.report(5)) == 0
    newer.close()


async def test_a_connection_that_only_says_a_number_takes_over_nothing(doors: Doors) -> None:
    truck = await doors.device()
    owner = await doors.sign_in()
    pretender = await doors.dial()
    assert await pretender.acknowledged(pretender.report(666)) != 0
    pretender.say(Msg.REGISTER, b808.register(b808.Identity(), Layout.V2013))
    assert b808.parse_register_answer((await pretender.hear(Msg.REGISTER_ANSWER)).body).result != 0
    pretender.close()
    assert await owner.acknowledged(owner.report(5)) == 0
    messages = await doors.services.history.messages([truck], HistoryQuery())
    assert [message["position.altitude"] for message in messages] == [5]
    assert len(doors.services.connections.of(truck.id)) == 1 and await doors.logs(truck, 301) == []
    owner.close()


# --- channels ---------------------------------------------------------------------------------------------------------


async def test_a_channel_made_while_the_server_runs_listens_moves_and_stops(doors: Doors) -> None:
    await doors.device()
    with socket.socket() as a, socket.socket() as b:
        ports = []
        for probe in (a, b):
            probe.bind(("127.0.0.1", 0))
            ports.append(probe.getsockname()[1])
    body = {"protocol_id": 552, "configuration": {"port": ports[0]}}
    channel = await doors.services.directory.create(doors.master, CHANNELS, body)
    name = f"channel-{channel.id}"
    await doors.until(lambda: doors.gateway.ports().get(name) == ports[0])
    device, silent = await doors.sign_in(port=ports[0]), await doors.dial(port=ports[0])
    await doors.until(lambda: doors.gateway.admission.open == 2)
    await doors.change(channel, configuration={"port": ports[1]})
    await doors.until(lambda: doors.gateway.ports().get(name) == ports[1])
    await device.closed()
    await silent.closed()  # also the one that never said who it is
    assert await doors.refused(ports[0])
    assert {record["close_code"] for record in await doors.logs(channel, 102, 9)} == {21}
    await doors.change(channel, enabled=False)
    await doors.until(lambda: name not in doors.gateway.ports())
    assert await doors.refused(ports[1])
    await doors.change(channel, enabled=True)
    await doors.until(lambda: name in doors.gateway.ports())
    (await doors.sign_in(port=ports[1])).close()
    await doors.services.directory.delete(doors.master, CHANNELS, channel)
    await doors.until(lambda: name not in doors.gateway.ports())
    assert await doors.refused(ports[1])


async def test_changes_of_a_channel_that_come_together_leave_one_listener(doors: Doors) -> None:
    item = doors.channel.item
    before = doors.port()
    await doors.gateway.close_channel(item.id)
    await asyncio.gather(*(doors.gateway.open_channel(item) for _ in range(3)))  # type: ignore[arg-type]  # a channel
    port = doors.port()
    await doors.gateway.close_channel(item.id)
    assert await doors.refused(port) and before != 0 and f"channel-{item.id}" not in doors.gateway.ports()


async def test_a_port_that_is_taken_leaves_the_others_listening(doors: Doors) -> None:
    body = {"protocol_id": 552, "configuration": {"port": doors.port("live")}}
    channel = await doors.services.directory.create(doors.master, CHANNELS, body)
    await doors.services.journal.settled()
    await doors.device()
    (await doors.sign_in()).close()
    assert f"channel-{channel.id}" not in doors.gateway.ports()


async def test_a_stop_closes_every_door_and_says_goodbye(doors: Doors) -> None:
    truck = await doors.device()
    terminal, silent = await doors.sign_in(), await doors.dial("13900000002")
    ports = doors.gateway.ports()
    await doors.gateway.stop()
    await terminal.closed()
    await silent.closed()
    for port in ports.values():
        assert await doors.refused(port)
    assert (await doors.logs(truck, 301))[0]["close_code"] == 7
    assert doors.gateway.admission.open == 0 and doors.services.connections.all() == []
    assert truck.view["configuration"]["ident"] == IDENT


async def test_a_device_that_is_disabled_or_renumbered_loses_its_connection(doors: Doors) -> None:
    truck = await doors.device()
    terminal = await doors.sign_in()
    await doors.services.directory.update(doors.master, DEVICES, truck, {"enabled": False}, patch=True)
    await terminal.closed()
    assert truck.view["connected"] is False
    await doors.services.directory.update(doors.master, DEVICES, truck, {"enabled": True}, patch=True)
    terminal = await doors.sign_in()
    changed = {"configuration": {"ident": "13900000099"}}
    await doors.services.directory.update(doors.master, DEVICES, truck, changed, patch=True)
    await terminal.closed()


async def test_raw_traffic_is_kept_from_the_first_byte_where_the_device_wants_it(doors: Doors) -> None:
    truck = await doors.device(configuration={"ident": IDENT, "packets_ttl": "3600"})
    quiet = await doors.device("13900000099")
    terminal = await doors.sign_in()
    other = await doors.sign_in("13900000099")
    sent = terminal.frame(Msg.HEARTBEAT, b"")
    terminal.raw(sent)
    owners = {device.id: {"device_id": device.id} for device in (truck, quiet)}
    packets = await doors.services.traffic.packets(owners, HistoryQuery())
    while packets[-1]["direction"] != "out" or not any(packet["data"] == sent.hex() for packet in packets):
        await asyncio.sleep(0)
        packets = await doors.services.traffic.packets(owners, HistoryQuery())
    assert {packet["device_id"] for packet in packets} == {truck.id}
    assert packets[0]["direction"] == "in" and packets[0]["data"].startswith("7e0100")  # the registration
    assert packets[1]["direction"] == "out" and packets[1]["data"].startswith("7e8100")
    assert all(packet["source"].startswith("127.0.0.1:") and packet["transport"] == "tcp" for packet in packets)
    assert [packet["timestamp"] for packet in packets] == sorted(packet["timestamp"] for packet in packets)
    terminal.close()
    other.close()


async def test_raw_traffic_of_an_unknown_ident_is_kept_where_the_channel_wants_it(doors: Doors) -> None:
    async def knock() -> list[tuple[str, str]]:
        terminal = await doors.dial("13900000077")
        terminal.say(Msg.REGISTER, b808.register(b808.Identity(), Layout.V2013))
        await terminal.hear(Msg.REGISTER_ANSWER)
        terminal.close()
        (known,) = doors.services.idents.of(doors.channel.id)
        packets = await doors.services.traffic.packets({-known.id: {"ident": known.ident}}, HistoryQuery())
        assert all(packet["ident"] == "13900000077" for packet in packets)
        return [(packet["direction"], packet["data"][:6]) for packet in packets]

    assert await knock() == []
    await doors.change(doors.channel, configuration={"packets_ttl": "3600"})
    while not (heard := await knock()):  # the listener follows the news of the change
        pass
    assert heard == [("in", "7e0100"), ("out", "7e8100")]


async def test_an_ident_that_was_unknown_is_a_device_once_it_comes_as_one(doors: Doors) -> None:
    terminal = await doors.dial()
    terminal.say(Msg.REGISTER, b808.register(b808.Identity(), Layout.V2013))
    await terminal.hear(Msg.REGISTER_ANSWER)
    terminal.close()
    (stranger,) = doors.services.idents.of(doors.channel.id)
    truck = await doors.device()
    terminal = await doors.sign_in()
    (known,) = doors.services.idents.of(doors.channel.id)
    assert (stranger.device_id, known.device_id, known.ident) == (0, truck.id, IDENT)
    assert truck.view["channels"] == [{"id": doors.channel.id}]
    await terminal.acknowledged(terminal.report(77))
    (message,) = await doors.services.channel_history.messages([doors.channel], HistoryQuery())
    assert (message["device.id"], message["position.altitude"]) == (truck.id, 77)
    terminal.close()
