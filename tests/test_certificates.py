"""Certificates: a local authority and what it signs, files of somebody else, and taking up a new one while running."""

from __future__ import annotations

import os
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest

from wayframe.certificates import (
    CertificateError,
    CertificateFiles,
    LocalAuthority,
    ServerCertificate,
    names_of,
    read,
    refusal,
    server_context,
)

NOW = datetime.now(UTC).timestamp()
DAY = 86400
NAMES = ["cam.example.com", "192.0.2.7", "::1", "localhost"]


class SetClock:
    """A clock that stands."""

    def __init__(self, now: float = NOW) -> None:
        self.time = now

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time


@pytest.fixture
def local(tmp_path: Path) -> LocalAuthority:
    made = LocalAuthority(tmp_path / "tls", NAMES)
    made.prepare(NOW)
    return made


@pytest.mark.parametrize("name", NAMES)
def test_a_client_with_the_authority_accepts_every_name(local: LocalAuthority, name: str) -> None:
    context = server_context(local.certificate, local.key)
    assert refusal(context, name, local.authority) == ""
    assert refusal(context, name, None) != "", "this machine does not know the authority"


def test_other_names_are_refused(local: LocalAuthority) -> None:
    context = server_context(local.certificate, local.key)
    assert "mismatch" in refusal(context, "other.example.com", local.authority)
    assert "mismatch" in refusal(context, "192.0.2.8", local.authority)


def test_keys_are_for_their_owner_only(local: LocalAuthority) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in local.folder.iterdir()}
    assert modes == {"ca.key": 0o600, "ca.pem": 0o644, "server.pem": 0o600}
    assert local.folder.stat().st_mode & 0o777 == 0o700


def test_nothing_changes_while_all_is_well(local: LocalAuthority) -> None:
    before = {path.name: path.read_bytes() for path in local.folder.iterdir()}
    local.prepare(NOW + 300 * DAY)
    assert {path.name: path.read_bytes() for path in local.folder.iterdir()} == before


def test_the_certificate_is_renewed_before_it_ends(local: LocalAuthority) -> None:
    first, authority = read(local.certificate), local.authority.read_bytes()
    local.prepare(first.not_valid_after_utc.timestamp() - 29 * DAY)
    second = read(local.certificate)
    assert second.not_valid_after_utc > first.not_valid_after_utc
    assert set(names_of(second)) == set(names_of(first))
    assert local.authority.read_bytes() == authority, "clients need install nothing anew"


def test_new_names_come_beside_the_old_ones(local: LocalAuthority) -> None:
    LocalAuthority(local.folder, ["Bücher.example", "192.0.2.9"]).prepare(NOW)
    assert set(names_of(read(local.certificate))) == {*NAMES, "xn--bcher-kva.example", "192.0.2.9"}


def test_an_ageing_authority_is_renewed_with_the_same_key(local: LocalAuthority, tmp_path: Path) -> None:
    old = tmp_path / "installed.pem"
    old.write_bytes(local.authority.read_bytes())
    local.prepare(read(old).not_valid_after_utc.timestamp() - 100 * DAY)
    renewed = read(local.authority)
    assert renewed.not_valid_after_utc > read(old).not_valid_after_utc
    assert (renewed.subject, renewed.public_key()) == (read(old).subject, read(old).public_key())
    read(local.certificate).verify_directly_issued_by(read(old))


def test_a_certificate_of_another_authority_is_replaced(local: LocalAuthority, tmp_path: Path) -> None:
    other = LocalAuthority(tmp_path / "other", NAMES)
    other.prepare(NOW)
    local.certificate.write_bytes(other.certificate.read_bytes())
    local.prepare(NOW)
    assert refusal(server_context(local.certificate, local.key), "localhost", local.authority) == ""


@pytest.mark.parametrize("broken", ["ca.pem", "server.pem"])
def test_what_a_crash_or_a_hand_broke_is_made_anew(local: LocalAuthority, broken: str) -> None:
    (local.folder / broken).write_text("half a file")
    local.prepare(NOW)
    assert refusal(server_context(local.certificate, local.key), "localhost", local.authority) == ""


