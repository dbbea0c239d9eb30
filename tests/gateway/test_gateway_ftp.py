"""Recordings by FTP: from the command over a real FTP connection to the file, and devices that do otherwise."""

from __future__ import annotations

import asyncio
import ftplib
import io
import socket
import struct
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import pytest
from doors import Doors, Open

from camera import FPS, encoded
from e2e.house import free_ports
from e2e.terminal import Terminal
from wayframe.model import MediaFile
from wayframe.model.query import HistoryQuery
from wayframe.services import Entry
from wayframe.simulator import bodies808 as b808
from wayframe.simulator.wire808 import Msg
from wayframe.simulator.wire1078 import FtpRequest, parse_ftp_request

pytestmark = pytest.mark.anyio
T = TypeVar("T")
START = 1_780_000_000
ZONE_S = 8 * 3600
RAW = b"".join(data for data, _ in encoded(FPS * 2))
"""Two seconds of camera 1 as a terminal may store them: a bare H.264 stream."""


class Asked:
    """A terminal that was asked for a recording by FTP, and the answer to come."""

    def __init__(self, doors: Doors, truck: Entry, terminal: Terminal) -> None:
        self.doors, self.truck, self.terminal = doors, truck, terminal
        self.request: FtpRequest
        self.serial = 0
        self.command = 0

    async def ask(self, agree: bool = True) -> Asked:
        properties = {"channel": 1, "from": START, "duration": 60, "method": "ftp"}
        body = [{"name": "request_video", "properties": properties, "max_attempts": 1}]
        created, errors = await self.doors.services.commands.enqueue(self.doors.master, [self.truck], body)
        assert errors == []
        self.command = int(created[0]["id"])
        frame = await self.terminal.hear(Msg.FTP_UPLOAD)
        self.serial, self.request = frame.serial, parse_ftp_request(frame.body, ZONE_S)
        self.terminal.say(Msg.T_GENERAL, b808.general(frame.serial, Msg.FTP_UPLOAD, 0 if agree else 1))
        return self

    async def said(self, ok: bool) -> None:
        """0x1206."""
        serial = self.terminal.say(Msg.FTP_DONE, struct.pack(">HB", self.serial, 0 if ok else 1))
        assert await self.terminal.acknowledged(serial) == 0

    async def login(self) -> ftplib.FTP:
        return await ftp(connected, self.request)

    async def outcome(self) -> dict[str, Any]:
        """The command's result."""
        return await result_of(self.doors, self.truck, self.command)

    async def files(self) -> list[MediaFile]:
        return await self.doors.services.media.files([self.truck])


async def result_of(doors: Doors, truck: Entry, command: int) -> dict[str, Any]:
    """The result of a command, once it is written."""
    commands = doors.services.commands
    async with asyncio.timeout(20):
        while True:
            for item in await commands.results([truck], HistoryQuery()):
                if item["id"] == command:
                    return item


async def ftp(work: Callable[..., T], *args: Any) -> T:
    """Something of ftplib, which blocks."""
    return await asyncio.to_thread(work, *args)


def connected(request: FtpRequest) -> ftplib.FTP:
    link = ftplib.FTP(timeout=20)
    link.connect(request.host, request.port)
    link.login(request.user, request.password)
    link.cwd(request.path)
    return link


def store(link: ftplib.FTP, name: str, data: bytes, rest: int | None = None, command: str = "STOR") -> str:
    return link.storbinary(f"{command} {name}", io.BytesIO(data), rest=rest)


def broken(link: ftplib.FTP, name: str, data: bytes) -> None:
    """Begin a file, and lose the data connection without an end."""
    with link.transfercmd(f"STOR {name}") as sending:
        sending.sendall(data)
        while link.size(name) != len(data):  # the reset must not overtake the bytes
            pass
        sending.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with pytest.raises(ftplib.error_temp, match="426"):
        link.getresp()


@pytest.fixture
async def doors(opened: Open) -> Doors:
    return await opened(ftp_port=free_ports(1)[0], device_media_limit=3_000_000)


@pytest.fixture
async def asked(doors: Doors) -> AsyncIterator[Asked]:
    truck = await doors.device()
    terminal = await doors.sign_in()
    yield await Asked(doors, truck, terminal).ask()
    terminal.close()


async def test_a_recording_comes_by_ftp_and_completes_its_command(asked: Asked) -> None:
    request = asked.request
    assert (request.host, request.port) == ("127.0.0.1", asked.doors.node.settings.ftp_port)
    assert 0 < len(request.user) <= 16 and request.user.isalnum() and len(request.password) <= 16
    assert (request.selection.channel, request.selection.begin, request.selection.end) == (1, START, START + 60)
    link = await asked.login()
    assert (await ftp(store, link, "CH1_20260529_042700_00.h264", RAW)).startswith("226")
    assert await ftp(link.size, "CH1_20260529_042700_00.h264") == len(RAW)
    assert await asked.files() == []  # what comes may go on until the device is done
    await asked.said(True)
    result = await asked.outcome()
    assert result["executed"], result
    clip = result["response"]
    assert clip["meta"]["type"] == "video" and clip["meta"]["channel"] == 1 and "partial" not in clip["meta"]
    assert clip["created"] == START + 20  # as its name says, in the device's time
    assert [file.command_id for file in await asked.files()] == [asked.command]
    with pytest.raises((ftplib.Error, OSError, EOFError)):
        await asked.login()  # the login ended with its request
    link.close()


