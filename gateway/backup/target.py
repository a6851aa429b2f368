"""Where backup objects lie: a folder here, a bucket in :mod:`gateway.backup.bucket`."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gateway.errors import GatewayError

_MODE = 0o640
_PART = ".part"

_MEANINGS = {
    errno.ENOSPC: "it is full; free space there, or shorten backup.keep_days",
    errno.EDQUOT: "it is full; free space there, or shorten backup.keep_days",
    errno.EROFS: "it is read-only; remount it writable (is the stick's lock on?)",
    errno.EACCES: "access is denied; give it to the user that runs the gateway",
    errno.EPERM: "access is denied; give it to the user that runs the gateway",
    errno.ENOENT: "it is not there; plug it in or mount it",
}


class TargetFailed(GatewayError):
    """The target did not do what was asked: what was seen, and what mends it. It may by itself."""


class TargetMissing(TargetFailed):
    """There is no such object."""


@dataclass(frozen=True, slots=True)
class Listed:
    """An object at the target; ``modified_s``: seconds since 1970, by the target's clock."""

    name: str
    size: int
    modified_s: float


class Target(Protocol):
    """Blocking; every call raises TargetFailed, and ends within a minute of silence."""

    def create(self, name: str, content: bytes) -> None:
        """Durable when it returns. A name that is taken is left as it is: its content is in its name."""
        ...

    def read(self, name: str) -> bytes:
        """Raises TargetMissing where the target answers that it has none such."""
        ...

    def list(self, folder: str) -> list[Listed]:
        """All below a folder; empty where there is none such."""
        ...

    def delete(self, name: str) -> None:
        """Nothing happens where it is gone."""
        ...


class Directory:
    """A folder: a USB stick, a second disk, a mounted share."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def create(self, name: str, content: bytes) -> None:
        path = self._root / name
        with self._told(f"{path} cannot be written"):
            if not self._root.is_dir():  # an unmounted stick must not be filled in below its mount point
                raise FileNotFoundError(errno.ENOENT, "not there", str(self._root))
            if path.exists():
                return
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
            _write(path, content)

    def read(self, name: str) -> bytes:
        with self._told(f"{self._root / name} cannot be read"):
            try:
                return (self._root / name).read_bytes()
            except FileNotFoundError:
                self._root.stat()  # without the stick nothing is known of what is on it
                raise TargetMissing(f"backup.target: {self._root / name} is not there") from None

    def list(self, folder: str) -> list[Listed]:
        with self._told(f"{self._root} cannot be listed"):
            self._root.stat()
            return sorted(self._found(folder), key=lambda item: item.name)

    def _found(self, folder: str) -> Iterator[Listed]:
        def refuse(error: OSError) -> None:
            if error.errno != errno.ENOENT:
                raise error

        for base, _, files in os.walk(self._root / folder, onerror=refuse):
            for name in files:
                path = Path(base, name)
                if not name.endswith(_PART):
                    stat = path.stat()
                    yield Listed(str(path.relative_to(self._root)), stat.st_size, stat.st_mtime)

    def delete(self, name: str) -> None:
        with self._told(f"{self._root / name} cannot be deleted"):
            (self._root / name).unlink(missing_ok=True)

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            meaning = _MEANINGS.get(error.errno or 0, error.strerror or str(error))
            raise TargetFailed(f"backup.target: {what}: {meaning}") from error


def _write(path: Path, content: bytes) -> None:
    """By a rename: a pulled stick leaves behind a part that nobody lists, written over by the next try."""
    part = path.with_name(path.name + _PART)
    try:
        with part.open("wb") as file:
            os.fchmod(file.fileno(), _MODE)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        with suppress(OSError):  # it is the first failure that is told
            part.unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
