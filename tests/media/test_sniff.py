"""Files are recognised by content, and nothing executable is served as such."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wayframe.media import AccessUnit, sniff

CASES = {
    "jpg": b"\xff\xd8\xff\xe0\x00\x10JFIF",
    "png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
    "gif": b"GIF89a\x01\x00",
    "webp": b"RIFF\x10\x00\x00\x00WEBPVP8 ",
    "bmp": b"BM\x00\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00\x00\x00",
    "mp4": b"\x00\x00\x00\x18ftypisom",
    "mov": b"\x00\x00\x00\x14ftypqt  ",
    "3gp": b"\x00\x00\x00\x14ftyp3gp5",
    "m4a": b"\x00\x00\x00\x14ftypM4A ",
    "avi": b"RIFF\x10\x00\x00\x00AVI LIST",
    "wav": b"RIFF\x10\x00\x00\x00WAVEfmt ",
    "mkv": b"\x1a\x45\xdf\xa3\x01\x42\x82\x88matroska",
    "webm": b"\x1a\x45\xdf\xa3\x01\x42\x82\x84webm",
    "ts": (b"\x47" + bytes(187)) * 3,
    "flv": b"FLV\x01\x05\x00\x00\x00\x09",
    "mpg": b"\x00\x00\x01\xba\x44",
    "mp3": b"ID3\x04\x00\x00",
    "aac": b"\xff\xf1\x6c\x40\x10\x1f\xfc\x00",
    "amr": b"#!AMR\n\x3c",
    "ogg": b"OggS\x00\x02",
    "pdf": b"%PDF-1.7\n",
    "zip": b"PK\x03\x04\x14\x00",
    "txt": b"time;speed\n12:00;50\n",
    "bin": b"\x00\x01\x02\x03\x04\x05\x06\x07\x08",
}


@pytest.mark.parametrize(("extension", "head"), CASES.items())
def test_known_files(extension: str, head: bytes) -> None:
    assert sniff(head).extension == extension


def test_raw_streams(h264: list[AccessUnit], h265: list[AccessUnit]) -> None:
    assert sniff(h264[0].data[:1024]).mime == "video/h264"
    assert sniff(h265[0].data[:1024]).mime == "video/h265"


@pytest.mark.parametrize(
    "markup",
    [
        b"<html><script>alert(1)</script>",
        b"  \n<!DOCTYPE html>",
        b"<svg xmlns='x'/>",
        b"\xef\xbb\xbf<?xml version='1.0'?>",
    ],
)
def test_markup_is_only_bytes(markup: bytes) -> None:
    assert sniff(markup).mime == "application/octet-stream"


@given(st.binary(max_size=1024))
def test_never_raises(head: bytes) -> None:
    assert "html" not in sniff(head).mime
