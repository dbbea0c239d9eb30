"""What bad people send, as data: names, selectors, bodies, heads, frames, files."""

from __future__ import annotations

import gzip
import io
import re
import struct
import zlib

from PIL import Image

from .test_crash import photo

# --- names and paths --------------------------------------------------------------------------------------------------

NAMES = (
    "../../etc/passwd", "..\\..\\windows", "%2e%2e%2f%2e%2e%2fetc", "/etc/passwd", "C:\\x", "~root", "-rf", "a/b/c",
    "\u202egpj.exe", "\u2066isolated\u2069", "e\u0301\u0327" * 20, "\U0001f69a" * 40, "'; DROP TABLE devices; --",
    '{name=="x"}', "all", "1,2", "${jndi:ldap://x}", "{{7*7}}", "%s%n%d", "<script>alert(1)</script>", " ", "\u2028",
)  # fmt: skip
BAD_NAMES = ("a\0b", "\x1b[2Jcleared", "line\nbreak", "\x7f", "\x9b31m", "x" * 256, "x" * 1_000_000)

SEGMENTS = (
    "..%2f..%2f..%2fetc%2fpasswd", "%2e%2e%2f", "..", "%2e%2e", ".", "%00", "1%00", "name=%00", "%0d%0aX-Evil:%201",
    "%E2%80%AEname=a", "name=%E2%80%AE*", "%FF%FE", "%C0%AE%C0%AE%2f", "%ED%A0%80", "%u002e", "%", "%2", "%zz",
    "name=" + "x" * 30_000, "x" * 30_000, "1," * 10_000 + "1", "9" * 5000, "9223372036854775808", "-1", "1e3", "0x10",
    "1%20OR%201=1", "1;DROP%20TABLE%20devices", "name=x'%20OR%20'1'='1", "name=*)%20UNION%20SELECT%20*", "name='%22%60",
    "%7Bname==%22x'%20OR%201==1%22%7D", "%7B__import__(%22os%22)%7D", "%7Bname.__class__.__mro__%7D",
    "%7Bexec(%22x%22)%7D", "%7B" + "(" * 5000 + "1" + ")" * 5000 + "%7D", "%7B" + "!" * 20_000 + "1%7D",
    "%7B" + "1%2B" * 10_000 + "1%7D", "%7B9e999==9e999%7D", "%7B1%2F0==1%7D", "%7B-9223372036854775808%25-1==0%7D",
    "name=" + "*a" * 200, "%7Bname~%22" + "*a" * 200 + "b%22%7D", "%7Btonumber(%22" + "9" * 10_000 + "%22)==1%7D",
    "%7Blen(name)%3E0?1:%7D", "groups.id=1%20OR%201", "telemetry.a.b.c.d=1", "=", "==", "name=", "=x", "{}", "%7B%7D",
)  # fmt: skip

# --- JSON -------------------------------------------------------------------------------------------------------------

BODIES: tuple[bytes, ...] = (
    b"[" * 100_000, b'{"a":' * 100_000, b"[" * 400 + b"]" * 400, b'{"name":"x"', b'\xff\xfe{"a":1}', b'"\\ud800"',
    b'[{"name":"\\ud800x"}]', b"9" * 100_000, b"1e400", b"-1e400", b"NaN", b"Infinity", b"null", b"true", b'"text"',
    b"[null]", b"[[]]", b"[1,2]", b"{}" * 1000, b"[" + b"{}," * 100_000 + b"{}]", b'{"' + b"k" * 1_000_000 + b'":1}',
    b'{"id":1,"cid":99,"name":"x"}', b'{"__class__":"x","name":1}', b'{"name":{"$gt":""}}', b'{"metadata":[1]}',
    gzip.compress(b'[{"name":"zipped"}]'), b"\0" * 1000,
)  # fmt: skip

NUMBERS = ("1e308", "-1e308", "18446744073709551616", "123456789012345678901234567890", "-9223372036854775809",
           "4.9e-324", "0.1e-400", "1" + "0" * 300, "9007199254740993")  # fmt: skip

# --- HTTP and WebSocket -----------------------------------------------------------------------------------------------

