"""The package in a clean Debian root: installed, set up, registered, acked, upgraded, removed, purged."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from machine import (
    COORDINATOR,
    GATEWAY,
    INIT,
    NEW,
    OLD,
    REPOSITORY,
    Installed,
    Machine,
    everything_acked,
    snapshots,
)

CHECKOUT = ("gateway", "scripts", "systemd", "pyproject.toml")
pytestmark = [pytest.mark.xdist_group("debian"), pytest.mark.timeout(400)]


def test_what_is_installed_says_what_comes_next_and_starts_nothing(installed: Installed) -> None:
    assert "next: sudo offgrid-gateway init" in installed.said
    assert "/etc/offgrid/config.yml: written" in installed.said
    assert installed.state == "inactive"


def test_the_package_serves_from_the_first_snapshot_to_the_purge(machine: Machine) -> None:
    # started at boot by itself; registered, the first snapshot acked
    assert machine.show("offgrid-gateway", "ActiveState")["ActiveState"] == "active"
    machine.run(COORDINATOR)
    machine.until(f"{GATEWAY} register --token-file /root/token >/dev/null && echo registered", "registered")
    first, second, *_ = snapshots()
    machine.post(first)
    everything_acked(machine, 1)
    found = {check["name"]: check for check in machine.json(f"{GATEWAY} doctor --json || true")["checks"]}
    for name in ("configuration", "service", "folders", "database", "keys", "coordinator-key", "sync"):
        assert found[name]["verdict"] == "pass", found[name]

    # a new release, with data; what the site changed below /etc stays
    machine.run("sed -i 's/SystemMaxUse=64M/SystemMaxUse=32M/' /etc/systemd/journald.conf.d/offgrid.conf")
    before = machine.show("offgrid-gateway", "MainPID")
    machine.run(f"dpkg --install --force-confdef /media/offgrid-gateway_{NEW}_*.deb")
    assert machine.show("offgrid-gateway", "MainPID") != before
    assert machine.run("readlink /opt/offgrid-gateway/current").startswith(f"releases/{NEW}-")
    assert "SystemMaxUse=32M" in machine.run("cat /etc/systemd/journald.conf.d/offgrid.conf")
    machine.post(second)
    everything_acked(machine, 2)

    # the way back, and forth
    machine.run("offgrid-gateway-setup --rollback")
    assert machine.run("readlink /opt/offgrid-gateway/current").startswith(f"releases/{OLD}-")
    everything_acked(machine, 2)
    machine.run("offgrid-gateway-setup --rollback")

    # gone, but for what was promised; then gone
    machine.run("dpkg --remove offgrid-gateway")
    assert machine.run("ls /etc/offgrid").split() == ["config.yml", "gateway.crt", "gateway.key"]
    machine.run("test -s /var/lib/offgrid/gateway.db && test ! -e /opt/offgrid-gateway")
    machine.run("test -f /etc/systemd/journald.conf.d/offgrid.conf")
    machine.run("dpkg --purge offgrid-gateway")
    machine.run("find / -xdev -name '*offgrid*' -not -path '/media/*' | grep .", fails=True)
    machine.run("getent passwd offgrid", fails=True)


def test_a_release_that_does_not_start_gives_way_to_the_one_before(machine: Machine) -> None:
    current = machine.run("readlink /opt/offgrid-gateway/current").strip()
    machine.run("cp -r /opt/offgrid-gateway/current/ /opt/offgrid-gateway/releases/9.9.9-broken")
    machine.run(
        "cd /opt/offgrid-gateway/releases/9.9.9-broken && "
        "printf '#!/bin/sh\\n[ \"$1\" = check-config ]\\n' >bin/offgrid-gateway && "
        "ln -sfn releases/9.9.9-broken /opt/offgrid-gateway/previous"
    )
    said = machine.run("offgrid-gateway-setup --rollback", fails=True)
    assert f"9.9.9-broken does not start, see above; back to {current.removeprefix('releases/')}" in said
    assert machine.run("readlink /opt/offgrid-gateway/current").strip() == current
    assert machine.show("offgrid-gateway", "ActiveState")["ActiveState"] == "active"


@pytest.mark.long
def test_a_configuration_that_the_new_release_refuses_stops_the_upgrade_before_anything_changes(
    machine: Machine,
) -> None:
    current = machine.run("readlink /opt/offgrid-gateway/current")
    machine.run("echo 'nonsense: true' >>/etc/offgrid/config.yml")
    before = machine.show("offgrid-gateway", "MainPID")
    said = machine.run(f"dpkg --install /media/offgrid-gateway_{NEW}_*.deb", fails=True)
    assert "nonsense" in said
    assert "nothing was changed, the gateway runs as before" in said
    assert machine.run("readlink /opt/offgrid-gateway/current") == current
    assert machine.show("offgrid-gateway", "MainPID") == before


@pytest.mark.long
def test_a_checkout_installs_from_wheels_without_a_network_and_again_changes_nothing(
    installed: Installed, tmp_path: Path
) -> None:
    checkout = tmp_path / "shared"
    checkout.mkdir()
    subprocess.run(["cp", "-r", *(REPOSITORY / part for part in CHECKOUT), checkout], check=True)
    (package,) = installed.packages.glob(f"*_{NEW}_*.deb")
    subprocess.run(["dpkg-deb", "-x", package, checkout / "package"], check=True)
    wheels = "/media/package/usr/share/offgrid-gateway/wheels"
    machine = Machine(tmp_path / "machine", checkout)
    try:
        machine.boot()
        said = machine.run(f"/media/scripts/install.sh --wheels {wheels}")
        assert "next: sudo offgrid-gateway init" in said
        machine.run(INIT.replace("/usr/bin/", ""))
        machine.run("systemctl start offgrid-gateway")
        before = machine.show("offgrid-gateway", "MainPID")
        assert "runs, as it did" in machine.run(f"/media/scripts/install.sh --wheels {wheels}")
        assert machine.show("offgrid-gateway", "MainPID") == before
        machine.run("/usr/local/share/offgrid-gateway/scripts/uninstall.sh --purge")
        machine.run("find / -xdev -name '*offgrid*' -not -path '/media/*' | grep .", fails=True)
    finally:
        machine.cut_the_power()