async def test_several_files_and_one_without_meaning_are_all_kept(asked: Asked) -> None:
    link = await asked.login()
    for name, data in (("one.h264", RAW), ("two.h264", RAW + RAW), ("vendor.dat", b"\x00nothing known")):
        await ftp(store, link, name, data)
    await asked.said(True)
    result = await asked.outcome()
    assert result["response"]["name"].startswith("one.")
    await asked.doors.until(lambda: asked.doors.services.media.waiting == 0)
    files = {file.name.partition(".")[0]: file for file in await asked.files()}
    assert sorted(files) == ["one", "two", "vendor"]
    assert files["vendor"].kind == "other" and files["vendor"].size == 14
    assert all(file.meta["command_id"] == asked.command for file in files.values())
    link.close()


async def test_a_file_that_broke_off_is_taken_up_again(asked: Asked) -> None:
    half = len(RAW) // 2
    link = await asked.login()
    await ftp(broken, link, "a.h264", RAW[:half])
    link.close()
    link = await asked.login()  # the same login, for it is the same request
    assert await ftp(link.size, "a.h264") == half
    await ftp(store, link, "a.h264", RAW[half - 100 : half], half - 100)
    assert (await ftp(store, link, "a.h264", RAW[half:], None, "APPE")).startswith("226")
    with pytest.raises(ftplib.error_perm, match="cannot go on"):
        await ftp(store, link, "a.h264", b"x", len(RAW) + 1)
    await asked.said(True)
    assert (await asked.outcome())["executed"]
    (file,) = await asked.files()
    assert "partial" not in file.meta
    if file.name.endswith("h264"):  # without PyAV it stays as it came
        assert file.size == len(RAW)
    link.close()


async def test_a_device_that_says_nothing_is_done_after_a_while(asked: Asked) -> None:
    link = await asked.login()
    await ftp(store, link, "a.h264", RAW)
    asked.doors.clock.ahead += 31
    assert (await asked.outcome())["executed"]
    link.close()


async def test_what_broke_off_for_good_is_kept_as_a_part(asked: Asked) -> None:
    link = await asked.login()
    await ftp(broken, link, "a.h264", RAW)
    await asked.said(False)
    result = await asked.outcome()
    assert result["executed"] and result["response"]["meta"]["partial"] is True
    assert "the device reported that its upload to ftp://127.0.0.1" in result["response"]["meta"]["partial_reason"]
    link.close()


async def test_a_device_that_never_comes_is_told_where_it_was_sent(asked: Asked) -> None:
    asked.doors.clock.ahead += 121
    result = await asked.outcome()
    where = f"ftp://127.0.0.1:{asked.request.port}"
    assert result["executed"] is False and result["reason"] == f"the device did not connect to {where} within 120 s"
    assert (await asked.terminal.hear(Msg.FTP_CONTROL)).body == struct.pack(">HB", asked.serial, 2)


async def test_a_device_that_refuses_or_fails_ends_its_command(doors: Doors) -> None:
    truck = await doors.device()
    terminal = await doors.sign_in()
    refused = await Asked(doors, truck, terminal).ask(agree=False)
    assert (await refused.outcome())["reason"] == "the device answered: failed"
    failed = await Asked(doors, truck, terminal).ask()
    await failed.said(False)
    assert "the device reported that its upload to ftp://127.0.0.1" in (await failed.outcome())["reason"]
    assert not doors.services.transfers.carries(refused.command)
    terminal.close()


async def test_the_upload_goes_on_without_the_signalling_connection(asked: Asked) -> None:
    asked.terminal.close()
    await asked.doors.until(lambda: not asked.truck.view["connected"])
    link = await asked.login()
    await ftp(store, link, "a.h264", RAW)
    asked.doors.clock.ahead += 31
    assert (await asked.outcome())["executed"]
    link.close()


async def test_a_canceled_command_closes_the_door(asked: Asked) -> None:
    link = await asked.login()
    await ftp(store, link, "a.h264", RAW)
    await asked.doors.services.commands.cancel(asked.doors.master, [asked.truck], str(asked.command))
    with pytest.raises((ftplib.Error, EOFError, OSError)):
        await ftp(link.voidcmd, "NOOP")
    assert (await asked.terminal.hear(Msg.FTP_CONTROL)).body[-1] == 2
    assert await asked.files() == [] and asked.doors.services.media.quota.used(asked.truck.id) == 0


# --- hostile --------------------------------------------------------------------------------------------------------


