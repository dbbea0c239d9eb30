"""The tables of everything the directory keeps in memory."""

from __future__ import annotations

from .accounts import AccountTable, TokenTable
from .database import Database
from .devices import ChannelTable, DeviceTable, TelemetryTable


class ItemTables:
    """One query module a kind of item."""

    def __init__(self, db: Database) -> None:
        self.accounts = AccountTable(db)
        self.tokens = TokenTable(db)
        self.channels = ChannelTable(db)
        self.devices = DeviceTable(db)
        self.telemetry = TelemetryTable(db)
