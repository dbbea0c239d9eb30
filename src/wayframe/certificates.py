"""The certificate of every TLS door: given as files, or signed by a certificate authority of this node's own.

In come paths, names and the time; out comes one `ssl.SSLContext` that HTTPS and MQTT share. It stays the same object:
a renewed certificate is put into it, and new connections get the new one. Everything here blocks for milliseconds
(files, key generation); call it in a thread where a loop runs.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from wayframe.model import Clock, WayframeError
from wayframe.storage import secret

SERVER_LIFE = timedelta(days=397)
"""Longest life browsers accept from a public authority, and the longest a certificate here gets."""
AUTHORITY_LIFE = timedelta(days=3650)
RENEW_BEFORE = timedelta(days=30)
"""A certificate with less life left than this is replaced."""
_CLOCK_SLACK = timedelta(days=1)
_PROBLEMS = (InvalidSignature, ValueError, TypeError)
_HANDSHAKE_TURNS = 10


class CertificateError(WayframeError):
    """A certificate or key is missing, unreadable, or the two do not belong together."""


class Source(Protocol):
    """Where certificate and key come from."""

    @property
    def certificate(self) -> Path:
        """PEM file of the certificate, followed by those that lead to its authority."""

    @property
    def key(self) -> Path:
        """PEM file of its private key, without a password."""

    def prepare(self, now: float) -> None:
        """Make sure the files are there and live long enough. Raises CertificateError."""


class CertificateFiles:
    """Certificate and key that somebody else makes and renews: certbot, a company's authority."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self.certificate = certificate
        self.key = key

    def prepare(self, now: float) -> None:
        """Nothing to do: they are somebody else's."""


class LocalAuthority:
    """A certificate authority of this node's own, and the server certificate it signs.

    `ca.key` (mode 600) signs, `ca.pem` (644) is what clients install, `server.pem` (600) holds the server's key and
    certificate in one file, so that no crash leaves a key without its certificate.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        """`names` are host names and IP addresses the server certificate must hold; those it holds already stay."""
        self.folder = folder
        self.names = tuple(names)
        self.authority = folder / "ca.pem"
        self.authority_key = folder / "ca.key"
        self.certificate = self.key = folder / "server.pem"

    def prepare(self, now: float) -> None:
        """Make what is missing; renew what is near its end or lacks a name. Raises CertificateError."""
        moment = datetime.fromtimestamp(now, UTC)
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            key = self._authority_key()
            authority = self._authority(key, moment)
            self._server(key, authority, moment)
        except OSError as error:
            raise CertificateError(f"{error.filename or self.folder}: {error.strerror}") from None

    def _authority_key(self) -> ec.EllipticCurvePrivateKey:
        if not self.authority_key.exists() and not self.authority.exists():
            secret.store(self.authority_key, _pem(ec.generate_private_key(ec.SECP256R1())))
        try:
            key = serialization.load_pem_private_key(self.authority_key.read_bytes(), None)
        except (FileNotFoundError, *_PROBLEMS):
            key = None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            advice = "put its backup back, or remove the folder and install the new ca.pem on every client"
            raise CertificateError(f"{self.authority_key} is not the key that was written there: {advice}")
        return key

    def _authority(self, key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
        """The authority's certificate. A new one with the same key and name is made while the old one is still good
        for every certificate it signed, so clients that know only the old one lose nothing meanwhile."""
        known = _first(self.authority)
        if known is not None and known.public_key() == key.public_key():
            if known.not_valid_after_utc - now > SERVER_LIFE:
                return known
            subject = known.subject
        else:
            subject = x509.Name(
                [
                    x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Wayframe"),
                    x509.NameAttribute(NameOID.COMMON_NAME, f"Wayframe authority of {socket.gethostname()}"[:64]),
                ]
            )
        usage = _key_usage(signs_certificates=True)
        certificate = (
            _builder(subject, subject, key.public_key(), now, AUTHORITY_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(key, hashes.SHA256())
        )
        _write(self.authority, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
        return certificate

    def _server(self, key: ec.EllipticCurvePrivateKey, authority: x509.Certificate, now: datetime) -> None:
        known = _first(self.certificate)
        held = names_of(known) if known is not None else []
        wanted = [_normal(name) for name in self.names]
        if known is not None and set(wanted) <= set(held) and known.not_valid_after_utc - now > RENEW_BEFORE:
            try:
                known.verify_directly_issued_by(authority)
                return
            except _PROBLEMS:
                pass
        own = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Wayframe server")])
        names = dict.fromkeys([*wanted, *held])
        certificate = (
            _builder(subject, authority.subject, own.public_key(), now, SERVER_LIFE)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName(_general(name) for name in names), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        _write(self.certificate, _pem(own) + certificate.public_bytes(serialization.Encoding.PEM), 0o600)


class ServerCertificate:
    """The context of every TLS door of a node, kept up with its files."""

    def __init__(self, source: Source, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._loaded: object = None
        self.context = _bare_context()
        """TLS 1.2 or newer, for HTTPS and MQTT; a server certificate is in it once `refresh` was called."""

    def refresh(self) -> bool:
        """Renew where that is ours to do, and take up changed files. Returns whether there is a new certificate.

        Raises CertificateError; then the context goes on with what it had.
        """
        self._source.prepare(self._clock.now())
        stamp = [_stamp(path) for path in (self._source.certificate, self._source.key)]
        if stamp == self._loaded:
            return False
        # A pair that does not fit must not reach the context in use.
        server_context(self._source.certificate, self._source.key)
        self.context.load_cert_chain(self._source.certificate, self._source.key, _no_password)
        self._loaded = stamp
        return True


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """A context for a server with this certificate. Raises CertificateError."""
    context = _bare_context()
    try:
        context.load_cert_chain(certificate, key, _no_password)
    except ssl.SSLError as error:
        raise CertificateError(f"{certificate} and {key} are no certificate with its key: {error.reason}") from None
    except OSError as error:
        raise CertificateError(f"certificate {certificate} or key {key}: {error.strerror}") from None
    return context


def _bare_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    return context


def _no_password() -> str:
    raise CertificateError("the key of the certificate is locked with a password; give it without one, mode 600")


# ---- looking at certificates


def read(file: Path) -> x509.Certificate:
    """The first certificate of a PEM file, the server's own. Raises CertificateError."""
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())[0]
    except OSError as error:
        raise CertificateError(f"{file}: {error.strerror}") from None
    except ValueError:
        raise CertificateError(f"{file} holds no certificate in PEM") from None


