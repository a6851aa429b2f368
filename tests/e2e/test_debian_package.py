"""The package in a clean Debian root: installed, set up, registered, acked, upgraded, removed, purged."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon_rig import upload_of, wallet_rows
from machine import REPOSITORY, Machine, require_machines

OLD, NEW = "0.0.9", "0.1.0"
GATEWAY = "/usr/bin/offgrid-gateway"
CONFIG = """\
gateway: {id: gw_debian, location: {lat: 1.0, lon: 2.0, name: "A clean root"}, type: lora}
network: {api_url: "http://127.0.0.1:18080", ws_url: "ws://127.0.0.1:18081"}
lora: {frequency: 868, region: EU868}
"""
COORDINATOR = (
    "systemd-run --quiet --unit=coordinator /opt/offgrid-gateway/current/bin/python -m simulators coordinator"
    " --listen 127.0.0.1:18081 --api 127.0.0.1:18080 --db /root/coordinator.db --token-file /root/token"
)
POST = (
    "python3 -c 'import sys, urllib.request as u; "
    'print(u.urlopen(u.Request("http://127.0.0.1:8080/v1/snapshots", sys.stdin.buffer.read(), '
    '{"Content-Type": "application/json"})).status)\''
)


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two packages of the same sources, 0.0.9 and 0.1.0."""
    require_machines()
    folder = tmp_path_factory.mktemp("packages")
    built(REPOSITORY / "scripts/build-deb.sh", "--version", NEW, folder)
    (package,) = folder.glob("*.deb")
    tree = folder / "tree"
    built("dpkg-deb", "--raw-extract", package, tree)
    control, version = tree / "DEBIAN/control", tree / "usr/share/offgrid-gateway/VERSION"
    control.write_text(control.read_text().replace(f"Version: {NEW}\n", f"Version: {OLD}\n"))
    version.write_text(f"{OLD}\n")
    built("dpkg-deb", "-Znone", "--build", tree, folder)
    shutil.rmtree(tree)
    return folder


def built(*command: str | Path) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout.decode()


@pytest.fixture
def machine(packages: Path, tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path / "machine", packages)
    machine.boot()
    yield machine
    machine.cut_the_power()


def test_the_package_serves_from_the_first_install_to_the_purge(machine: Machine) -> None:
    said = machine.run(f"dpkg --install /media/offgrid-gateway_{OLD}_*.deb")
    assert "next: sudo offgrid-gateway init" in said
    assert machine.show("offgrid-gateway", "ActiveState")["ActiveState"] == "inactive"

    # set up, registered, the first snapshot acked
    machine.write("/etc/offgrid/config.yml", CONFIG, "640")
    machine.run("chgrp offgrid /etc/offgrid/config.yml && umask 077 && echo secret >/root/token")
    machine.run(f"{GATEWAY} check-config")
    machine.run(f"{GATEWAY} keygen")
    machine.run(COORDINATOR)
    machine.run("systemctl start offgrid-gateway")
    machine.until(f"{GATEWAY} register --token-file /root/token >/dev/null && echo registered", "registered")
    machine.run(f"{GATEWAY} restart link")
    snapshots = [upload_of(row) for row in wallet_rows() if row["expect"]["accept"]]
    assert machine.run(POST, input=snapshots[0]).strip() == "200"
    everything_acked(machine, 1)

    # a new release with data; what the site changed below /etc stays
    machine.run("sed -i 's/SystemMaxUse=64M/SystemMaxUse=32M/' /etc/systemd/journald.conf.d/offgrid.conf")
    before = machine.show("offgrid-gateway", "MainPID")
    machine.run(f"dpkg --install --force-confdef /media/offgrid-gateway_{NEW}_*.deb")
    assert machine.show("offgrid-gateway", "MainPID") != before
    assert machine.run("readlink /opt/offgrid-gateway/current").startswith(f"releases/{NEW}-")
    assert "SystemMaxUse=32M" in machine.run("cat /etc/systemd/journald.conf.d/offgrid.conf")
    assert machine.run(POST, input=snapshots[1]).strip() == "200"
    everything_acked(machine, 2)

    # the way back, and forth
    machine.run("offgrid-gateway-setup --rollback")
    assert machine.run("readlink /opt/offgrid-gateway/current").startswith(f"releases/{OLD}-")
    everything_acked(machine, 2)
    machine.run("offgrid-gateway-setup --rollback")

    # at boot, by itself
    machine.cut_the_power()
    machine.boot()
    assert machine.show("offgrid-gateway", "ActiveState")["ActiveState"] == "active"
    everything_acked(machine, 2)

    # gone, but for what was promised; then gone
    machine.run("dpkg --remove offgrid-gateway")
    assert machine.run("ls /etc/offgrid").split() == ["config.yml", "gateway.crt", "gateway.key"]
    machine.run("test -s /var/lib/offgrid/gateway.db && test ! -e /opt/offgrid-gateway")
    machine.run("test -f /etc/systemd/journald.conf.d/offgrid.conf")
    machine.run("dpkg --purge offgrid-gateway")
    machine.run(
        "find / -xdev -name '*offgrid*' -not -path '/proc/*' -not -path '/media/*' | grep .", fails=True
    )
    machine.run("getent passwd offgrid", fails=True)


def everything_acked(machine: Machine, entries: int) -> None:
    """So many entries are in the log, and the coordinator has cosigned them all."""
    machine.until(
        f"{GATEWAY} log show | head -n 1 | grep -o '[0-9]* leaves, [0-9]* cosigned'",
        f"{entries} leaves, {entries} cosigned",
    )
