"""The FTP control connection as lines in and lines out."""

from __future__ import annotations

from typing import Any

import pytest

from wayframe.intake.ftp_session import MAX_LINE, Abort, Close, FtpSession, OpenPassive, Receive

SIZES = {"/a/b.mp4": 7, "/x.h264": 0}


class Box:
    """A folder with files of known sizes."""

    def size(self, name: str) -> int | None:
        return SIZES.get(name)


def opened(*, logged_in: bool = True) -> FtpSession:
    """A session behind its greeting, and its login."""
    session = FtpSession(lambda user, password: Box() if (user, password) == ("u", "p w") else None)
    assert session.data_to_send() == b"220 Ready.\r\n"
    if logged_in:
        assert codes(session, b"USER u\r\nPASS p w\r\n") == [331, 230]
    return session


def codes(session: FtpSession, data: bytes) -> list[int]:
    """The reply codes to some bytes."""
    session.receive(data)
    return [int(line[:3]) for line in session.data_to_send().split(b"\r\n") if line[:3].isdigit() and line[3:4] == b" "]


def told(session: FtpSession, line: str) -> Any:
    """The single event of a line that is not answered yet."""
    session.data_to_send()
    session.receive(line.encode() + b"\r\n")
    assert session.data_to_send() == b""
    (event,) = session.events()
    return event


def test_nothing_but_a_login_is_taken_before_one() -> None:
    session = opened(logged_in=False)
    for line in ("PWD", "CWD /", "STOR x", "APPE x", "PASV", "EPSV", "SIZE x", "MKD x", "TYPE I", "REST 5", "ABOR"):
        assert codes(session, line.encode() + b"\r\n") == [530], line
    assert codes(session, b"SYST\r\nFEAT\r\nNOOP\r\nOPTS UTF8 ON\r\n") == [215, 211, 200, 200]
    assert session.events() == []


def test_three_wrong_logins_end_it() -> None:
    session = opened(logged_in=False)
    assert codes(session, b"PASS x\r\n") == [503]
    wrong = b"USER u\r\nPASS wrong\r\n"
    assert codes(session, wrong * 4 + b"USER u\r\nPASS p w\r\n") == [331, 530, 331, 530, 331, 421]
    assert session.events() == [Close("wrong logins")]


def test_a_second_login_replaces_the_first() -> None:
    session = opened()
    assert codes(session, b"USER other\r\nPWD\r\nPASS x\r\nPWD\r\n") == [331, 530, 530, 530]


@pytest.mark.parametrize(
    "line",
    ["LIST", "NLST", "MLSD", "MLST", "RETR a", "DELE a", "RNFR a", "RNTO b", "RMD a", "PORT 127,0,0,1,1,1",
     "EPRT |1|127.0.0.1|257|", "SITE CHMOD 777 a", "STAT", "STOU", "AUTH TLS", "REIN", "MDTM a", "", "\x00",
     "GET / HTTP/1.1"],
)  # fmt: skip
def test_what_an_upload_does_not_need_is_not_offered(line: str) -> None:
    session = opened()
    assert codes(session, line.encode() + b"\r\n") == [502]
    assert session.events() == []


@pytest.mark.parametrize(
    ("folder", "name", "wanted"),
    [
        ("/", "a.mp4", "/a.mp4"), ("/abc", "a.mp4", "/abc/a.mp4"), ("abc/d", "a b.mp4", "/abc/d/a b.mp4"),
        ("/abc", "/d/a.mp4", "/d/a.mp4"), ("/abc", "../../../etc/passwd", "/etc/passwd"),
        ("/../..", "..\\..\\a.mp4", "/a.mp4"), ("//a//./b/", "./c//d", "/a/b/c/d"), ("/", "~root", "/~root"),
        ("/", "画面.mp4", "/画面.mp4"), ("/", "-rf; $(x) %2e%2e", "/-rf; $(x) %2e%2e"),
    ],
)  # fmt: skip
def test_names_are_words_and_lead_nowhere_else(folder: str, name: str, wanted: str) -> None:
    session = opened()
    assert codes(session, f"CWD {folder}\r\n".encode()) == [250]
    assert told(session, f"STOR {name}") == Receive(wanted, 0)


