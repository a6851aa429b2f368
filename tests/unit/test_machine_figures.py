"""What the kernel's files say of the machine, and traffic by day and month."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import machine
from gateway.core.traffic import DAYS, MAX_INTERFACES, Budget, Traffic, TrafficInvalid
from gateway.services.machine import Kernel

DAY_MS = 86_400_000
NOV_20 = 1_795_132_800_000  # 2026-11-20
BUDGET = Budget(month_bytes=1000, interfaces=("wwan*",))

NET_DEV = """Inter-|   Receive        |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop
    lo:  999 10 0 0 0 0 0 0 999 10 0 0 0 0 0 0
 wwan0: 1500 12 0 0 0 0 0 0 700 9 0 0 0 0 0 0
  eth0:10 1 0 0 0 0 0 0 20 1 0 0 0 0 0 0
"""


def test_a_pi_is_read_as_its_kernel_says(tmp_path: Path) -> None:
    files = {
        "proc/stat": "cpu  100 5 50 1000 7 0 3 0 0 0\ncpu0 1 2 3\n",
        "proc/meminfo": "MemTotal:        3884400 kB\nMemFree: 1 kB\nMemAvailable:    3200000 kB\n",
        "proc/mounts": "/dev/mmcblk0p2 / ext4 rw,noatime 0 0\n/dev/mmcblk0p1 /boot/firmware vfat ro 0 0\n",
        "proc/net/dev": NET_DEV,
        "sys/class/thermal/thermal_zone0/temp": "48312\n",
        "sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n",
        "sys/block/mmcblk0/stat": "  9 9 9 9 9 9 2048 9 9 9 9",
        "sys/block/mmcblk0/device/life_time": "0x01 0x03\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    seen = Kernel(Path("/var/lib/offgrid"), tmp_path).figures()
    assert seen.cpu_s["user"] == 1.0 and seen.cpu_s["idle"] == 10.0
    assert (seen.memory_total, seen.memory_available) == (3884400 << 10, 3200000 << 10)
    assert seen.temperature_c == 48.312
    assert seen.throttled == machine.UNDERVOLTAGE | machine.THROTTLED | 0x50000
    assert (seen.written, seen.life_used, seen.read_only) == (1 << 20, 0.3, False)
    assert seen.interfaces == {"wwan0": (1500, 700), "eth0": (10, 20)}


def test_a_machine_that_says_nothing_is_no_fault(tmp_path: Path) -> None:
    seen = Kernel(Path("/var/lib/offgrid"), tmp_path).figures()
    assert seen == machine.MachineFigures()


def test_a_card_remounted_read_only_is_seen() -> None:
    mounts = "/dev/root / ext4 ro 0 0\n/dev/sda1 /var/lib ext4 rw,relatime 0 0\n"
    assert machine.mount_of(mounts, "/etc/offgrid") == ("/dev/root", True)
    assert machine.mount_of(mounts, "/var/lib/offgrid") == ("/dev/sda1", False)
    assert machine.mount_of(mounts, "/var/library") == ("/dev/root", True)


@pytest.mark.parametrize(
    ("partition", "disk"), [("/dev/mmcblk0p2", "mmcblk0"), ("sda1", "sda"), ("/dev/nvme0n1p3", "nvme0n1")]
)
def test_a_partition_leads_to_its_disk(partition: str, disk: str) -> None:
    assert machine.disk_of(partition) == disk


@given(st.text())
def test_no_text_breaks_a_reader(text: str) -> None:
    machine.cpu_seconds(text)
    machine.memory(text, "MemTotal")
    machine.temperature(text)
    machine.throttled(text)
    machine.sectors_written(text)
    machine.life_used(text)
    machine.interface_bytes(text)


def test_bytes_are_counted_by_day_and_for_the_month_only_where_they_cost() -> None:
    traffic = Traffic("boot")
    traffic.observe({"wwan0": (100, 50), "eth0": (7, 0)}, NOV_20)
    traffic.observe({"wwan0": (100, 90), "eth0": (9, 0)}, NOV_20 + DAY_MS)
    assert traffic.of_day(NOV_20) == {"wwan0": 150, "eth0": 7}
    assert traffic.of_day(NOV_20 + DAY_MS) == {"wwan0": 40, "eth0": 2}
    assert traffic.of_month(BUDGET, NOV_20 + DAY_MS) == 190
    assert traffic.of_month(BUDGET, NOV_20 + 12 * DAY_MS) == 0, "December"
    late = Budget(month_bytes=1, interfaces=("wwan*",), first_day=21)
    assert traffic.of_month(late, NOV_20 + DAY_MS) == 40
    assert traffic.of_month(late, NOV_20 + 12 * DAY_MS) == 40, "until 20 December"


def test_a_restart_loses_nothing_and_a_reboot_counts_from_nothing() -> None:
    before = Traffic("one")
    before.observe({"wwan0": (100, 0)}, NOV_20)
    kept = json.loads(json.dumps(before.kept()))
    same = Traffic("one")
    same.restore(kept)
    same.observe({"wwan0": (130, 0)}, NOV_20)
    assert same.of_day(NOV_20) == {"wwan0": 130}
    other = Traffic("two")
    other.restore(kept)
    other.observe({"wwan0": (30, 0)}, NOV_20)
    assert other.of_day(NOV_20) == {"wwan0": 130}


def test_a_modem_taken_out_and_put_back_counts_from_nothing() -> None:
    traffic = Traffic("boot")
    traffic.observe({"wwan0": (100, 0)}, NOV_20)
    traffic.observe({}, NOV_20)
    traffic.observe({"wwan0": (10, 0)}, NOV_20)
    assert traffic.of_day(NOV_20) == {"wwan0": 110}


@given(st.lists(st.tuples(st.integers(0, 4_000_000_000_000), st.text(max_size=3), st.integers(0, 1 << 50))))
def test_it_stays_bounded_whatever_comes(seen: list[tuple[int, str, int]]) -> None:
    traffic = Traffic("boot")
    for now_ms, name, size in seen:
        traffic.observe({name: (size, 0)}, now_ms)
    assert len(traffic.kept()["days"]) <= (DAYS + 1) * MAX_INTERFACES
    assert len(traffic.kept()["counters"]) <= MAX_INTERFACES


@pytest.mark.parametrize("kept", [None, [], {}, {"boot": "b", "counters": [], "days": [["x", "y", 1]]}])
def test_a_damaged_record_is_refused(kept: object) -> None:
    with pytest.raises(TrafficInvalid):
        Traffic("boot").restore(kept)