HEADS = (
    (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: b\r\n" * 20_000 + b"\r\n", (b"431", b"400", b"")),
    (b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", (b"431", b"400", b"414", b"")),
    (b"GET / HTTP/1.1\r\nAuthorization: " + b"k" * 70_000 + b"\r\n\r\n", (b"431", b"400", b"")),
    (b"GET /gw/devices/all HTTP/1.1\r\nConnection: close\r\nAuthorization: " + b"k" * 30_000 + b"\r\n\r\n", (b"401",)),
    (b"POST /gw/devices HTTP/1.1\r\nContent-Length: -1\r\nConnection: close\r\n\r\n", (b"400", b"")),
    (b"POST /gw/devices HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\nConnection: close\r\n\r\n", (b"4", b"")),
    (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\nConnection: close\r\n\r\n0\r\n\r\n",
     (b"4", b"")),
    (b"GET / HTTP/9.9\r\n\r\n", (b"400", b"505", b"")),
    (b"\x16\x03\x01\x02\x00\x01\x00", (b"400", b"")),
    (b"BREW / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", (b"4", b"")),
    (b"GET /gw/devices/all HTTP/1.1\r\nHost: x\r\nX-A: b\r\n continued\r\nConnection: close\r\n\r\n", (b"4", b"")),
    (b"GET http://169.254.169.254/latest HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", (b"4", b"")),
    (b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", (b"4", b"")),
)  # fmt: skip

SECOND = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
SMUGGLED = (
    b"Content-Length: 60\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    b"Content-Length: 2\r\nContent-Length: 5\r\n\r\n[]xyz", b"Content-Length: 2, 2\r\n\r\n[]",
    b"Content-Length: +2\r\n\r\n[]", b"Content-Length: 0x2\r\n\r\n[]",
    b"Transfer-Encoding: chunked\r\n\r\n2\n[]\n0\n\n",
    b"Transfer-Encoding: chunked\r\n\r\n10000000000000002\r\n[]\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n-2\r\n[]\r\n0\r\n\r\n", b"X-A: a\0b\r\nContent-Length: 0\r\n\r\n",
    b"X-A: a\rContent-Length: 0\r\n\r\n",
)  # fmt: skip
"""Requests that two servers in a row would cut at different places."""

HALF = (
    ("http", b""), ("http", b"GET / HTTP/1.1\r\nX-A: "), ("gallery", b""),
    ("gallery", b"POST /api/auth/login HTTP/1.1\r\n"), ("http", b"\r\n" * 100), ("https", b"GET / HTTP/1.1\r\n"),
)  # fmt: skip
UNSHAKEN = (
    ("https", b""),
    ("https", b"\x16\x03\x01\x02\x00"),
    ("mqtts", b""),
    ("mqtts", b"\x16\x03\x01"),
    ("mqtt_wss", b"\x16"),
)


def frame(op: int, data: bytes, bits: int = 0x80, length: int | None = None) -> bytes:
    """A masked frame (RFC 6455 5.2) that may claim another length."""
    size = len(data) if length is None else length
    return struct.pack(">BBQ4x", bits | op, 0xFF, size) + data


def deflated(size: int) -> bytes:
    packer = zlib.compressobj(9, wbits=-15)
    return (packer.compress(bytes(size)) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


FRAMES = {
    "unmasked": b"\x82\x01x", "reserved": frame(2, b"x", 0xF0), "too long": frame(2, b"x" * 100, length=1 << 62),
    "long ping": frame(9, b"x" * 1000),
    "text": frame(1, b"hello"), "large": frame(2, bytes(5 << 20)), "no first": frame(0, b"x"),
    "unknown": frame(15, b""), "bomb": frame(2, deflated(200 << 20), 0xC0), "no MQTT": frame(2, b"\0\0"),
}  # fmt: skip

# --- files ------------------------------------------------------------------------------------------------------------

SCRIPT = b"<script>fetch('/gw/devices/all')</script>"
JPEG = photo(1)
RUN = (
    "text/html", "image/svg+xml", "application/xhtml+xml", "text/xml", "application/xml", "text/javascript",
    "application/javascript", "text/css", "multipart/related",
)  # fmt: skip
"""Types in which a browser runs something."""

UPLOADS = (
    ("page.html", b"<!doctype html><html>" + SCRIPT),
    ("page.xhtml", b'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml">' + SCRIPT),
    ("drawing.svg", b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)">' + SCRIPT + b"</svg>"),
    ("drawing.svg", b'\xef\xbb\xbf<?xml version="1.0"?><!-- x --><svg xmlns="http://www.w3.org/2000/svg"/>'),
    ("photo.jpg", b"<html>" + SCRIPT),
    ("photo.jpg", JPEG[:-2] + SCRIPT + JPEG[-2:]),
    ("photo.html", JPEG + SCRIPT),
    ("clip.mp4", b"<html>" + SCRIPT),
    ("gif.html", b"GIF89a/*" + SCRIPT + b"*/=1;alert(1)"),
    ("script.js", b"alert(1)"),
    ("style.css", b"body{}"),
    ("feed.xml", b"<?xml version='1.0'?><?xml-stylesheet href='x.xsl'?><a/>"),
    ("page.mht", b"MIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n" + SCRIPT),
    ("app.swf", b"FWS\x06" + bytes(100)),
    ("doc.pdf", b"%PDF-1.4\n1 0 obj<</OpenAction<</S/JavaScript/JS(app.alert(1))>>>>endobj"),
)
"""Names and contents that a browser might run."""


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *more: bytes) -> bytes:
    """A PNG that claims a size, of zeros as far as they go."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(4 << 20), 9)
    return (
        b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + b"".join(more) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")
    )


def animated() -> bytes:
    """A GIF of many large frames that take next to nothing."""
    frames = [Image.new("P", (4000, 4000), number % 2) for number in range(20)]
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    return out.getvalue()


def mp4_of_years() -> bytes:
    """An MP4 whose header claims thirty years of pictures."""
    mvhd = struct.pack(">IIIIIII", 0, 0, 0, 1000, 0xFFFFFFFE, 0x10000, 0x01000000) + bytes(68) + struct.pack(">I", 2)

    def box(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data) + 8) + kind + data

    return box(b"ftyp", b"isom\0\0\2\0isomiso2mp41") + box(b"moov", box(b"mvhd", mvhd)) + box(b"mdat", bytes(100))


BOMBS = {
    "wide.png": png(60_000, 60_000),
    "long.png": png(1, 2**31 - 1),
    "text.png": png(10, 10, _chunk(b"zTXt", b"c\0\0" + zlib.compress(bytes(64 << 20), 9))),
    "profile.png": png(10, 10, _chunk(b"iCCP", b"c\0\0" + zlib.compress(bytes(64 << 20), 9))),
    "many.gif": animated(),
    "wide.gif": b"GIF89a\xff\xff\xff\xff\x00\x00\x00,\0\0\0\0\xff\xff\xff\xff\x00\x08\x01\x01\x00;",
    "wide.bmp": b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0),
    "wide.jpg": re.sub(rb"(\xff\xc0\x00\x11\x08)....", lambda found: found[1] + b"\xff" * 4, photo(2), flags=re.DOTALL),
    "years.mp4": mp4_of_years(),
    "zip.zip": b"PK\x03\x04" + zlib.compress(bytes(16 << 20), 9),
}  # fmt: skip
