"""The shipped unit under a real systemd: ready, watched, killed, reloaded, stopped; its radios, no more."""

from __future__ import annotations

import re

import pytest
from machine import GATEWAY, Machine, snapshots

pytestmark = [pytest.mark.xdist_group("debian"), pytest.mark.timeout(400)]

SERVICE = "offgrid-gateway"
LEAVES = f"{GATEWAY} log show | head -n 1 | grep -o '[0-9]* leaves'"
GPS = (
    "systemd-run --quiet --unit=gps /opt/offgrid-gateway/current/bin/python -m simulators.gps --link /run/gps"
)
PROBE = """\
import os, sys
for path in sys.argv[1:]:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY))
        print(path, "opened")
    except OSError as error:
        print(path, error.strerror)
"""


def drop_in(machine: Machine, lines: str) -> None:
    machine.write(f"/run/systemd/system/{SERVICE}.service.d/test.conf", f"[Service]\n{lines}\n")
    machine.run("systemctl daemon-reload")


def pid_of(machine: Machine) -> str:
    return machine.show(SERVICE, "MainPID")["MainPID"]


def running_anew(machine: Machine, old: str) -> None:
    """As another process than ``old``, and ready."""
    machine.until(
        f"test $(systemctl show {SERVICE} -p MainPID --value) != {old} && systemctl is-active {SERVICE}",
        "active",
    )


def test_the_service_is_ready_reloads_survives_its_deaths_and_stops_in_time(machine: Machine) -> None:
    # ready at boot: store and HTTP are up, though no radio has heard a frame and the GPS is not there
    assert machine.show(SERVICE, "ActiveState", "SubState") == {
        "ActiveState": "active",
        "SubState": "running",
    }
    first, second, third, *_ = snapshots()
    machine.post(first)

    # reload: taken, the process stays; what is wrong is refused with its line, the process stays too
    pid = pid_of(machine)
    machine.run("sed -i 's/^gps:.*/&\\nlogging: {level: debug}/' /etc/offgrid/config.yml")
    machine.run(f"systemctl reload {SERVICE}")
    machine.run("echo 'nonsense: true' >>/etc/offgrid/config.yml")
    machine.run(f"systemctl reload {SERVICE}", fails=True)
    assert "nonsense" in machine.journal(SERVICE)
    machine.run("sed -i '/^nonsense/d' /etc/offgrid/config.yml")
    assert pid_of(machine) == pid

    # killed: systemd starts it again, what was promised is there
    machine.run(f"python3 -c 'import os; os.kill({pid}, 9)'")
    running_anew(machine, pid)
    machine.post(second)

    # hung: no ping, so the watchdog kills it
    drop_in(machine, "WatchdogSec=2")
    machine.run(f"systemctl restart {SERVICE}")
    pid = pid_of(machine)
    machine.run(f"python3 -c 'import os, signal; os.kill({pid}, signal.SIGSTOP)'")
    running_anew(machine, pid)
    assert "Watchdog timeout" in machine.journal(SERVICE)

    # stopped: by itself and in time, or systemd would call it a timeout
    machine.post(third)
    assert "rotated.crt" in machine.run("offgrid-gateway rotate certificate && ls /var/lib/offgrid")
    machine.run(f"systemctl stop {SERVICE}")
    assert "day.json" in machine.run("ls /var/lib/offgrid"), "written at the end, under the unit's limits"
    assert "cannot be kept" not in machine.journal(SERVICE)
    assert machine.show(SERVICE, "Result", "ExecMainStatus") == {"Result": "success", "ExecMainStatus": "0"}

    # 30 starts that fail, and then one that does not
    drop_in(
        machine, "ExecStartPre=/bin/sh -c 'test ! -e /etc/offgrid/broken'\nRestartSec=50ms\nRestartSteps=0"
    )
    machine.write("/etc/offgrid/broken", "")
    machine.run(f"systemctl start {SERVICE}", fails=True)
    machine.until(f"test $(systemctl show {SERVICE} -p NRestarts --value) -ge 30 && echo 30", "30")
    machine.run("rm /etc/offgrid/broken")
    running_anew(machine, "0")
    machine.until(LEAVES, "3 leaves")


