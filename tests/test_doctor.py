"""`wayframe doctor`: what stands in the way is found, and what to do is said."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path

import pytest

from wayframe.certificates import LocalAuthority
from wayframe.cli import main
from wayframe.config import PORTS, Settings, env_name, load
from wayframe.doctor import Check, State, examine


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings of the machine that runs the tests; every port free to take."""
    for name in Settings.model_fields:
        monkeypatch.delenv(env_name(name), raising=False)
    for port in PORTS:
        monkeypatch.setenv(env_name(port.setting), "0")
    monkeypatch.delenv("WAYFRAME_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)


def checks(name: str) -> list[Check]:
    return [check for check in examine(load()) if check.name == name]


def test_a_bare_machine_is_ready() -> None:
    found = list(examine(load()))
    assert {check.name for check in found} >= {
        "settings", "data folder", "media folder", "database", "secret", "port 0", "address of links",
        "address devices are told", "clock", "open files", "codecs", "web pages",
    }  # fmt: skip
    assert [check for check in found if check.state is State.FAIL] == []
    assert all(check.advice for check in found if check.state is not State.OK)
    assert not Path("data").exists(), "looking changes nothing"


def test_a_taken_port(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen(1)
        port = other.getsockname()[1]
        monkeypatch.setenv("WAYFRAME_JT808_PORT", str(port))
        (check,) = checks(f"port {port}")
    assert (check.state, check.found) == (State.FAIL, "taken by another program")
    assert "jt808_port" in check.advice


def test_an_address_that_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAYFRAME_HTTP_HOST", "192.0.2.77")
    monkeypatch.setenv("WAYFRAME_HTTP_PORT", "18080")
    (check,) = checks("port 18080")
    assert check.state is State.FAIL
    assert "http_host" in check.advice


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAYFRAME_MIN_FREE_DISK_BYTES", "100 TB")
    (check,) = checks("data folder")
    assert check.state is State.FAIL
    assert "507" in check.advice


@pytest.mark.parametrize("url", ["postgresql://wayframe:hush@127.0.0.1:1/x", "sqlite:///:memory:"])
def test_a_database_out_of_reach(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("WAYFRAME_DATABASE_URL", url)
    (check,) = checks("database")
    assert check.state is State.FAIL
    assert check.advice
    assert "hush" not in check.found


def test_a_database_at_this_version(capsys: pytest.CaptureFixture[str]) -> None:
    main_ok("migrate")
    (check,) = checks("database")
    assert check.state is State.OK
    assert "revision" in check.found


def test_a_secret_others_can_read() -> None:
    secret = Path("data/secret")
    secret.parent.mkdir()
    secret.write_bytes(os.urandom(32))
    secret.chmod(0o644)
    (check,) = checks("secret")
    assert check.state is State.WARN
    assert "chmod 600" in check.advice
    secret.chmod(0o600)
    assert checks("secret")[0].state is State.OK


@pytest.mark.parametrize(
    ("host", "state"), [("203.0.113.10", State.WARN), ("8.8.8.8", State.OK), ("video.example.com", State.OK)]
)
def test_the_address_devices_are_told(monkeypatch: pytest.MonkeyPatch, host: str, state: State) -> None:
    """203.0.113.0/24 is for documentation: no device can reach it."""
    monkeypatch.setenv("WAYFRAME_PUBLIC_DEVICE_HOST", host)
    assert checks("address devices are told")[0].state is state


def test_a_mistyped_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAYFRAME_HTPP_PORT", "1")
    warned = [check for check in checks("settings") if check.state is State.WARN]
    assert [check.found for check in warned] == ["WAYFRAME_HTPP_PORT is no setting, did you mean WAYFRAME_HTTP_PORT?"]


def test_the_exit_code_says_whether_it_will_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    main_ok("doctor")
    assert "ok   database" in capsys.readouterr().out
    main_ok("doctor", "--json")
    assert {item["state"] for item in json.loads(capsys.readouterr().out)} <= {"ok", "warn"}
    monkeypatch.setenv("WAYFRAME_DATABASE_URL", "postgresql://127.0.0.1:1/x")
    with pytest.raises(SystemExit) as ended:
        main(["doctor"])
    assert ended.value.code == 1


def main_ok(*arguments: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    assert not ended.value.code


# ---- the certificate


def certificate() -> Check:
    return checks("certificate")[0]


def test_no_certificate_yet() -> None:
    assert certificate().state is State.OK
    assert "wayframe tls init" in certificate().found


def test_an_authority_this_machine_does_not_know() -> None:
    main_ok("tls", "init")
    assert certificate().state is State.WARN
    assert "install data/tls/ca.pem" in certificate().advice


def test_an_authority_this_machine_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    main_ok("tls", "init")
    monkeypatch.setenv("SSL_CERT_FILE", str(Path("data/tls/ca.pem").absolute()))
    assert certificate().state is State.OK


def test_a_public_url_the_certificate_is_not_for(monkeypatch: pytest.MonkeyPatch) -> None:
    main_ok("tls", "init")
    monkeypatch.setenv("WAYFRAME_PUBLIC_URL", "https://video.example.com:9005")
    assert certificate().state is State.FAIL
    assert certificate().advice == "`wayframe tls init --name video.example.com`"
    main_ok("tls", "init", "--name", "video.example.com")
    assert certificate().state is State.WARN


def _files(monkeypatch: pytest.MonkeyPatch, name: str, now: float) -> Path:
    """A certificate that somebody else made, in files."""
    made = LocalAuthority(Path("elsewhere"), [name])
    made.prepare(now)
    monkeypatch.setenv("WAYFRAME_TLS_CERTIFICATE", str(made.certificate))
    monkeypatch.setenv("WAYFRAME_TLS_KEY", str(made.key))
    monkeypatch.setenv("WAYFRAME_PUBLIC_URL", "https://video.example.com")
    return made.certificate


def test_certificate_files(monkeypatch: pytest.MonkeyPatch) -> None:
    file = _files(monkeypatch, "video.example.com", time.time())
    assert (certificate().state, "whole chain" in certificate().advice) == (State.WARN, True)
    monkeypatch.setenv("SSL_CERT_FILE", str(Path("elsewhere/ca.pem").absolute()))
    assert certificate().state is State.OK
    file.chmod(0o644)
    assert checks("key")[0].advice == f"chmod 600 {file}"


def test_certificate_files_for_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    _files(monkeypatch, "other.example.com", time.time())
    monkeypatch.setenv("SSL_CERT_FILE", str(Path("elsewhere/ca.pem").absolute()))
    assert (certificate().state, "video.example.com" in certificate().found) == (State.FAIL, True)


def test_certificate_files_of_a_stranger_for_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Said first, though nobody here knows the authority either."""
    _files(monkeypatch, "other.example.com", time.time())
    assert (certificate().state, "is not for video.example.com" in certificate().found) == (State.FAIL, True)


def test_certificate_files_of_tomorrow(monkeypatch: pytest.MonkeyPatch) -> None:
    _files(monkeypatch, "video.example.com", time.time() + 2 * 86400)
    assert (certificate().state, "not yet valid" in certificate().found) == (State.FAIL, True)


def test_certificate_files_that_have_expired(monkeypatch: pytest.MonkeyPatch) -> None:
    _files(monkeypatch, "video.example.com", time.time() - 500 * 86400)
    assert (certificate().state, "has expired" in certificate().found) == (State.FAIL, True)


def test_certificate_files_that_end_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    _files(monkeypatch, "video.example.com", time.time() - 380 * 86400)
    monkeypatch.setenv("SSL_CERT_FILE", str(Path("elsewhere/ca.pem").absolute()))
    assert (certificate().state, certificate().advice) == (State.WARN, "renew it")


def test_certificate_files_that_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    _files(monkeypatch, "video.example.com", time.time()).unlink()
    assert certificate().state is State.FAIL


def test_no_certificate_behind_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAYFRAME_TLS", "off")
    assert (certificate().state, "TLS is off" in certificate().found) == (State.OK, True)
