"""The machine in figures: what the kernel's files under /proc and /sys say, as they say it.

Every reader takes a file's text, or None where there is none, and gives None where it does not say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

TICKS_PER_S = 100
"""USER_HZ, in which /proc/stat counts on every architecture we run on: proc_stat(5)."""
SECTOR = 512
"""Of /sys/block/*/stat, whatever the disk's own are: the kernel's iostats.rst."""
CPU_MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")

UNDERVOLTAGE, CAPPED, THROTTLED, HOT = 1 << 0, 1 << 1, 1 << 2, 1 << 3
SINCE_BOOT = 16
"""The flags of the Pi's firmware (vcgencmd get_throttled); shifted by this: since the boot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineFigures:
    """Sizes in bytes; counts since the boot. None, or nothing, where the machine does not say.

    ``throttled``: the firmware's flags. ``life_used``: the share of its rated life that the card has used,
    in tenths, as JEDEC eMMC 5.0 tells it. ``interfaces``: bytes received and sent.
    """

    cpu_s: Mapping[str, float] = field(default_factory=dict)
    memory_total: int | None = None
    memory_available: int | None = None
    temperature_c: float | None = None
    throttled: int | None = None
    written: int | None = None
    life_used: float | None = None
    read_only: bool | None = None
    interfaces: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def cpu_seconds(stat: str | None) -> dict[str, float]:
    """By mode, of all processors together: the first line of /proc/stat."""
    ticks = re.match(r"cpu +([\d ]+)", stat or "")
    counts = [] if ticks is None else [int(one) for one in ticks[1].split()]
    return {mode: count / TICKS_PER_S for mode, count in zip(CPU_MODES, counts, strict=False)}


def memory(meminfo: str | None, name: str) -> int | None:
    """One figure of /proc/meminfo, such as MemAvailable."""
    found = re.search(rf"^{name}:\s+(\d+) kB$", meminfo or "", re.MULTILINE)
    return None if found is None else int(found[1]) << 10


def temperature(millidegrees: str | None) -> float | None:
    """Degrees Celsius of a thermal zone."""
    return None if not _is_number(millidegrees) else int(millidegrees or 0) / 1000


def throttled(flags: str | None) -> int | None:
    """The firmware's flags, told in hexadecimal."""
    found = re.fullmatch(r"(?:0x)?([0-9a-fA-F]{1,8})", (flags or "").strip())
    return None if found is None else int(found[1], 16)


def sectors_written(stat: str | None) -> int | None:
    """Bytes written to a block device: the seventh figure of its stat."""
    figures = (stat or "").split()
    return int(figures[6]) * SECTOR if len(figures) > 6 and figures[6].isdigit() else None


def life_used(life_time: str | None) -> float | None:
    """The larger of the two estimates (SLC and MLC), 0x01 being the first tenth, 0x0b past the rated life."""
    try:
        tenths = [int(one, 16) for one in (life_time or "").split()]
    except ValueError:
        return None
    known = [one for one in tenths if one]
    return max(known) / 10 if known else None


def interface_bytes(net_dev: str | None) -> dict[str, tuple[int, int]]:
    """Received and sent of each interface but the loopback: /proc/net/dev."""
    found = re.findall(r"^\s*([^\s:]+):\s*(\d+)(?:\s+\d+){7}\s+(\d+)", net_dev or "", re.MULTILINE)
    return {name: (int(received), int(sent)) for name, received, sent in found if name != "lo"}


def mount_of(mounts: str | None, path: str) -> tuple[str, bool] | None:
    """Device and whether it is read-only, of the file system that has ``path``: /proc/mounts."""
    best: tuple[int, str, bool] | None = None
    for line in (mounts or "").splitlines():
        device, point, _, options = line.split(" ")[:4]
        point = point.replace("\\040", " ")
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and (best is None or len(point) >= best[0]):
            best = (len(point), device, "ro" in options.split(","))
    return None if best is None else best[1:]


def disk_of(partition: str) -> str:
    """The block device of a partition's name: mmcblk0p2 → mmcblk0, sda1 → sda."""
    return re.sub(r"(?<=\d)p\d+$|(?<=[a-z])\d+$", "", partition.removeprefix("/dev/"))


def _is_number(text: str | None) -> bool:
    return text is not None and re.fullmatch(r"-?\d{1,9}", text.strip()) is not None
