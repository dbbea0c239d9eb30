"""The gallery's services, built together: events, upload links, pulls, drop folders and the people who log in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wayframe.bus import Bus
from wayframe.model import Clock
from wayframe.storage import (
    BlobStore,
    Database,
    GalleryKeyTable,
    GalleryTable,
    PullHostTable,
    StateTable,
    UserTable,
)

from .commands import Commands
from .directory import Directory
from .drop_folders import DropFolders
from .fetching import Fetcher
from .gallery import Gallery
from .links import Links
from .media import MediaStore
from .processing import Processing
from .pull_hosts import PullHosts
from .pulls import Pulls
from .signing import Signing
from .upload_keys import UploadKeys
from .upload_links import UploadLinks
from .users import Users


@dataclass(frozen=True, slots=True)
class GallerySettings:
    """Places and limits."""

    drop_dir: Path
    """Folder of the drop folders."""
    public_drop_dir: str
    """The same as those who write there see it; empty: as the server does."""
    parts_dir: Path
    """Folder of files that are being pulled, on the disk of the media store."""
    pull_parallel: int
    """Files pulled over SFTP at once."""


@dataclass(frozen=True, slots=True)
class GalleryRooms:
    """Every service of the gallery."""

    events: Gallery
    links: UploadLinks
    keys: UploadKeys
    pulls: Pulls
    hosts: PullHosts
    folders: DropFolders
    users: Users
    signing: Signing

    async def load(self) -> list[str]:
        """Read what is kept, agree with the media store, take up pulls. Called after media and commands are loaded.

        Returns:
            Sentences about what was repaired.
        """
        await self.signing.load()
        await self.users.load()
        repaired = await self.events.load()
        await self.pulls.load()
        return repaired

    async def upkeep(self) -> None:
        """Called every minute."""
        await self.signing.rotate()
        await self.links.sweep()
        await self.keys.sweep()


def gallery_rooms(
    settings: GallerySettings,
    *,
    db: Database,
    secret: bytes,
    blobs: BlobStore,
    media: MediaStore,
    processing: Processing,
    commands: Commands,
    directory: Directory,
    links: Links,
    bus: Bus,
    clock: Clock,
    fetcher: Fetcher | None,
) -> GalleryRooms:
    """Build them. `fetcher`: what speaks SFTP; None where the extra [sftp] is not installed."""
    table = GalleryTable(db)
    signing = Signing(StateTable(db), secret, clock)
    hosts = PullHosts(PullHostTable(db), secret)
    events = Gallery(
        table=table, media=media, blobs=blobs, processing=processing, directory=directory, links=links, clock=clock
    )
    upload_links = UploadLinks(
        table=table, gallery=events, media=media, blobs=blobs, directory=directory, signing=signing, clock=clock
    )
    pulls = Pulls(
        table=table,
        gallery=events,
        media=media,
        blobs=blobs,
        commands=commands,
        hosts=hosts,
        directory=directory,
        bus=bus,
        clock=clock,
        fetcher=fetcher,
        parts=settings.parts_dir,
        parallel=settings.pull_parallel,
    )
    folders = DropFolders(settings.drop_dir, settings.public_drop_dir)
    users = Users(UserTable(db), directory, signing, clock)
    keys = UploadKeys(GalleryKeyTable(db), clock)
    return GalleryRooms(events, upload_links, keys, pulls, hosts, folders, users, signing)
