"""A Debian machine: a clean root under an overlay, booted with its own systemd by systemd-nspawn.

Its network is a namespace of its own, with loopback only; its cgroups are unified, so that systemd's device
policy is enforced by the kernel as on a gateway. Nothing is written outside the folder it is given.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from daemon_rig import upload_of, wallet_rows

REPOSITORY = Path(__file__).parents[2]
TOOLS = REPOSITORY / ".tools"
BASE = TOOLS / "roots" / os.environ.get("OFFGRID_DEBIAN", "bookworm")
BOOT_S = 60.0
WAIT_S = 60.0

# Runs in a mount namespace of its own: what it mounts is gone with it. The machine dies with the tests.
BOOT = r"""
set -e
mount -t tmpfs tmpfs /run
mount -t overlay overlay -o "lowerdir=$LAYERS,upperdir=$FOLDER/upper,workdir=$FOLDER/work" "$FOLDER/root"
if [ "$(stat -fc %T /sys/fs/cgroup)" != cgroup2fs ]; then
    umount -l /sys/fs/cgroup
    mount -t cgroup2 none /sys/fs/cgroup
fi
mkdir -p "/sys/fs/cgroup/$NAME"
echo $$ >"/sys/fs/cgroup/$NAME/cgroup.procs"
exec setpriv --pdeathsig KILL systemd-nspawn --quiet --directory="$FOLDER/root" --machine="$NAME" --boot \
    --register=no --keep-unit --private-network --system-call-filter=bpf --console=pipe \
    --bind-ro="$SHARED:/media" </dev/null