def names_of(certificate: x509.Certificate) -> list[str]:
    """Host names and IP addresses a certificate is for (RFC 5280 4.2.1.6)."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    addresses = names.get_values_for_type(x509.IPAddress)
    return [*names.get_values_for_type(x509.DNSName), *map(str, addresses)]


def refusal(server: ssl.SSLContext, name: str, authority: Path | None) -> str:
    """Why a client would refuse this server under this name; empty if it would not. Nothing leaves this process.

    Args:
        authority: PEM file of the only certificate the client trusts, an authority's or the server's own; None: those
            this machine trusts.
    """
    client = ssl.create_default_context(cafile=authority)
    if authority is not None:
        client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    try:
        for _ in range(_HANDSHAKE_TURNS):
            for end in ends:
                try:
                    end.do_handshake()
                except ssl.SSLWantReadError:
                    continue
    except ssl.SSLCertVerificationError as error:
        return error.verify_message.rstrip(".")
    except ssl.SSLError as error:
        return str(error.reason or error)
    return ""


# ---- making them


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SLACK)
        .not_valid_after(now - _CLOCK_SLACK + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _normal(name: str) -> str:
    """A name as it stands in a certificate. Raises CertificateError."""
    try:
        return str(ipaddress.ip_address(name.strip("[]")))
    except ValueError:
        pass
    try:
        plain = name.encode("idna").decode().lower()
    except UnicodeError:
        plain = ""
    if not plain or any(letter in plain for letter in " /:@"):
        raise CertificateError(f"{name!r} is no host name and no IP address")
    return plain


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _first(file: Path) -> x509.Certificate | None:
    """The certificate of a file; None where there is none that can be read."""
    try:
        return read(file)
    except CertificateError:
        return None


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(file: Path, content: bytes, mode: int) -> None:
    """Replace a file whole."""
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        os.write(handle, content)
        os.fsync(handle)
    finally:
        os.close(handle)
    unfinished.replace(file)


def _stamp(file: Path) -> Iterable[int] | None:
    """What changes when a file is replaced or rewritten; None where it is missing."""
    try:
        found = file.stat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino)
