"""Small files written whole or not at all, and on disk when the call returns.

A crash leaves at most ``.<name>.<random>.tmp`` beside the file; nothing reads it and it may be deleted.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Owner:
    """Numeric user and group; -1 leaves either as it is (chown(2))."""

    uid: int = -1
    gid: int = -1


def folder_owner(path: Path) -> Owner:
    """Whose folder ``path`` is in: a file that root makes there is then its user's, who goes on with it."""
    if os.geteuid() != 0:
        return Owner()
    stat = path.parent.stat()
    return Owner(stat.st_uid, stat.st_gid)


def create(path: Path, content: bytes, *, mode: int, owner: Owner = Owner()) -> None:
    """Write a new file. Raises :class:`FileExistsError` where one stands already, which stays untouched."""
    with _written(path, content, mode, owner) as temporary:
        os.link(temporary, path)  # unlike rename(2), link(2) never replaces
    _sync_directory(path.parent)


def replace(path: Path, content: bytes, *, mode: int, owner: Owner = Owner()) -> None:
    """Write a file over whatever stood there; a crash leaves the old or the new content, never a mixture."""
    with _written(path, content, mode, owner) as temporary:
        os.replace(temporary, path)
    _sync_directory(path.parent)


@contextmanager
def _written(path: Path, content: bytes, mode: int, owner: Owner) -> Iterator[Path]:
    # mkstemp creates with 0600, so a key is never readable by others, not even for an instant.
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    temporary = Path(name)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            if owner != Owner():  # the shipped unit forbids the very call, also where it changes nothing
                os.fchown(file.fileno(), owner.uid, owner.gid)
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
