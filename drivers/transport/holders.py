"""Who else has a device open, how to have them let go of it, and a lock that keeps ours to ourselves."""

from __future__ import annotations

import errno
import fcntl
import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from drivers.errors import DriverLost

PROC = Path("/proc")


class Holder(NamedTuple):
    """A process; ``unit`` is the systemd service it belongs to, empty where it belongs to none."""

    pid: int
    name: str
    unit: str = ""

    def __str__(self) -> str:
        return f"{self.name} (process {self.pid})"

    @property
    def remedy(self) -> str:
        """The command that has it let go, and stay away where it is a service of the system's."""
        if not self.unit:
            return f"sudo kill {self.pid}"
        ours = self.unit.startswith("offgrid-gateway")
        return f"sudo systemctl {'stop' if ours else 'disable --now'} {self.unit}"


def holders(path: str, proc: Path = PROC) -> list[Holder]:
    """Who else has the device open, as far as this user may see: another user's files only root does."""
    device = os.path.realpath(path)
    return [
        _describe(entry)
        for entry in sorted(proc.glob("[0-9]*"))
        if int(entry.name) != os.getpid() and _has_open(entry, device)
    ]


def running(names: Collection[str], proc: Path = PROC) -> list[Holder]:
    """Processes of these names, whoever's: anybody may see that they run, not what they have open."""
    cut = {name[:15] for name in names}  # the kernel keeps 15 characters (proc(5), comm)
    return [_describe(entry) for entry in sorted(proc.glob("[0-9]*")) if _name(entry) in cut]


def _has_open(entry: Path, device: str) -> bool:
    try:
        return any(os.path.realpath(file) == device for file in (entry / "fd").iterdir())
    except OSError:
        return False  # gone, or another user's


def _describe(entry: Path) -> Holder:
    return Holder(int(entry.name), _name(entry) or "?", _unit(entry))


def _name(entry: Path) -> str:
    return _read(entry / "comm").strip()


def _unit(entry: Path) -> str:
    """``0::/system.slice/lora-pkt-fwd.service`` → ``lora-pkt-fwd``; a login's programs are in scopes."""
    found = re.search(
        r"/system\.slice/(?:.*/)?([^/\n]+)\.service(?:/|$)", _read(entry / "cgroup"), re.MULTILINE
    )
    return found[1] if found else ""


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""  # that process has just ended


class DeviceLock:
    """A device node to ourselves: flock(2), which ends with the process; programs that do not lock are found
    by what they have open."""

    def __init__(self, path: str) -> None:
        """OSError where the node cannot be opened, :class:`DriverLost` where somebody else holds it."""
        self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            self._take(path)
        except BaseException:
            self.close()
            raise

    def _take(self, path: str) -> None:
        locked = False
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno != errno.EWOULDBLOCK:
                raise
            locked = True
        found = holders(path)
        if found:
            names, remedies = (
                ", ".join(map(str, found)),
                ", ".join(dict.fromkeys(one.remedy for one in found)),
            )
            raise DriverLost(f"{path} is held by {names}; free it: {remedies}")
        if locked:
            raise DriverLost(f"{path} is locked by another process; who it is: sudo fuser -v {path}")

    def close(self) -> None:
        """Closing twice is harmless."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)
