"""The gallery's services, built together: events, upload links, pulls, harvests, hooks, drop folders and the people who
log in."""

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
    HarvestTable,
    HookCallTable,
    HookTable,
    PullHostTable,
    StateTable,
    UserTable,
)

from .commands import Commands
from .connections import Connections
from .directory import Directory
from .drop_folders import DropFolders
from .fetching import Fetcher
from .gallery import Gallery
from .harvesting import Harvests
from .hook_calls import HookCalls
from .hooks import Hooks
from .host_cleaning import HostCleaning
from .journal import Journal
from .links import Links
from .listings import Listings
from .media import MediaStore
from .processing import Processing
from .pull_hosts import PullHosts
from .pulls import Pulls
from .sending import Sender
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
    harvest_parallel: int
    """Devices looked at at once."""
    destinations: tuple[str, ...]
    """Private hosts and networks that webhooks may lead to."""


@dataclass(frozen=True, slots=True)
class GalleryRooms:
    """Every service of the gallery."""

    events: Gallery
    links: UploadLinks
    keys: UploadKeys
    pulls: Pulls
    cleaning: HostCleaning
    listings: Listings
    harvests: Harvests
    hooks: Hooks
    calls: HookCalls
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
        await self.hooks.load()
        await self.pulls.load()
        await self.cleaning.load()
        await self.harvests.load()
        return repaired

    async def upkeep(self) -> None:
        """Called every minute."""
        await self.signing.rotate()
        await self.links.sweep()
        await self.keys.sweep()
        self.cleaning.begin_round()


def gallery_rooms(
    settings: GallerySettings,
    *,
    db: Database,
    secret: bytes,
    blobs: BlobStore,
    media: MediaStore,
    processing: Processing,
    commands: Commands,
    connections: Connections,
    directory: Directory,
    journal: Journal,
    links: Links,
    bus: Bus,
    clock: Clock,
    fetcher: Fetcher | None,
    sender: Sender,
) -> GalleryRooms:
    """Build them.

    Args:
        fetcher: what speaks SFTP; None where the extra [sftp] is not installed.
        sender: what sends the requests of webhooks.
    """
    table = GalleryTable(db)
    signing = Signing(StateTable(db), secret, clock)
    hosts = PullHosts(PullHostTable(db), secret)
    users = Users(UserTable(db), directory, signing, clock)
    calls = HookCalls(
        table=HookCallTable(db),
        events=table,
        media=media,
        commands=commands,
        directory=directory,
        users=users,
        journal=journal,
        links=links,
        bus=bus,
        clock=clock,
        sender=sender,
    )
    events = Gallery(
        table=table, media=media, blobs=blobs, processing=processing, directory=directory, links=links, calls=calls,
        clock=clock,
    )  # fmt: skip
    hooks = Hooks(
        table=HookTable(db),
        calls=calls,
        gallery=events,
        directory=directory,
        bus=bus,
        clock=clock,
        destinations=settings.destinations,
    )
    upload_links = UploadLinks(
        table=table, gallery=events, media=media, blobs=blobs, directory=directory, signing=signing, clock=clock
    )
    cleaning = HostCleaning(StateTable(db), hosts, fetcher, clock)
    pulls = Pulls(
        table=table,
        gallery=events,
        media=media,
        blobs=blobs,
        commands=commands,
        hosts=hosts,
        directory=directory,
        calls=calls,
        bus=bus,
        clock=clock,
        fetcher=fetcher,
        cleaning=cleaning,
        parts=settings.parts_dir,
        parallel=settings.pull_parallel,
    )
    listings = Listings(
        table=table,
        gallery=events,
        blobs=blobs,
        hosts=hosts,
        commands=commands,
        connections=connections,
        directory=directory,
        calls=calls,
        clock=clock,
        fetcher=fetcher,
    )
    harvests = Harvests(
        table=HarvestTable(db),
        events=table,
        listings=listings,
        pulls=pulls,
        directory=directory,
        calls=calls,
        bus=bus,
        clock=clock,
        parallel=settings.harvest_parallel,
    )
    folders = DropFolders(settings.drop_dir, settings.public_drop_dir)
    keys = UploadKeys(GalleryKeyTable(db), clock)
    return GalleryRooms(
        events, upload_links, keys, pulls, cleaning, listings, harvests, hooks, calls, hosts, folders, users, signing,
    )  # fmt: skip
