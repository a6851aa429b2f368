"""Who holds a device: found in /proc, named with the command that frees it; and our own lock."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from device_holder import other_program

from drivers.errors import DriverLost
from drivers.lora_sx1301.rivals import FORWARDERS
from drivers.transport.holders import DeviceLock, Holder, holders, running


def process(proc: Path, pid: int, name: str, cgroup: str, *files: Path) -> None:
    """As the kernel shows one (proc(5))."""
    (proc / str(pid) / "fd").mkdir(parents=True)
    (proc / str(pid) / "comm").write_text(f"{name[:15]}\n")
    (proc / str(pid) / "cgroup").write_text(f"{cgroup}\n")
    for number, file in enumerate(files):
        (proc / str(pid) / "fd" / str(number)).symlink_to(file)


@pytest.mark.parametrize(
    ("cgroup", "unit", "remedy"),
    [
        ("0::/system.slice/ttn-gateway.service", "ttn-gateway", "sudo systemctl disable --now ttn-gateway"),
        ("12:pids:/system.slice/a.slice/x@1.service", "x@1", "sudo systemctl disable --now x@1"),
        (
            "0::/system.slice/offgrid-gateway.service",
            "offgrid-gateway",
            "sudo systemctl stop offgrid-gateway",
        ),
        ("0::/user.slice/user-1000.slice/session-3.scope", "", "sudo kill 71"),
        ("0::/", "", "sudo kill 71"),
    ],
)
def test_a_holder_is_named_with_the_command_that_has_it_let_go(
    tmp_path: Path, cgroup: str, unit: str, remedy: str
) -> None:
    device, proc = tmp_path / "spidev0.0", tmp_path / "proc"
    device.touch()
    process(proc, 71, "lora_pkt_fwd", cgroup, Path("/dev/null"), device)
    process(proc, 72, "sshd", "0::/system.slice/ssh.service", Path("/dev/null"))
    assert holders(str(device), proc) == [Holder(71, "lora_pkt_fwd", unit)]
    assert holders(str(device), proc)[0].remedy == remedy
    assert str(holders(str(device), proc)[0]) == "lora_pkt_fwd (process 71)"


def test_what_another_user_has_open_is_hidden_but_that_a_forwarder_runs_is_not(tmp_path: Path) -> None:
    process(tmp_path, 7, "chirpstack-concentratord-sx1301", "0::/system.slice/cc.service")
    process(tmp_path, 8, "bash", "0::/")
    assert holders("/dev/spidev0.0", tmp_path) == []
    assert running(FORWARDERS, tmp_path) == [Holder(7, "chirpstack-conc", "cc")]


def test_a_process_that_ends_meanwhile_is_nobody(tmp_path: Path) -> None:
    (tmp_path / "9").mkdir()
    assert holders("/dev/null", tmp_path) == running(FORWARDERS, tmp_path) == []


@pytest.mark.parametrize("how", [(), ("lock",)])
def test_a_device_is_ours_alone_or_not_at_all(tmp_path: Path, how: tuple[str, ...]) -> None:
    device = tmp_path / "spidev0.0"
    device.touch()
    with (
        other_program(device, *how) as pid,
        pytest.raises(DriverLost, match=rf"{device} is held by python\S* \(process {pid}\)"),
    ):
        DeviceLock(str(device))
    lock = DeviceLock(str(device))
    with pytest.raises(DriverLost, match=f"locked by another process; who it is: sudo fuser -v {device}"):
        DeviceLock(str(device))
    lock.close()
    lock.close()
    DeviceLock(str(device)).close()


def test_a_refused_lock_leaves_nothing_open(tmp_path: Path) -> None:
    device = tmp_path / "spidev0.0"
    device.touch()
    before = set(os.listdir("/proc/self/fd"))
    with other_program(device), pytest.raises(DriverLost):
        DeviceLock(str(device))
    assert set(os.listdir("/proc/self/fd")) == before
