"""Copies of the log off the device, and the way back; docs/backup.md."""

from __future__ import annotations

from gateway.services.backup.book import BackupBook
from gateway.services.backup.copying import Backup, BackupSettings
from gateway.services.backup.restoring import Restored, Source, fetch, listed, restore

__all__ = ["Backup", "BackupBook", "BackupSettings", "Restored", "Source", "fetch", "listed", "restore"]