async def test_only_the_login_of_the_request_opens(asked: Asked) -> None:
    request = asked.request
    link = ftplib.FTP(timeout=20)
    await ftp(link.connect, request.host, request.port)
    for user, password in ((request.user, "x"), ("anonymous", ""), (request.user, request.user)):
        with pytest.raises((ftplib.error_perm, ftplib.error_temp)):
            await ftp(link.login, user, password)
    with pytest.raises((EOFError, OSError)):
        await ftp(link.voidcmd, "NOOP")
    links = [await asked.login() for _ in range(4)]
    with pytest.raises(ftplib.error_perm):  # one request, a handful of connections
        await asked.login()
    for each in links:
        each.close()


async def test_names_lead_out_of_nothing(asked: Asked) -> None:
    link = await asked.login()
    names = ("../../../../etc/cron.d/x.h264", "/etc/passwd.h264", "..\\..\\win.h264", "%2e%2e%2f.h264")
    for name in names:
        await ftp(store, link, name, RAW)
    await asked.said(True)
    assert (await asked.outcome())["executed"]
    await asked.doors.until(lambda: asked.doors.services.media.waiting == 0)
    shown = sorted(file.name.rpartition(".")[0] for file in await asked.files())
    assert shown == sorted(("x", "passwd", "win", "%2e%2e%2f"))
    blobs = asked.doors.node.settings.blobs
    assert not [path for path in blobs.rglob("*") if "passwd" in path.name or path.is_symlink()]
    link.close()


async def test_more_than_the_store_takes_is_refused_and_leaves_nothing(asked: Asked) -> None:
    link = await asked.login()
    with pytest.raises((ftplib.error_perm, OSError)):
        await ftp(store, link, "big.mp4", bytes(5_000_000))
    link.close()
    await asked.said(False)
    result = await asked.outcome()
    files = await asked.files()
    assert sum(file.size for file in files) <= 3_000_000
    assert asked.doors.services.media.quota.used(asked.truck.id) == sum(file.size for file in files)
    assert result["executed"] is bool(files)


async def test_data_from_another_address_is_not_taken(asked: Asked) -> None:
    link = await asked.login()
    host, port = await ftp(link.makepasv)
    with socket.create_connection((host, port), 10, source_address=("127.0.0.2", 0)) as thief:
        thief.setblocking(False)
        with pytest.raises((ConnectionError, EOFError)):
            async with asyncio.timeout(10):
                if not await asyncio.get_running_loop().sock_recv(thief, 1):
                    raise EOFError
    with await ftp(socket.create_connection, (host, port), 10) as own:  # who asked is still waited for
        await ftp(link.putcmd, "STOR a.h264")
        assert (await ftp(link.getresp)).startswith("150")
        await ftp(own.sendall, RAW)
    assert (await ftp(link.getresp)).startswith("226")
    link.close()


async def test_half_open_connections_end_and_the_door_stays_open(asked: Asked) -> None:
    waiting = [socket.create_connection((asked.request.host, asked.request.port), 10) for _ in range(20)]
    link = await asked.login()
    await ftp(link.makepasv)  # and nobody comes
    await ftp(store, await asked.login(), "a.h264", RAW)
    for each in (*waiting, link):
        each.close()
    await asked.said(True)
    assert (await asked.outcome())["executed"]
    await asked.doors.until(lambda: not asked.doors.node.ftp.peers)
    assert asked.doors.gateway.admission.open == 1  # signalling


async def test_strangers_are_few(asked: Asked) -> None:
    where = (asked.request.host, asked.request.port)
    strangers = [await asyncio.open_connection(*where) for _ in range(64)]
    for reader, _ in strangers:
        assert (await reader.readline()).startswith(b"220")
    reader, writer = await asyncio.open_connection(*where)
    assert (await reader.read()).startswith(b"421")
    for _, each in strangers:
        each.close()
    writer.close()
    await asked.doors.until(lambda: not asked.doors.node.ftp.peers)
    (await asked.login()).close()


async def test_data_ports_stay_in_their_range(opened: Open) -> None:
    first = free_ports(1)[0]
    doors = await opened(ftp_port=free_ports(1)[0], ftp_passive_ports=f"{first}-{first}")
    truck = await doors.device()
    terminal = await doors.sign_in()
    asked = await Asked(doors, truck, terminal).ask()
    one, two = await asked.login(), await asked.login()
    assert (await ftp(one.makepasv))[1] == first
    with pytest.raises(ftplib.error_temp, match="425"):
        await ftp(two.makepasv)
    one.close()
    two.close()
    terminal.close()


async def test_without_a_port_the_method_is_refused_in_words(opened: Open) -> None:
    doors = await opened()
    truck = await doors.device()
    terminal = await doors.sign_in()
    body = [{"name": "request_video", "properties": {"channel": 1, "from": START, "duration": 5, "method": "ftp"}}]
    created, _ = await doors.services.commands.enqueue(doors.master, [truck], body)
    assert "set ftp_port" in (await result_of(doors, truck, int(created[0]["id"])))["reason"]
    terminal.close()
