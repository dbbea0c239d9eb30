"""Files in drop folders, as the disk shows them: what is complete, who still writes, moving without following links.

Everything here blocks, and runs in a thread. A name is only ever one part of a path: what a folder listed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import secrets
import shutil
import signal
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wayframe.services.drop_folders import FAILED, INCOMING, PROCESSED, THUMBNAILS

CLAIMED = ".claimed"
"""Private folder of a device: what is being stored; it survives restarts, and nobody else looks into it."""
SIDECAR, THUMBNAIL, CHECKED = ".metadata.json", ".thumbnail", ".checked"
"""Names inside a claim, which no dropped file can have: those that begin with a dot are left alone."""
PICTURES = (".jpg", ".jpeg", ".png", ".webp")
_UNFINISHED = (".tmp", ".part", ".partial", ".crdownload", ".filepart", "~")
SETTLE_S = 2.0
"""A file that stays the same for so long, and that nobody has open for writing, is complete."""
_SETTLE_UNSEEN_S = 10.0
"""The same where this machine cannot tell who has it open (network shares, files of other users)."""
_EMPTY_S = 60.0
_MOST_NAMES = 5000


class NotPlain(Exception):
    """A link, a device, or a file with a second name: never touched."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A file as it was at one look."""

    name: str
    size: int
    mtime_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A dropped file that is ours now, with what belongs to it."""

    device_id: int
    folder: Path
    name: str

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / self.name


def devices(root: Path) -> Iterator[tuple[int, int]]:
    """Folders of devices below the root, and a number that changes when something is dropped into one."""
    with contextlib.suppress(FileNotFoundError), os.scandir(root) as entries:
        for entry in entries:
            if entry.name.isascii() and entry.name.isdecimal() and entry.is_dir(follow_symlinks=False):
                folder = Path(entry.path)
                yield int(entry.name), sum(_changed(folder / name) for name in (INCOMING, THUMBNAILS))


def _changed(folder: Path) -> int:
    try:
        return folder.lstat().st_mtime_ns
    except OSError:
        return 0


def listing(folder: Path) -> list[Seen]:
    """Files in a folder, without hidden and unfinished ones; at most some thousand, the rest comes when those went."""
    found: list[Seen] = []
    if not _is_folder(folder):
        return found
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or entry.name.lower().endswith(_UNFINISHED):
                continue
            with contextlib.suppress(FileNotFoundError):
                if entry.is_dir(follow_symlinks=False):
                    continue
                about = entry.stat(follow_symlinks=False)
                found.append(Seen(entry.name, about.st_size, about.st_mtime_ns, about.st_ino))
            if len(found) >= _MOST_NAMES:
                break
    return sorted(found, key=lambda seen: (seen.mtime_ns, seen.name))


def complete(path: Path, seen: Seen, unchanged_s: float, now: float) -> bool:
    """Whether a file has come in whole.

    Args:
        unchanged_s: how long it was watched without a change.
        now: Unix seconds; an old file that arrived by a rename need not be watched.
    """
    age_s = max(unchanged_s, now - seen.mtime_ns / 1e9)
    if age_s < SETTLE_S or (seen.size == 0 and age_s < _EMPTY_S):
        return False
    try:
        written = _written(path)
    except OSError:
        return unchanged_s >= SETTLE_S  # a link, gone, or not readable: whoever claims it will say so
    return unchanged_s >= _SETTLE_UNSEEN_S if written is None else not written


def _written(path: Path) -> bool | None:
    """Whether somebody on this machine has the file open for writing; None where that cannot be told.

    A read lease is granted only where nobody has (fcntl(2), F_SETLEASE). Should somebody open it in that very moment,
    the kernel tells us by a signal that is ignored by default.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.fcntl(handle, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(handle)
    return False


def claim(root: Path, device_id: int, seen: Seen, sidecar: str, thumbnail: str) -> Claim | None:
    """Take a file, and what belongs to it, out of the way of others; None where it is not what was seen any more."""
    device = root / str(device_id)
    made = Claim(device_id, device / CLAIMED / secrets.token_hex(8), seen.name)
    made.folder.mkdir(parents=True)
    source = device / INCOMING / seen.name
    try:
        source.rename(made.path)
    except FileNotFoundError:
        made.folder.rmdir()
        return None
    about = made.path.lstat()
    if (about.st_size, about.st_mtime_ns, about.st_ino) != (seen.size, seen.mtime_ns, seen.inode):
        made.path.rename(source)
        made.folder.rmdir()
        return None
    for name, folder, target in ((sidecar, INCOMING, SIDECAR), (thumbnail, THUMBNAILS, THUMBNAIL)):
        if name:
            with contextlib.suppress(FileNotFoundError):
                (device / folder / name).rename(made.folder / target)
    return made


def claims(root: Path, device_id: int) -> list[Claim]:
    """What was claimed and not brought to an end."""
    found: list[Claim] = []
    folder = root / str(device_id) / CLAIMED
    if not _is_folder(folder):
        return found
    for inner in sorted(folder.iterdir()):
        names = [path.name for path in inner.iterdir() if path.name not in (SIDECAR, THUMBNAIL, CHECKED)]
        if names:
            found.append(Claim(device_id, inner, names[0]))
        else:
            shutil.rmtree(inner, ignore_errors=True)
    return found


def checked_size(made: Claim) -> int:
    """The size of a claimed file that may be taken. Raises `NotPlain`.

    Once checked, it stays so: a second name that it has after a crash is ours, from `second_name`.
    """
    about, mark = made.path.lstat(), made.folder / CHECKED
    if not stat.S_ISREG(about.st_mode):
        raise NotPlain("only regular files are taken, no links")
    if about.st_nlink > 1 and not mark.exists():
        raise NotPlain("the file has a second name (a hard link): copy it instead")
    mark.touch()
    return about.st_size


def second_name(path: Path, target: Path) -> bool:
    """Give a file another name on the same disk. Returns whether that is possible."""
    try:
        os.link(path, target, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP):
            return False
        raise
    return True


def read(path: Path, most: int) -> bytes:
    """The first bytes of a plain file; one more than `most` if there are more. Links are not followed."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise NotPlain("only regular files are taken")
        return file.read(most + 1)


def done(root: Path, made: Claim, receipt: dict[str, object]) -> None:
    """A file is stored: leave a receipt, and drop the claim."""
    _note(root / str(made.device_id) / PROCESSED, f"{made.name}.json", receipt)
    shutil.rmtree(made.folder, ignore_errors=True)


def failed(root: Path, made: Claim, reason: dict[str, object]) -> None:
    """A file cannot be stored: put it where its people find it, with the reason beside it."""
    folder = root / str(made.device_id) / FAILED
    folder.mkdir(parents=True, exist_ok=True)
    name = made.name
    if _taken(folder / name):
        before, dot, extension = name.rpartition(".")
        mark = secrets.token_hex(4)
        name = f"{before}-{mark}.{extension}" if dot and before else f"{name}-{mark}"
        if len(os.fsencode(name)) > 255:
            name = f"{mark}-long-name"
    made.path.rename(folder / name)
    _note(folder, f"{name}.error.json", reason)
    shutil.rmtree(made.folder, ignore_errors=True)


def fail_thumbnail(root: Path, device_id: int, name: str, reason: dict[str, object]) -> None:
    """The same for a thumbnail that nothing belongs to."""
    folder = root / str(device_id) / CLAIMED / secrets.token_hex(8)
    folder.mkdir(parents=True)
    with contextlib.suppress(FileNotFoundError):
        (root / str(device_id) / THUMBNAILS / name).rename(folder / name)
        failed(root, Claim(device_id, folder, name), reason)
    shutil.rmtree(folder, ignore_errors=True)


def forget_receipts(root: Path, device_id: int, before: float) -> None:
    """Remove receipts older than this time (Unix seconds)."""
    folder = root / str(device_id) / PROCESSED
    if not _is_folder(folder):
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.name.endswith(".json") and entry.stat(follow_symlinks=False).st_mtime < before:
                    Path(entry.path).unlink()


def _note(folder: Path, name: str, content: dict[str, object]) -> None:
    """Write a small file beside others; what has this name already goes, and no link is followed."""
    folder.mkdir(parents=True, exist_ok=True)
    raw = os.fsencode(name)
    if len(raw) > 255:
        name = os.fsdecode(raw[:200]) + secrets.token_hex(4) + ".json"
    target = folder / name
    with contextlib.suppress(OSError):
        target.unlink(missing_ok=True)
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=2)
            file.write("\n")


def _taken(path: Path) -> bool:
    return os.path.lexists(path)


def _is_folder(path: Path) -> bool:
    """Whether it is a folder itself, and no link to one."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False
