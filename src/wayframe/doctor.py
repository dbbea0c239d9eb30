"""What `wayframe doctor` looks at: each check says how it stands and what to do.

Checks read and try; they change nothing. They run beside a running node as well as before its first start.
"""

from __future__ import annotations

import asyncio
import errno
import importlib.resources
import ipaddress
import os
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import httpx

from wayframe.api.pages import PAGES
from wayframe.certificates import RENEW_BEFORE, CertificateError, read, refusal, server_context
from wayframe.config import Loaded, Settings, mask, show, unknown_variables
from wayframe.config.ports import Port
from wayframe.model import WayframeError
from wayframe.storage.database import Database, DatabaseTooNew, check_revision, head_revision

_SPARE_FILES = 1000
"""File descriptors a node needs beside one a device connection: viewers, files, database, workers."""
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_YEARS = range(2026, 2100)


class State(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report."""

    name: str
    """What was looked at."""
    state: State
    """How it stands; `fail` means that the node will not work as set."""
    found: str
    """What was seen."""
    advice: str = ""
    """What to do; empty where all is well."""


def examine(loaded: Loaded) -> Iterator[Check]:
    """Run every check, one after the other, as they are read."""
    settings = loaded.settings
    checks: tuple[Callable[[], Iterator[Check]], ...] = (
        lambda: _settings(loaded),
        lambda: _folders(settings),
        lambda: _database(settings),
        lambda: _secret(settings),
        lambda: _certificate(settings),
        lambda: _ports(settings),
        lambda: _addresses(settings),
        _clock,
        lambda: _open_files(settings),
        _codecs,
        _web_pages,
    )
    for check in checks:
        yield from check()


def _settings(loaded: Loaded) -> Iterator[Check]:
    changed = [name for name, origin in loaded.origins.items() if origin != "default"]
    source = str(loaded.file) if loaded.file else "no file"
    yield Check("settings", State.OK, f"{source}; {len(changed)} changed from their defaults")
    for sentence in unknown_variables(os.environ):
        yield Check("settings", State.WARN, sentence, "correct or remove the variable; it has no effect")


def _folders(settings: Settings) -> Iterator[Check]:
    least = settings.min_free_disk_bytes
    for name, folder in (("data folder", settings.data_dir), ("media folder", settings.blobs)):
        standing = _standing(folder)
        if not os.access(standing, os.W_OK | os.X_OK):
            yield Check(name, State.FAIL, f"{standing} cannot be written", f"let this user write to {standing}")
            continue
        free = shutil.disk_usage(standing).free
        found = f"{folder.absolute()}, {free / 1e9:.1f} GB free"
        if free < least:
            least_shown = show("min_free_disk_bytes", least)
            yield Check(name, State.FAIL, found, f"free space: below {least_shown} files are refused with 507")
        elif free < 10 * least:
            yield Check(name, State.WARN, found, "room for few videos; a larger disk or a shorter media_ttl helps")
        else:
            yield Check(name, State.OK, found)


def _standing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return folder


def _database(settings: Settings) -> Iterator[Check]:
    shown = mask(settings.database)
    try:
        database = Database(settings.database)
    except ValueError as error:
        yield Check("database", State.FAIL, str(error), "correct database_url")
        return
    if database.sqlite and not Path(database.url.database or "").exists():
        yield Check("database", State.OK, f"{shown} is made at the first start")
        return
    try:
        revision = asyncio.run(_revision(database))
    except WayframeError as error:
        advice = "let this user read the file" if database.sqlite else "start PostgreSQL, or correct database_url"
        yield Check("database", State.FAIL, f"{shown}: {error}", advice)
        return
    wanted = head_revision()
    if revision == wanted:
        yield Check("database", State.OK, f"{shown}, revision {revision}")
        return
    try:
        check_revision(revision, "the database")
    except DatabaseTooNew as error:
        yield Check("database", State.FAIL, shown, str(error))
        return
    advice = "`wayframe migrate` brings it up to date; so does the next start"
    yield Check("database", State.WARN, f"{shown}, revision {revision or 'none'}, this version's is {wanted}", advice)


async def _revision(database: Database) -> str | None:
    await database.open()
    try:
        return await database.revision()
    finally:
        await database.close()


def _ports(settings: Settings) -> Iterator[Check]:
    for port in settings.ports:
        number = getattr(settings, port.setting)
        name = f"port {number}"
        problem = port_problem(settings, port)
        if number == 0:
            yield Check(name, State.OK, f"{port.setting} takes any free port")
        elif problem is None:
            yield Check(name, State.OK, f"free ({port.what})")
        elif problem.taken and node_answers(settings):
            yield Check(name, State.OK, f"in use while the node runs ({port.what})")
        else:
            yield Check(name, State.FAIL, problem.what, problem.advice)


@dataclass(frozen=True)
class PortProblem:
    """Why a port of ours cannot be listened on, and what to do about it."""

    what: str
    advice: str
    taken: bool
    """Somebody listens there already."""


def port_problem(settings: Settings, port: Port) -> PortProblem | None:
    """What keeps us from listening on a port, None where nothing does; found out by binding it for a moment."""
    number = getattr(settings, port.setting)
    problem = _bind(getattr(settings, port.host_setting), number)
    if problem is None:
        return None
    if problem == errno.EADDRINUSE:
        advice = f"stop what listens there (`ss -ltnp 'sport = :{number}'` names it) or change {port.setting}"
        return PortProblem("taken by another program", advice, taken=True)
    if problem == errno.EACCES:
        advice = f"take a port above 1023 with {port.setting}, or give the service CAP_NET_BIND_SERVICE"
        return PortProblem("this user may not bind it", advice, taken=False)
    advice = f"{port.host_setting} must be an address of this machine, or 0.0.0.0"
    return PortProblem(f"cannot bind: {os.strerror(problem)}", advice, taken=False)


def _bind(host: str, number: int) -> int | None:
    """The errno of binding a port, None where it went well."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, number))
            probe.listen(1)
        except socket.gaierror:
            return errno.EADDRNOTAVAIL
        except OSError as error:
            return error.errno or errno.EIO
    return None


def node_answers(settings: Settings) -> bool:
    """Whether a Wayframe node answers on the HTTP port."""
    try:
        answer = httpx.get(f"{settings.local_url}/auth/regions", timeout=2)
        return "result" in answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return False


def _addresses(settings: Settings) -> Iterator[Check]:
    if settings.public_url:
        yield Check("address of links", State.OK, settings.public_url)
    else:
        advice = "set public_url to the address applications and browsers use, or links will not open elsewhere"
        yield Check("address of links", State.WARN, f"{settings.url}, from this machine's name", advice)
    told = settings.public_device_host
    own = _own_address()
    if told and _is_private(told):
        advice = "devices on mobile networks cannot reach a private address; set public_device_host to a public one"
        yield Check("address devices are told", State.WARN, told, advice)
    elif told:
        yield Check("address devices are told", State.OK, told)
    elif own and not _is_private(own):
        yield Check("address devices are told", State.OK, f"the one they dialled (here {own})")
    else:
        advice = "behind a router or NAT, set public_device_host to the public address or name"
        found = f"the local one they came in on (here {own or 'unknown'})"
        yield Check("address devices are told", State.WARN, found, advice)


def _own_address() -> str:
    """The address this machine reaches others from; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return ""
        return str(probe.getsockname()[0])


def _is_private(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False


def _clock() -> Iterator[Check]:
    now = time.gmtime()
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", now)
    if now.tm_year not in _YEARS:
        yield Check("clock", State.FAIL, shown, "set the clock: reports would get wrong times, tokens would expire")
        return
    before = time.time() - time.monotonic()
    time.sleep(0.1)
    step = abs(time.time() - time.monotonic() - before)
    if step > 0.05:
        yield Check("clock", State.WARN, f"{shown}, jumped {step:.2f} s while watched", "let one service set the clock")
        return
    synchronised = _synchronised()
    if synchronised is False:
        advice = "`timedatectl set-ntp true`: recordings are asked for by time"
        yield Check("clock", State.WARN, f"{shown}, not synchronised", advice)
    else:
        yield Check("clock", State.OK, f"{shown}, synchronised" if synchronised else shown)


def _synchronised() -> bool | None:
    """What timedatectl says; None where it is missing or does not know."""
    program = shutil.which("timedatectl")
    if program is None:
        return None
    question = [program, "show", "--property=NTPSynchronized", "--value"]
    try:
        answer = subprocess.run(question, capture_output=True, text=True, timeout=5, check=False).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return None
    return {"yes": True, "no": False}.get(answer)


def _open_files(settings: Settings) -> Iterator[Check]:
    try:
        import resource  # not on Windows
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.max_device_connections + _SPARE_FILES
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        yield Check("open files", State.OK, f"limit {soft}")
        return
    advice = f"`ulimit -n {wanted}` (systemd: LimitNOFILE={wanted}), or lower max_device_connections"
    found = f"limit {soft} (at most {hard}), {wanted} wanted for {settings.max_device_connections} devices"
    yield Check("open files", State.WARN, found, advice)


_CODECS: tuple[tuple[str, Literal["r", "w"], str], ...] = (
    ("h264", "r", "read H.264"),
    ("hevc", "r", "read H.265"),
    ("aac", "r", "read AAC"),
    ("libx264", "w", "write H.264"),
    ("aac", "w", "write AAC"),
    ("mjpeg", "w", "write previews"),
)


def _codecs() -> Iterator[Check]:
    try:
        import av
        import av.codec
    except ImportError as error:
        advice = "`pip install 'wayframe[media]'` (make does): without it no previews and no H.265 conversion"
        yield Check("codecs", State.WARN, f"PyAV is not there: {error}", advice)
        return
    missing = [what for name, mode, what in _CODECS if not _has_codec(name, mode)]
    if missing:
        advice = "install PyAV from its wheel, which brings FFmpeg with all of them"
        yield Check("codecs", State.WARN, f"PyAV {av.__version__} cannot {', '.join(missing)}", advice)
    else:
        yield Check("codecs", State.OK, f"PyAV {av.__version__}: H.264, H.265, AAC, previews")


def _has_codec(name: str, mode: Literal["r", "w"]) -> bool:
    import av.codec

    try:
        av.codec.Codec(name, mode)
    except ValueError:  # PyAV's UnknownCodecError is one
        return False
    return True


def _secret(settings: Settings) -> Iterator[Check]:
    file = settings.secret_file
    try:
        mode = file.stat().st_mode
    except FileNotFoundError:
        yield Check("secret", State.OK, f"{file} is made at the first start")
        return
    except OSError as error:
        yield Check(
            "secret", State.FAIL, f"{file}: {error.strerror}", "let this user read it; tokens are sealed with it"
        )
        return
    if mode & _OTHERS:
        found = f"{file} may be read by others ({stat.filemode(mode)})"
        yield Check("secret", State.WARN, found, f"chmod 600 {file}: whoever has it and the database has every token")
    else:
        yield Check("secret", State.OK, f"{file}, readable by its owner only; keep a copy with your backups")


def _certificate(settings: Settings) -> Iterator[Check]:
    """Is it valid, for the name that clients use, from an authority they know?"""
    name = "certificate"
    if settings.tls == "off":
        yield Check(name, State.OK, "TLS is off: what stands in front of the node holds the certificate")
        return
    own = settings.tls_dir / "server.pem"
    files = (Path(settings.tls_certificate or own), Path(settings.tls_key or own))
    if not settings.tls_certificate and not own.exists():
        yield Check(name, State.OK, f"{own} is made at the first start, or by `wayframe tls init`")
        return
    try:
        context, certificate = server_context(*files), read(files[0])
    except CertificateError as error:
        advice = "name a PEM file each, the key without a password" if settings.tls_certificate else f"remove {own}"
        yield Check(name, State.FAIL, error.reason, advice)
        return
    host = urlsplit(settings.secure_url).hostname or "localhost"
    ends = certificate.not_valid_after_utc
    found = f"{files[0]}, for {host}, until {ends.date().isoformat()}"
    authority = None if settings.tls_certificate else settings.tls_dir / "ca.pem"
    fault = refusal(context, host, files[0])  # what is wrong with it whoever signed it
    reason = refusal(context, host, authority)
    if ends <= datetime.now(UTC):
        advice = "start the node, which renews it" if authority else "renew it"
        yield Check(name, State.FAIL, f"{files[0]} has expired on {ends.date().isoformat()}", advice)
    elif "mismatch" in fault:
        advice = f"`wayframe tls init --name {host}`" if authority else "correct public_url, or get one for that name"
        yield Check(name, State.FAIL, f"{files[0]} is not for {host}, the host of public_url", advice)
    elif fault:
        yield Check(name, State.FAIL, f"{found}: every client refuses it ({fault})", "see to the clock, or get another")
    elif reason and authority is None:
        advice = "give the whole chain in tls_certificate (fullchain.pem); if the authority is your own, install it"
        yield Check(name, State.WARN, f"{found}: this machine refuses it ({reason})", advice)
    elif reason:
        yield Check(name, State.FAIL, f"{found}: {authority} did not sign it ({reason})", f"remove {own}")
    elif ends - datetime.now(UTC) < RENEW_BEFORE:
        yield Check(name, State.WARN, found, "start the node, which renews it" if authority else "renew it")
    elif authority is not None and refusal(context, host, None):
        advice = f"install {authority} where browsers and applications run: docs/how-to/tls.md"
        yield Check(name, State.WARN, f"{found}: this machine does not know the authority that signed it", advice)
    else:
        yield Check(name, State.OK, found)
    if stat.S_IMODE(files[1].stat().st_mode) & _OTHERS:
        yield Check("key", State.WARN, f"{files[1]} may be read by others", f"chmod 600 {files[1]}")


def _web_pages() -> Iterator[Check]:
    built = importlib.resources.files("wayframe").joinpath("web")
    missing = [page for page in PAGES if not built.joinpath(f"{page}.html").is_file()]
    if missing:
        yield Check(
            "web pages", State.WARN, f"not built: {', '.join(missing)}", "`make build` makes them; REST works without"
        )
    else:
        yield Check("web pages", State.OK, "built")
