"""What must survive a power cut: parts that left the SIM, messages to send, what was set aside.

A record is bytes under (box, name). The driver takes any :class:`Spool`; :class:`FileSpool` is the default.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Protocol

PARTS, QUEUE, ASIDE, STATE = "parts", "queue", "aside", "state"
BOXES = (PARTS, QUEUE, ASIDE, STATE)
MAX_RECORD = 1 << 16


class Spool(Protocol):
    """Blocking calls, made on a thread, one at a time. OSError where the disk refuses."""

    def read(self, box: str) -> dict[str, bytes]:
        """All records of a box."""
        ...

    def put(self, box: str, name: str, record: bytes) -> None:
        """On disk when it returns; replaces as a whole or not at all."""
        ...

    def remove(self, box: str, name: str) -> None:
        """Gone when it returns; what is not there is no error."""
        ...


class FileSpool:
    """A directory a box, a file a record: ``<directory>/<box>/<name>``.

    Written beside, synced, renamed, the directory synced: a crash leaves the old record or the new one, and
    perhaps a ``.new`` file, which the next reading removes.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def read(self, box: str) -> dict[str, bytes]:
        folder = self._folder(box)
        for left in folder.glob("*.new"):
            left.unlink()
        return {path.name: path.read_bytes()[:MAX_RECORD] for path in sorted(folder.iterdir())}

    def put(self, box: str, name: str, record: bytes) -> None:
        if not re.fullmatch(r"[A-Za-z0-9-]{1,80}", name) or len(record) > MAX_RECORD:
            raise ValueError(f"no record: {name!r}, {len(record)} bytes")
        folder = self._folder(box)
        draft = folder / f"{name}.new"
        with draft.open("wb") as file:
            file.write(record)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(folder / name)
        _sync(folder)

    def remove(self, box: str, name: str) -> None:
        folder = self._folder(box)
        (folder / name).unlink(missing_ok=True)
        _sync(folder)

    def _folder(self, box: str) -> Path:
        folder = self._directory / box
        if not folder.is_dir():
            folder.mkdir(parents=True, mode=0o700, exist_ok=True)
            _sync(self._directory)
        return folder


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