"""


def require_machines() -> None:
    """Skips, by name, where no such machine can be booted. Waits for the root while it is being made."""
    if os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("booting a Debian machine needs root, and namespaces")
    with suppress(FileNotFoundError), (BASE.parent / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
    if shutil.which("systemd-nspawn", path=_path()) is None or not (BASE / ".complete").exists():
        message = f"no {BASE} or systemd-nspawn: ./scripts/test-debian.sh fetches them"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)


class Machine:
    """One machine. ``shared``: a folder of this host, its ``/media``; ``layers`` lie over the base."""

    def __init__(self, folder: Path, shared: Path, layers: Sequence[Path] = ()) -> None:
        self.folder, self.shared = folder, shared
        self.layers = [*layers, BASE]
        self.name = f"offgrid-{os.getpid()}-{folder.name}"[:60]
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._leader = 0
        for part in ("upper", "work", "root"):
            (folder / part).mkdir(parents=True)

    def boot(self) -> None:
        """Returns when systemd has started what it starts."""
        environment = {
            **os.environ,
            "PATH": _path(),
            "LAYERS": ":".join(str(layer) for layer in self.layers),
            "FOLDER": str(self.folder),
            "NAME": self.name,
            "SHARED": str(self.shared),
        }
        with (self.folder / "console.log").open("ab") as console:
            self._nspawn = subprocess.Popen(
                ["unshare", "--mount", "bash", "-c", BOOT], env=environment, stdout=console, stderr=console
            )
        self._leader = self._find_leader()
        self.until("systemctl is-system-running --wait || true", "running", "degraded", within_s=BOOT_S)

    def cut_the_power(self) -> None:
        """Every process of the machine is gone at once; what it had written stays."""
        if self._nspawn is None:
            return
        os.kill(self._leader or self._nspawn.pid, signal.SIGKILL)
        self._nspawn.wait()
        self._nspawn, self._leader = None, 0
        for hierarchy in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup"):
            _remove_groups(Path(hierarchy, self.name))

    def reboot(self) -> None:
        """Switched off and on again, without a word to anybody."""
        self.run("sync")
        self.cut_the_power()
        self.boot()

    def run(self, command: str, *, input: bytes = b"", fails: bool = False) -> str:
        """A shell command as root in the machine; what it said. ``fails``: it has to."""
        done = self._enter(["sh", "-c", command], input)
        said = done.stdout.decode()
        if (done.returncode != 0) != fails:
            raise AssertionError(f"{command}: exit code {done.returncode}\n{said}\n{self.console()}")
        return said

    def json(self, command: str) -> Any:
        return json.loads(self.run(command))

    def write(self, path: str, content: str | bytes, mode: str = "644") -> None:
        data = content.encode() if isinstance(content, str) else content
        self.run(f"mkdir -p $(dirname {path}) && cat >{path} && chmod {mode} {path}", input=data)

    def until(self, command: str, *wanted: str, within_s: float = WAIT_S) -> str:
        """The first answer of ``command`` that is one of these (or, without any, not empty)."""
        deadline = time.monotonic() + within_s
        while True:
            done = self._enter(["sh", "-c", command], b"")
            said = done.stdout.decode().strip()
            if said in wanted or (not wanted and said and done.returncode == 0):
                return said
            if time.monotonic() > deadline:
                raise AssertionError(f"{command}: {said!r} after {within_s:.0f} s\n{self.console()}")
            time.sleep(0.05)

    def show(self, unit: str, *properties: str) -> Mapping[str, str]:
        """Of a unit."""
        said = self.run(f"systemctl show {unit} -p {','.join(properties)}")
        return dict(line.partition("=")[::2] for line in said.splitlines())

    def post(self, upload: bytes) -> None:
        """A snapshot by HTTP, from a process on the machine; it is promised when this returns."""
        assert self.run(POST, input=upload).strip() == "200"

    def journal(self, unit: str) -> str:
        return self.run(f"journalctl --no-pager --output cat --unit {unit}")

    def console(self) -> str:
        """The end of what was said at boot."""
        return (self.folder / "console.log").read_text(errors="replace")[-2000:]

    def _enter(self, command: list[str], input: bytes) -> subprocess.CompletedProcess[bytes]:
        into = ["nsenter", "-t", str(self._leader), "-m", "-u", "-i", "-n", "-p", "-C", "--"]
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
        }
        return subprocess.run(
            [*into, *command], input=input, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
        )

    def _find_leader(self) -> int:
        """The host's number of the machine's process 1: the child of nspawn, once it is systemd."""
        assert self._nspawn is not None
        deadline = time.monotonic() + BOOT_S
        while time.monotonic() < deadline:
            children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children").read_text().split()
            for child in children:
                with suppress(OSError):  # helpers of nspawn come and go meanwhile
                    if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                        return int(child)
            if self._nspawn.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"the machine does not boot\n{self.console()}")


def _path() -> str:
    return f"{TOOLS}/usr/bin:{os.environ['PATH']}"


def _remove_groups(group: Path) -> None:
    """Cgroups, the innermost first; busy while the kernel still buries what was killed in them."""
    if not group.is_dir():
        return
    for child in group.iterdir():
        if child.is_dir():
            _remove_groups(child)
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            return group.rmdir()
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


POST = (
    "python3 -c 'import sys, urllib.request as u; "
    'print(u.urlopen(u.Request("http://127.0.0.1:8080/v1/snapshots", sys.stdin.buffer.read(), '
    '{"Content-Type": "application/json"})).status)\''
)
OLD, NEW = "0.0.9", "0.1.0"
GATEWAY = "/usr/bin/offgrid-gateway"
INIT = (
    f"{GATEWAY} init --id gw_debian --region EU868 --place '1.0,2.0,A clean root' --radios lora"
    " --coordinator 'http://127.0.0.1:18080 ws://127.0.0.1:18081'"
)
MORE = b"gps: {address: /dev/ttyUSB0}\n"  # nothing is plugged in there yet
COORDINATOR = (
    "umask 077; echo secret >/root/token; "
    "systemd-run --quiet --unit=coordinator /opt/offgrid-gateway/current/bin/python -m simulators coordinator"
    " --listen 127.0.0.1:18081 --api 127.0.0.1:18080 --db /root/coordinator.db --token-file /root/token"
)


@dataclass(frozen=True, slots=True)
class Installed:
    """What the first install of the old release left (an overlay's layer) and said; the service's state."""

    layer: Path
    packages: Path
    said: str
    state: str


def snapshots() -> list[bytes]:
    """Uploads by the wallet's own libraries that are accepted."""
    return [upload_of(row) for row in wallet_rows() if row["expect"]["accept"]]


def everything_acked(machine: Machine, entries: int) -> None:
    """So many entries are in the log, and the coordinator has cosigned them all."""
    machine.until(
        f"{GATEWAY} log show | head -n 1 | grep -o '[0-9]* leaves, [0-9]* cosigned'",
        f"{entries} leaves, {entries} cosigned",
    )


def install(packages: Path, folder: Path) -> Installed:
    """Boot a clean root, install the old release there, configure it; switched off in good order."""
    machine = Machine(folder, packages)
    try:
        machine.boot()
        said = machine.run(f"dpkg --install /media/offgrid-gateway_{OLD}_*.deb")
        state = machine.show("offgrid-gateway", "ActiveState")["ActiveState"]
        said += machine.run(INIT)
        machine.run("cat >>/etc/offgrid/config.yml", input=MORE)
        machine.run(f"{GATEWAY} check-config")
        machine.run("sync")
    finally:
        machine.cut_the_power()
    return Installed(folder / "upper", packages, said, state)


def build_packages(folder: Path) -> Path:
    """Two packages: ``NEW``, and ``OLD`` of the same sources, or of those of $OFFGRID_PREVIOUS."""
    _built(REPOSITORY / "scripts/build-deb.sh", "--version", NEW, folder)
    if previous := os.environ.get("OFFGRID_PREVIOUS"):
        sources = folder / "sources"
        sources.mkdir()
        _built("git", "-C", REPOSITORY, "archive", "--output", folder / "sources.tar", previous)
        _built("tar", "-xf", folder / "sources.tar", "-C", sources)
        _built(sources / "scripts/build-deb.sh", "--version", OLD, folder)
        return folder
    (package,) = folder.glob("*.deb")
    tree = folder / "tree"
    _built("dpkg-deb", "--raw-extract", package, tree)
    control, version = tree / "DEBIAN/control", tree / "usr/share/offgrid-gateway/VERSION"
    control.write_text(control.read_text().replace(f"Version: {NEW}\n", f"Version: {OLD}\n"))
    version.write_text(f"{OLD}\n")
    _built("dpkg-deb", "-Znone", "--build", tree, folder)
    shutil.rmtree(tree)
    return folder


def _built(*command: str | Path) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout.decode()