def test_folders_are_always_there() -> None:
    session = opened()
    session.receive(b'MKD a"b\r\nCWD a"b\r\nPWD\r\nCDUP\r\nXPWD\r\n')
    replies = session.data_to_send().decode().splitlines()
    assert replies == ['257 "/a""b" is there.', "250 Done.", '257 "/a""b" is the folder.', "250 Done.",
                       '257 "/" is the folder.']  # fmt: skip


@pytest.mark.parametrize("name", ["a" * 600, "a\x07b", "/".join("abcdefghijklmnopq"), "/", "..", "."])
def test_names_that_are_none(name: str) -> None:
    session = opened()
    assert codes(session, f"STOR {name}\r\n".encode()) == [553]
    assert session.events() == []


def test_names_in_the_terminals_own_encoding() -> None:
    session = opened()
    session.receive("STOR 画面.mp4\r\n".encode("gb18030"))
    assert session.events() == [Receive("/画面.mp4", 0)]


def test_where_a_file_goes_on() -> None:
    session = opened()
    assert codes(session, b"SIZE a/b.mp4\r\nSIZE /x.h264\r\nSIZE nosuch\r\n") == [213, 213, 550]
    assert codes(session, b"REST 7\r\n") == [350]
    assert told(session, "STOR a/b.mp4") == Receive("/a/b.mp4", 7)
    session.received("226 Taken.")
    assert told(session, "STOR a/b.mp4") == Receive("/a/b.mp4", 0)  # REST holds for one file
    session.received("426 Gone.")
    assert told(session, "APPE a/b.mp4") == Receive("/a/b.mp4", None)
    for wrong in ("-1", "x", "1" * 20, "²"):
        assert codes(opened(), f"REST {wrong}\r\n".encode()) == [501]


def test_while_a_file_comes_only_little_is_taken() -> None:
    session = opened()
    told(session, "STOR a")
    assert codes(session, b"NOOP\r\nSTOR b\r\nPASV\r\nUSER x\r\nSIZE a/b.mp4\r\n") == [200, 450, 450, 450, 213]
    assert told(session, "ABOR") == Abort()
    session.received("426 Aborted.\r\n226 Done.")
    assert codes(session, b"ABOR\r\n") == [426, 226, 226]
    assert told(session, "STOR b") == Receive("/b", 0)


def test_lines_wait_until_the_door_listens() -> None:
    session = opened()
    session.receive(b"EPSV\r\nSTOR a\r\nSTOR b\r\n")
    assert session.events() == [OpenPassive(extended=True)]
    assert session.data_to_send() == b""
    session.passive("", 50123, extended=True)
    assert session.data_to_send().startswith(b"229 Entering extended passive mode (|||50123|).\r\n450 ")
    assert session.events() == [Receive("/a", 0)]
    plain = opened()
    assert told(plain, "PASV") == OpenPassive(extended=False)
    plain.passive("198.51.100.7", 0x1234, extended=False)
    assert b"(198,51,100,7,18,52)" in plain.data_to_send()
    assert codes(plain, b"EPSV ALL\r\n") == [200]


@pytest.mark.parametrize("opening", [False, True])
def test_what_never_ends_is_cut_off(opening: bool) -> None:
    session = opened()
    if opening:
        told(session, "PASV")
    for _ in range(10):
        session.receive(b"x" * MAX_LINE)
    assert codes(session, b"") == [500]
    assert session.events() == [Close("a command that is too long")]


@pytest.mark.parametrize("size", [1, 2, 5])
def test_bytes_may_come_in_any_pieces(size: int) -> None:
    session = opened()
    text = b"CWD /a\nTYPE I\r\n\xff\xf4\xff\xf2SIZE b.mp4\r\nQUIT\r\nPWD\r\n"
    found = [code for at in range(0, len(text), size) for code in codes(session, text[at : at + size])]
    assert found == [250, 200, 213, 221]
    assert session.events() == [Close("the device said goodbye")]