@pytest.mark.parametrize("content", [None, b"something else"])
def test_a_lost_authority_key_is_never_replaced_in_silence(local: LocalAuthority, content: bytes | None) -> None:
    local.authority_key.unlink()
    if content is not None:
        local.authority_key.write_bytes(content)
    with pytest.raises(CertificateError, match=r"ca\.key"):
        local.prepare(NOW)


@pytest.mark.parametrize("name", ["", "two words", "https://x", "a" * 300])
def test_a_name_that_is_none(tmp_path: Path, name: str) -> None:
    with pytest.raises(CertificateError, match="no host name"):
        LocalAuthority(tmp_path / "tls", [name]).prepare(NOW)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CertificateError, match="file"):
        LocalAuthority(tmp_path / "file" / "tls", NAMES).prepare(NOW)


# ---- files of somebody else, and a context in use


def _pair(folder: Path, name: str) -> LocalAuthority:
    made = LocalAuthority(folder, [name])
    made.prepare(NOW)
    return made


def test_changed_files_are_taken_up_by_the_same_context(tmp_path: Path) -> None:
    first, second = _pair(tmp_path / "1", "one.example"), _pair(tmp_path / "2", "two.example")
    file = tmp_path / "fullchain.pem"
    file.write_bytes(first.certificate.read_bytes())
    served = ServerCertificate(CertificateFiles(file, file), SetClock())
    assert served.refresh()
    assert refusal(served.context, "one.example", first.authority) == ""
    assert not served.refresh()
    file.write_bytes(second.certificate.read_bytes())
    os.utime(file, (NOW + 1, NOW + 1))
    assert served.refresh()
    assert refusal(served.context, "two.example", second.authority) == ""


def test_a_pair_that_does_not_fit_leaves_the_context_as_it_was(tmp_path: Path) -> None:
    first, second = _pair(tmp_path / "1", "one.example"), _pair(tmp_path / "2", "two.example")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    for file in (certificate, key):
        file.write_bytes(first.certificate.read_bytes())
    served = ServerCertificate(CertificateFiles(certificate, key), SetClock())
    served.refresh()
    certificate.write_bytes(second.certificate.read_bytes())
    os.utime(certificate, (NOW + 1, NOW + 1))
    for _ in range(2):
        with pytest.raises(CertificateError, match="no certificate with its key"):
            served.refresh()
    assert refusal(served.context, "one.example", first.authority) == ""
    key.write_bytes(second.certificate.read_bytes())
    assert served.refresh()
    assert refusal(served.context, "two.example", second.authority) == ""


def test_a_key_with_a_password_says_so(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    pair = _pair(tmp_path / "1", "one.example")
    key = tmp_path / "locked.pem"
    locked = serialization.BestAvailableEncryption(b"hush")
    key.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked
        )
    )
    with pytest.raises(CertificateError, match="password"):
        server_context(pair.certificate, key)


def test_files_that_are_missing_or_something_else(tmp_path: Path) -> None:
    with pytest.raises(CertificateError, match="No such file"):
        server_context(tmp_path / "none.pem", tmp_path / "none.pem")
    with pytest.raises(CertificateError, match="No such file"):
        read(tmp_path / "none.pem")
    (tmp_path / "text.pem").write_text("hello")
    with pytest.raises(CertificateError):
        server_context(tmp_path / "text.pem", tmp_path / "text.pem")
    with pytest.raises(CertificateError, match="no certificate"):
        read(tmp_path / "text.pem")


def test_a_running_node_renews_its_own(tmp_path: Path) -> None:
    clock = SetClock()
    local = LocalAuthority(tmp_path / "tls", NAMES)
    served = ServerCertificate(local, clock)
    assert served.refresh()
    first = read(local.certificate)
    clock.time = first.not_valid_after_utc.timestamp() - DAY
    assert served.refresh()
    assert read(local.certificate).serial_number != first.serial_number


def test_old_versions_of_tls_are_refused(local: LocalAuthority) -> None:
    context = server_context(local.certificate, local.key)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
