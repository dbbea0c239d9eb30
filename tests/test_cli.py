"""The `wayframe` command against a server that speaks the REST contract: what it sends, prints and how it fails."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from multipart import MultipartParser

from wayframe.cli import main
from wayframe.config import Settings, env_name
from wayframe.model import Account, Token
from wayframe.storage import AccountTable, Database, TokenTable
from wayframe.storage.secret import digest, load_or_create, seal

KEY = "k" * 64


@dataclass
class Call:
    """One request a server got."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Server:
    """A server with answers prepared: `(method, path without query)` → status and body."""

    url: str = ""
    answers: dict[tuple[str, str], tuple[int, Any]] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)

    def take(self, call: Call) -> tuple[int, bytes]:
        self.calls.append(call)
        found = self.answers.get((call.method, call.path.partition("?")[0]))
        status, body = found or (404, {"errors": [{"code": 404, "reason": f"no {call.path}"}]})
        return status, body if isinstance(body, bytes) else json.dumps(body).encode()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, body = server.take(Call(self.command, self.path, headers, self.rfile.read(length)))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = _answer

        def log_message(self, format: str, *args: Any) -> None:
            """Keep quiet."""

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    server.url = f"http://127.0.0.1:{listener.server_port}"
    yield server
    listener.shutdown()
    thread.join()
    listener.server_close()


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(env_name(name), raising=False)
    for name in ("WAYFRAME_CONFIG", "WAYFRAME_URL", "WAYFRAME_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@dataclass(frozen=True)
class Done:
    """What a command left."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: str) -> Done:
        code: Any = 0
        try:
            main(list(arguments))
        except SystemExit as ended:
            code = ended.code or 0
        out, err = capsys.readouterr()
        return Done(code, out, err)

    return run


def test_a_token_is_made_and_only_its_key_printed(run: Any, server: Server) -> None:
    server.answers["POST", "/platform/tokens"] = 200, {"result": [{"id": 7, "key": KEY}]}
    done = run("token", "create", "--info", "app", "--ttl", "3600", "--url", server.url, "--token", "x" * 64)
    assert done == Done(0, f"{KEY}\n", "")
    (call,) = server.calls
    assert call.json == [{"info": "app", "ttl": 3600, "access": {"type": 0}}]
    assert call.headers["authorization"] == f"FlespiToken {'x' * 64}"


def test_address_and_token_come_from_the_environment(run: Any, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAYFRAME_URL", f"{server.url}/")
    monkeypatch.setenv("WAYFRAME_TOKEN", KEY)
    server.answers["GET", "/platform/tokens/all"] = 200, {"result": [{"id": 7, "info": "app", "access": {"type": 1}}]}
    done = run("token", "list")
    assert done.out.splitlines()[1].split() == ["7", "master", "enabled", "never", "app"]
    assert json.loads(run("token", "list", "--json").out) == [{"id": 7, "info": "app", "access": {"type": 1}}]


def test_a_token_is_revoked(run: Any, server: Server) -> None:
    server.answers["DELETE", "/platform/tokens/7"] = 200, {"result": [{"id": 7}]}
    assert run("token", "revoke", "7", "--url", server.url, "--token", KEY) == Done(0, "token 7 is revoked\n", "")


def test_a_device_is_added_by_the_name_of_its_type(run: Any, server: Server) -> None:
    server.answers["GET", "/gw/channel-protocols/all/device-types/all"] = (
        200,
        {"result": [{"id": 1, "name": "tracker"}, {"id": 5, "name": "mdvr", "features": {"video": True}}]},
    )
    server.answers["POST", "/gw/devices"] = 200, {"result": [{"id": 101, "name": "Van"}]}
    options = ("--url", server.url, "--token", KEY)
    assert run("device", "add", "0138", "--name", "Van", "--type", "mdvr", *options).out == (
        "device 101 (Van) is registered\n"
    )
    assert server.calls[-1].json == [{"name": "Van", "device_type_id": 5, "configuration": {"ident": "0138"}}]
    unknown = run("device", "add", "0138", "--type", "boat", *options)
    assert (unknown.code, unknown.err) == (2, "wayframe: no device type 'boat'; there are: tracker (1), mdvr (5)\n")


def test_a_selector_travels_as_one_path_segment(run: Any, server: Server) -> None:
    path = "/gw/devices/%7Bname%3D%3D%22a%2Fb%22%7D"
    server.answers["GET", path] = 200, {"result": [{"id": 1, "name": "a/b", "configuration": {"ident": "9"}}]}
    done = run("device", "list", '{name=="a/b"}', "--url", server.url, "--token", KEY)
    assert done.out.splitlines()[1].split() == ["1", "9", "away", "never", "a/b"]


@pytest.mark.parametrize(
    ("name", "options", "about"),
    [
        ("a.mp4", [], {"type": "video", "meta": {"channel": 1}}),
        ("a.JPG", ["--channel", "3"], {"type": "image", "meta": {"channel": 3}}),
        ("card.ddd", ["--created", "1775000000.5"], {"type": "tacho", "meta": {"created": 1775000000.5}}),
        (
            "a.bin",
            ["--type", "video", "--created", "2026-03-31T23:33:20Z"],
            {"type": "video", "meta": {"channel": 1, "created": 1775000000.0}},
        ),
    ],
)
def test_an_upload_carries_file_and_data(
    run: Any, server: Server, tmp_path: Path, name: str, options: list[str], about: dict[str, Any]
) -> None:
    content = bytes(range(256)) * 1000
    (tmp_path / name).write_bytes(content)
    server.answers["POST", "/gw/devices/101/media"] = 200, {"result": [{"uuid": "AB", "url": "http://x/media/AB"}]}
    done = run("upload", name, "--device", "101", *options, "--url", server.url, "--token", KEY)
    assert done == Done(0, "http://x/media/AB\n", "")
    parts = {part.name: part for part in _parts(server.calls[0])}
    assert list(parts) == ["file", "data"]
    assert (parts["file"].filename, parts["file"].raw) == (name, content)
    assert json.loads(parts["data"].raw) == about


def _parts(call: Call) -> list[Any]:
    boundary = call.headers["content-type"].partition("boundary=")[2]
    return list(MultipartParser(io.BytesIO(call.body), boundary, content_length=len(call.body)))


def test_no_server_says_how_to_start_one(run: Any, unused_port: int) -> None:
    done = run("device", "list", "--url", f"http://127.0.0.1:{unused_port}", "--token", KEY)
    assert done.code == 1
    assert done.err.startswith(f"wayframe: no server answers at http://127.0.0.1:{unused_port}. Start it with")
    assert done.err.count("\n") == 1


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A port that is bound and not listened on: nobody answers there."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (404, {"errors": [{"code": 404, "reason": "no device 9"}]}, "no device 9"),
        (
            401,
            {"errors": [{"code": 401, "reason": "unknown token"}]},
            "unknown token (check --token or WAYFRAME_TOKEN)",
        ),
        (200, {"result": [], "errors": [{"reason": "a"}, {"reason": "b"}]}, "a; b"),
        (502, b"<html>bad gateway</html>", "{url} answered 502 without JSON; is that a Wayframe server?"),
    ],
)
def test_a_refusal_is_one_line(run: Any, server: Server, status: int, body: Any, said: str) -> None:
    server.answers["GET", "/gw/devices/9"] = status, body
    done = run("device", "list", "9", "--url", server.url, "--token", KEY)
    assert done == Done(1, "", f"wayframe: {said.format(url=server.url)}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["upload", "missing.mp4", "--device", "1", "--token", KEY],
        ["upload", __file__, "--device", "1", "--created", "yesterday", "--token", KEY],
        ["token", "create", "--type", "root", "--token", KEY],
        ["device", "list", "--url", "ftp://x", "--token", KEY],
        ["token", "revoke", "abc"],
        ["unheard-of"],
        ["settings", "--config", "missing.toml"],
    ],
)
def test_wrong_use_ends_with_two(run: Any, arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.code == 2
    assert done.err


def test_without_a_token_this_machines_own_is_taken(
    run: Any, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAYFRAME_HTTP_HOST", "127.0.0.1")
    monkeypatch.setenv("WAYFRAME_HTTP_PORT", server.url.rpartition(":")[2])
    server.answers["GET", "/gw/devices/all"] = 200, {"result": []}
    missing = run("device", "list")
    assert missing.code == 1
    assert "data/secret is missing" in missing.err
    run("migrate")
    tokens = [
        (KEY, {"accessed": 10.0, "ttl": 10**10, "access": {"type": 1}}),
        ("d" * 64, {"accessed": 20.0, "ttl": 10**10, "access": {"type": 1}, "enabled": False}),
        ("e" * 64, {"accessed": 20.0, "ttl": 60, "access": {"type": 1}}),
        ("s" * 64, {"accessed": 20.0, "ttl": 10**10, "access": {"type": 0}}),
        ("i" * 64, {"accessed": 20.0, "ttl": 10**10, "access": {"type": 1}, "ips": "192.0.2.1"}),
    ]
    asyncio.run(_store(Settings(), tokens))
    assert run("device", "list").code == 0
    assert server.calls[-1].headers["authorization"] == f"FlespiToken {KEY}"


async def _store(settings: Settings, tokens: list[tuple[str, dict[str, Any]]]) -> None:
    """An account with these tokens, sealed as the node seals them."""
    secret = load_or_create(settings.secret_file)
    database = Database(settings.database)
    await database.open()
    await AccountTable(database).insert(Account(id=1))
    for key, fields in tokens:
        plain = key.encode()
        sealed = Token(id=0, cid=1, digest=digest(secret, plain), sealed=seal(secret, plain), **fields)
        await TokenTable(database).insert(sealed)
    await database.close()


def test_this_machines_token_goes_nowhere_else(run: Any) -> None:
    done = run("device", "list", "--url", "http://192.0.2.1:8080")
    assert (done.code, done.err) == (
        2,
        "wayframe: a token for http://192.0.2.1:8080 is wanted: name it with --token or WAYFRAME_TOKEN\n",
    )


def test_settings_show_value_and_origin(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("wayframe.toml").write_text('live_idle_s = "2 min"\n')
    monkeypatch.setenv("WAYFRAME_DATABASE_URL", "postgresql://wayframe:hush@db/x")
    lines = {line.split()[0]: line.split("=", 1)[1].split("  ") for line in run("settings").out.splitlines()}
    shown = {name: [word.strip() for word in words if word.strip()] for name, words in lines.items()}
    assert shown["live_idle_s"] == ["2 min", "file wayframe.toml:live_idle_s"]
    assert shown["database_url"] == ["postgresql://wayframe:***@db/x", "environment WAYFRAME_DATABASE_URL"]
    assert shown["http_port"] == ["8080", "default"]
    described = {item["name"]: item for item in json.loads(run("settings", "--json").out)}
    assert described["live_idle_s"]["value"] == 120
    assert "hush" not in json.dumps(described)


def test_a_wrong_setting_is_one_line_and_two(run: Any) -> None:
    Path("wayframe.toml").write_text("htpp_port = 1\n")
    assert run("settings") == Done(
        2, "", "wayframe: wayframe.toml: unknown key 'htpp_port', did you mean 'http_port'?\n"
    )


def test_migrate_makes_the_schema_once(run: Any, tmp_path: Path) -> None:
    assert "went from revision none to revision" in run("migrate").out
    assert (tmp_path / "data" / "wayframe.db").is_file()
    assert "is up to date at revision" in run("migrate").out


def test_a_backup_comes_back_elsewhere(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAYFRAME_HTTP_PORT", "0")
    assert run("backup").err.startswith("wayframe: no database at")
    run("migrate")
    asyncio.run(_store(Settings(), [(KEY, {"ttl": 1})]))
    assert "rows and 0 files" in run("backup", "saved.tar").out
    assert (tmp_path / "saved.tar").stat().st_mode & 0o077 == 0
    assert "there already" in run("backup", "saved.tar").err
    assert "without files" in run("backup", "--no-files").out
    assert len(list((tmp_path / "data" / "backups").iterdir())) == 1

    refused = run("restore", "saved.tar")
    assert (refused.code, refused.err.count("\n")) == (1, 1)
    assert "--replace" in refused.err
    assert run("restore", "saved.tar", "--replace").code == 0

    monkeypatch.setenv("WAYFRAME_DATA_DIR", "elsewhere")
    assert run("restore", "saved.tar").out.startswith("restored ")
    assert (tmp_path / "elsewhere/secret").read_bytes() == (tmp_path / "data/secret").read_bytes()
    assert run("restore", "wayframe.toml").code == 2
    (tmp_path / "text").write_text("no tar at all")
    assert run("restore", "text").code == 1


def test_nothing_is_restored_under_a_running_server(
    run: Any, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAYFRAME_HTTP_HOST", "127.0.0.1")
    monkeypatch.setenv("WAYFRAME_HTTP_PORT", server.url.rpartition(":")[2])
    server.answers["GET", "/auth/regions"] = 200, {"result": []}
    (tmp_path / "saved.tar").touch()
    assert run("restore", "saved.tar").err == f"wayframe: the server at {server.url} is running; stop it first\n"


def test_a_certificate_is_made_and_named(run: Any, tmp_path: Path) -> None:
    done = run("tls", "init", "--name", "video.example.com", "--name", "192.0.2.7", "--json")
    made = json.loads(done.out)
    assert {"localhost", "127.0.0.1", "video.example.com", "192.0.2.7"} <= set(made["names"])
    assert Path(made["authority"]).read_text().startswith("-----BEGIN CERTIFICATE-----")
    said = run("tls", "init").out
    assert "video.example.com" in said and made["authority"] in said, "names stay"


def test_a_certificate_of_somebody_else_is_left_alone(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAYFRAME_TLS_CERTIFICATE", "/etc/cert.pem")
    monkeypatch.setenv("WAYFRAME_TLS_KEY", "/etc/key.pem")
    done = run("tls", "init")
    assert done.code == 1 and "tls_certificate" in done.err


def test_a_name_that_is_none_makes_no_certificate(run: Any) -> None:
    assert run("tls", "init", "--name", "https://x") == Done(
        1, "", "wayframe: 'https://x' is no host name and no IP address\n"
    )


def test_the_installed_command_runs() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "wayframe"), "--version"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip()
