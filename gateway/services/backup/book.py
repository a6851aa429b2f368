"""What backups have uploaded this month, and how the last restore test ended; kept over a restart.

    {"month": "2026-11", "uploaded": bytes, "tested_at": seconds since 1970, "test_passed": bool}

Written by the daemon and by ``backup test``, each its own keys; a damaged file counts as none.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.clock import Clock
from gateway.keys import durable

log = logging.getLogger(__name__)


class BackupBook:
    """``uploaded``: bytes since this began."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._month, self._this_month = self._read_month()
        self.uploaded = 0

    def uploaded_this_month(self) -> int:
        self._turn()
        return self._this_month

    def uploaded_more(self, size: int) -> None:
        self._turn()
        self._this_month += size
        self.uploaded += size
        self._write({"month": self._month, "uploaded": self._this_month})

    @property
    def tested_at_s(self) -> float | None:
        """When the last restore test ended, in seconds since 1970."""
        found = self._read().get("tested_at")
        return float(found) if isinstance(found, int | float) else None

    @property
    def test_passed(self) -> bool:
        return self._read().get("test_passed") is True

    def tested(self, *, passed: bool) -> None:
        self._write({"tested_at": self._clock.unix_ns() // 1_000_000_000, "test_passed": passed})

    def _turn(self) -> None:
        month = datetime.fromtimestamp(self._clock.unix_ns() / 1e9, UTC).strftime("%Y-%m")
        if month != self._month:
            self._month, self._this_month = month, 0

    def _read_month(self) -> tuple[str, int]:
        found = self._read()
        month, uploaded = found.get("month"), found.get("uploaded")
        return (month, uploaded) if isinstance(month, str) and isinstance(uploaded, int) else ("", 0)

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self._path.read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _write(self, changed: dict[str, object]) -> None:
        content = json.dumps({**self._read(), **changed}).encode()
        try:
            durable.replace(self._path, content, mode=0o640)
        except OSError as error:  # the count of a month is not worth a backup
            log.warning("backup's book not written", extra={"file": str(self._path), "reason": str(error)})
