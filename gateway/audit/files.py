"""Lines appended to ``audit.jsonl``, on disk before the call returns; full files are set aside by number.

The daemon and the command line write the same file, so each append takes a lock and looks at its end. At
``FILE_BYTES`` the file becomes ``audit.jsonl.1``, ``.1`` becomes ``.2``, and so on; beyond ``KEPT`` the
oldest goes. The chain runs on from file to file. A line that a power cut tore stays as it is, and is covered
by the next.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.core.audit import GENESIS, MAX_LINE, Act, encode, link

FILE_BYTES = 4 << 20
KEPT = 8
"""Full files beside the one that is written: 36 MiB in all, some 100,000 acts."""
MODE = 0o640


class AuditUnwritten(OSError):
    """The act may not happen: nobody would know of it."""


class AuditLog:
    """Appends and reads; any number of processes may. Calls block for a write and an fsync."""

    def __init__(self, path: Path, *, file_bytes: int = FILE_BYTES, kept: int = KEPT) -> None:
        self._path, self._file_bytes, self._kept = path, file_bytes, kept

    def append(self, act: Act) -> None:
        """One line more. Raises :class:`AuditUnwritten`."""
        try:
            with self._locked():
                self._set_full_aside()
                self._append(act)
        except OSError as error:
            raise AuditUnwritten(
                f"nothing was done: the audit log {self._path} cannot be written ({error.strerror or error})"
            ) from error

    def lines(self) -> Iterator[bytes]:
        """Every line there is, oldest first, without its newline. Raises OSError."""
        for path in [*reversed([self._aside(number) for number in range(1, self._kept + 1)]), self._path]:
            if path.exists():
                with path.open("rb") as file:
                    yield from (line.removesuffix(b"\n") for line in file)

    @property
    def is_whole(self) -> bool:
        """Whether no file was dropped yet, so that the first line is the first there ever was."""
        return not self._aside(self._kept).exists()

    def _append(self, act: Act) -> None:
        end = _end(self._path) or _end(self._aside(1))
        previous = GENESIS if end is None else end.removesuffix(b"\n")
        torn = b"" if end is None or end.endswith(b"\n") else b"\n"
        with open(_opened(self._path, os.O_WRONLY | os.O_APPEND), "wb", buffering=0) as file:
            file.write(torn + encode(act, link(previous)) + b"\n")
            os.fsync(file.fileno())

    def _set_full_aside(self) -> None:
        if not self._path.exists() or self._path.stat().st_size < self._file_bytes:
            return
        for number in range(self._kept, 1, -1):
            if self._aside(number - 1).exists():
                self._aside(number - 1).replace(self._aside(number))
        self._path.replace(self._aside(1))

    def _aside(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = self._path.with_name(f"{self._path.name}.lock")
        with open(_opened(lock, os.O_RDWR)) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _end(path: Path) -> bytes | None:
    """The last line with its newline, if it has one; None where there is none."""
    if not path.exists():
        return None
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - MAX_LINE - 2))
        tail = file.read()
    lines = tail.splitlines(keepends=True)
    return lines[-1] if lines else None


def _opened(path: Path, flags: int) -> int:
    """Made where it is missing; one that root makes belongs to the folder's owner, the daemon."""
    descriptor = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC, MODE)
    if os.geteuid() == 0:
        folder = path.parent.stat()
        os.fchown(descriptor, folder.st_uid, folder.st_gid)
    return descriptor