def test_the_service_opens_its_radios_also_late_ones_and_nothing_else(machine: Machine) -> None:
    # A receiver on a pseudo-terminal, plugged in while the service runs
    machine.until(f"{GATEWAY} status --json | grep -c ttyUSB0 || true", "1", "2", "3", "4")
    machine.run(GPS)
    terminal = machine.until("readlink -e /run/gps")
    machine.run(f"chown root:dialout {terminal} && chmod 660 {terminal} && ln -s {terminal} /dev/ttyUSB0")
    machine.until(f"ls -l /proc/{pid_of(machine)}/fd | grep -o '{terminal}$' | head -n 1", terminal)
    # and one that is there when it starts
    machine.run(f"systemctl restart {SERVICE}")
    machine.until(f"ls -l /proc/{pid_of(machine)}/fd | grep -o '{terminal}$' | head -n 1", terminal)

    # By kind of device, as the kernel enforces it: any user may open these nodes, the unit may not.
    machine.write("/opt/probe.py", PROBE)
    machine.run("mknod -m 666 /opt/ttyS9 c 4 73 && mknod -m 666 /opt/loop-control c 10 237")
    drop_in(
        machine,
        "ExecStartPre=/usr/bin/python3 /opt/probe.py /opt/ttyS9 /opt/loop-control /etc/offgrid/gateway.key",
    )
    machine.run(f"systemctl restart {SERVICE}")
    said = machine.journal(SERVICE)
    assert "/opt/loop-control Operation not permitted" in said
    assert re.search(
        r"/opt/ttyS9 (opened|Input/output error|No such device)", said
    )  # the kernel has it, or not
    assert "/etc/offgrid/gateway.key Permission denied" in said


def test_systemd_and_udev_understand_every_line_and_find_the_service_little_exposed(machine: Machine) -> None:
    assert machine.run("systemd-analyze verify /usr/lib/systemd/system/offgrid-*.service") == ""
    said = machine.run("udevadm test /devices/virtual/mem/null 2>&1")
    assert "70-offgrid.rules" in said
    assert [line for line in said.splitlines() if "70-offgrid.rules" in line and "Reading" not in line] == []
    available = "/usr/share/offgrid-gateway/systemd/available"
    for drop_ins, limit in (
        ([], 1.6),
        (["bluetooth-usb"], 1.7),
        (["bluetooth-hci"], 2.2),
        (["restart-steps"], 1.6),
    ):
        folder = "/run/systemd/system/offgrid-gateway.service.d"
        machine.run(f"rm -rf {folder} && mkdir -p {folder}")
        for name in drop_ins:
            machine.run(f"cp {available}/{name}.conf {folder}/")
        said = machine.run(f"systemd-analyze security --offline=true --no-pager {SERVICE}.service")
        exposure = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
        assert exposure is not None, said
        assert float(exposure[1]) <= limit, said


@pytest.mark.long
def test_thirty_failing_starts_at_the_shipped_pace_and_then_one_that_does_not(machine: Machine) -> None:
    machine.post(snapshots()[0])
    drop_in(machine, "RestartSteps=0")  # Debian 13 would take half an hour for them
    machine.run(
        "cp /etc/offgrid/config.yml /etc/offgrid/good && echo 'nonsense: true' >>/etc/offgrid/config.yml"
    )
    machine.run(f"systemctl restart {SERVICE}", fails=True)
    machine.until(
        f"test $(systemctl show {SERVICE} -p NRestarts --value) -ge 30 && echo 30", "30", within_s=300
    )
    machine.run("cp /etc/offgrid/good /etc/offgrid/config.yml")
    machine.until(f"systemctl is-active {SERVICE}", "active")
    machine.until(LEAVES, "1 leaves")
