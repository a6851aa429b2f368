"""A flashed card: Debian with the package and ``offgrid.yml`` on the boot partition, switched on."""

from __future__ import annotations

import pytest
from machine import COORDINATOR, GATEWAY, Machine, everything_acked, snapshots

pytestmark = [pytest.mark.xdist_group("debian"), pytest.mark.timeout(400)]
CARD = """\
id: gw_flashed
region: EU868
place: {lat: 1.0, lon: 2.0, name: "A card"}
coordinator: "http://127.0.0.1:18080 ws://127.0.0.1:18081"
radios: lora
token: hunter2
"""


def test_a_flashed_card_becomes_a_gateway_that_registers_when_its_coordinator_is_there(
    machine: Machine,
) -> None:
    machine.run(
        "systemctl stop offgrid-gateway && rm -r /etc/offgrid/* /var/lib/offgrid/*"
    )  # as after the package
    machine.write("/boot/firmware/offgrid.yml", CARD.replace("EU868", "EU433"))
    machine.write("/etc/systemd/system/offgrid-register.service.d/test.conf", "[Service]\nRestartSec=200ms\n")
    machine.reboot()
    assert "region: saw" in machine.run("cat /boot/firmware/offgrid-errors.txt")
    assert machine.show("offgrid-gateway", "ActiveState")["ActiveState"] == "inactive"

    machine.write("/boot/firmware/offgrid.yml", CARD)
    machine.reboot()
    machine.until("systemctl is-active offgrid-gateway", "active")
    assert "gw_flashed is set up" in machine.run("cat /boot/firmware/offgrid-ready.txt")
    machine.run("grep -r hunter2 /boot", fails=True)
    machine.run("test -f /etc/offgrid/enrolment.token")

    machine.run(COORDINATOR.replace("secret", "hunter2"))  # the network comes days later
    machine.until("test -e /etc/offgrid/enrolment.token || echo registered", "registered")
    machine.post(snapshots()[0])
    everything_acked(machine, 1)

    machine.reboot()
    said = machine.run("systemctl show offgrid-firstboot -p ConditionResult --value")
    assert said.strip() == "no"
    assert "gw_flashed" in machine.run(f"{GATEWAY} status")
