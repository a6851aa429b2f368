"""The machine as the checks see it: one object, so that tests examine a folder made up as a machine.

System paths (``/proc``, ``/sys``, ``/dev``, ``/boot``, ``/etc``) are looked up below ``root``; what the
configuration names (database, keys) is taken as it stands.
"""

from __future__ import annotations

import glob
import os
import platform
import pwd
import re
import socket
import ssl
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MAX_READ = 256 * 1024
NETWORK_S = 5.0
SERVICE_USER = "offgrid"


@dataclass(frozen=True, slots=True)
class Account:
    """Whose rights count: the gateway's user, where we are root and there is one; else our own."""

    name: str
    uid: int
    gids: frozenset[int]


@dataclass(frozen=True, slots=True)
class Host:
    """What can be asked of a machine; nothing here changes it."""

    root: Path = Path("/")
    machine: str = field(default_factory=platform.machine)
    kernel: str = field(default_factory=platform.release)
    unix_s: Callable[[], float] = time.time
    resolve: Callable[[str, int], Sequence[Any]] = lambda name, port: socket.getaddrinfo(
        name, port, type=socket.SOCK_STREAM
    )
    disk: Callable[[Path], os.statvfs_result] = os.statvfs
    account: Account = field(default_factory=lambda: own_account())

    def path(self, name: str) -> Path:
        """Where a system path stands."""
        return self.root / name.lstrip("/")

    def read(self, name: str) -> str | None:
        """A system file's text, without the zeros of a device tree; None where it cannot be read."""
        try:
            with self.path(name).open("rb") as file:
                return file.read(MAX_READ).decode("utf-8", "replace").strip("\0\n ")
        except OSError:
            return None

    def names(self, pattern: str) -> list[str]:
        """System paths that match, sorted."""
        found = glob.glob(str(self.path(pattern)))
        return sorted("/" + os.path.relpath(one, self.root) for one in found)

    def exists(self, name: str) -> bool:
        return self.path(name).exists() or self.path(name).is_symlink()

    def target(self, name: str) -> str:
        """The device behind a name such as those under ``/dev/serial/by-id``."""
        try:
            link = os.readlink(self.path(name))
        except OSError:
            return name
        return os.path.normpath(os.path.join(os.path.dirname(name), link))

    def may(self, path: Path, mode: int) -> bool:
        """Whether the account has these rights (``os.R_OK`` …) by owner, group and others."""
        try:
            seen = path.stat()
        except OSError:
            return False
        account = self.account
        if account.uid == 0:
            return True
        shift = 6 if seen.st_uid == account.uid else 3 if seen.st_gid in account.gids else 0
        return (stat.S_IMODE(seen.st_mode) >> shift) & mode == mode

    def processes(self) -> Iterator[tuple[int, str, str]]:
        """Number, name and command line of each that can be seen."""
        for name in self.names("/proc/[0-9]*"):
            command = (self.read(f"{name}/cmdline") or "").replace("\0", " ")
            yield int(name.rsplit("/", 1)[1]), self.read(f"{name}/comm") or "", command

    def running(self, wanted: Sequence[str]) -> list[str]:
        """Which of these programs run. The kernel keeps 15 characters of a name."""
        short = {name[:15]: name for name in wanted}
        return sorted({short[name] for _, name, _ in self.processes() if name in short})

    def holders(self, device: str) -> list[str]:
        """Programs other than the gateway that have the device open, as far as we may look."""
        wanted = {device, self.target(device)}
        found = []
        for number, name, command in self.processes():
            if re.search(r"offgrid-gateway|-m gateway", command):
                continue
            if any(self.target(link) in wanted for link in self.names(f"/proc/{number}/fd/*")):
                found.append(f"{name} ({number})")
        return found

    def mount(self, path: Path) -> tuple[str, str, str, frozenset[str]] | None:
        """Device, mount point, type and options of the file system that has ``path``."""
        best = None
        for line in (self.read("/proc/mounts") or "").splitlines():
            device, point, kind, options = line.split(" ")[:4]
            point = point.replace("\\040", " ")
            inside = path.is_relative_to(point)
            if inside and (best is None or len(point) >= len(best[1])):
                best = (device, point, kind, frozenset(options.split(",")))
        return best

    def boot_setting(self, name: str) -> list[str]:
        """Values of a setting in the Pi's ``config.txt``, in order; Debian 12: in ``/boot/firmware``."""
        text = self.read("/boot/firmware/config.txt") or self.read("/boot/config.txt") or ""
        lines = [line.split("#")[0].strip() for line in text.splitlines()]
        return [line.split("=", 1)[1] for line in lines if line.startswith(f"{name}=")]

    def connect(self, name: str, port: int) -> None:
        """TCP and nothing more. Raises OSError."""
        socket.create_connection((name, port), NETWORK_S).close()

    def peer_certificate(self, name: str, port: int, tls: ssl.SSLContext) -> Mapping[str, Any]:
        """The certificate that is shown and holds, as ``ssl`` tells it. Raises OSError and ssl.SSLError."""
        with (
            socket.create_connection((name, port), NETWORK_S) as raw,
            tls.wrap_socket(raw, server_hostname=name) as secured,
        ):
            return secured.getpeercert() or {}


def own_account() -> Account:
    """See :class:`Account`."""
    uid, name = os.geteuid(), str(os.geteuid())
    try:
        if uid == 0:
            uid, name = pwd.getpwnam(SERVICE_USER).pw_uid, SERVICE_USER
        else:
            name = pwd.getpwuid(uid).pw_name
    except KeyError:
        return Account(name, uid, frozenset(os.getgroups()))
    return Account(name, uid, frozenset(os.getgrouplist(name, pwd.getpwnam(name).pw_gid)))
