"""The disk: room, wear, whether it may be written, and what the system's own log may take of it."""

from __future__ import annotations

import re
from pathlib import Path

from gateway.services.doctor.check import Check, Outcome, Patient, failed, passed, skipped, warned

MIB = 1 << 20
SECTOR = 512  # of /sys/block/*/stat, whatever the disk's own are (kernel, iostats.rst)
DAY_S = 86_400
MUCH_A_DAY = 500 * MIB
WORN, WORN_OUT = 0x09, 0x0B  # JEDEC eMMC 5.0, DEVICE_LIFE_TIME_EST: tenths used, plus one
MAKE_ROOM = "remove what is not needed there; what the coordinator has acked goes by storage.retention_days"


def folder(patient: Patient) -> Path:
    """Where the database is or will be: the nearest folder that exists."""
    here = patient.sound.storage.path.parent.absolute()
    while not here.exists():
        here = here.parent
    return here


def _space(patient: Patient) -> Outcome:
    seen, floor = patient.host.disk(folder(patient)), patient.sound.storage.min_free_mb * MIB
    free = seen.f_bavail * seen.f_frsize
    words = f"{free // MIB} MiB free, {floor // MIB} must stay"
    if free < floor:
        return failed(f"{words}: new snapshots are refused", MAKE_ROOM)
    if free < 2 * floor:
        return warned(words, MAKE_ROOM)
    if seen.f_files and seen.f_favail < seen.f_files // 50:
        return warned(f"{seen.f_favail} files more fit", "remove small files; df -i tells where")
    return passed(words)


def _device(patient: Patient) -> str | None:
    """The block device below the database, such as ``mmcblk0``."""
    mount = patient.host.mount(folder(patient))
    if mount is None or not mount[0].startswith("/dev/"):
        return None
    name = patient.host.target(mount[0]).removeprefix("/dev/")
    return re.sub(r"(?<=\d)p\d+$|(?<=[a-z])\d+$", "", name) if not name.startswith("dm-") else name


def _wear(patient: Patient) -> Outcome:
    host, device = patient.host, _device(patient)
    if device is None:
        return skipped("the disk below is not known")
    life = host.read(f"/sys/block/{device}/device/life_time")
    if life is not None:
        used = max(int(one, 16) for one in life.split())
        if used >= WORN_OUT:
            return failed(
                f"{device} is past its rated life", "replace it now; the gateway restores from its backup"
            )
        if used >= WORN:
            return warned(f"{device} has used {(used - 1) * 10} % of its rated life", "plan to replace it")
    written, uptime = _written(patient, device), host.read("/proc/uptime")
    if written is None or uptime is None:
        return skipped(f"{device} does not say")
    seconds = max(float(uptime.split()[0]), 1.0)
    a_day = written / seconds * DAY_S
    if seconds > 3600 and a_day > MUCH_A_DAY:
        fix = "see who writes (sudo iotop -ao); the gateway's own part is gateway_storage_written_bytes_total"
        return warned(f"{a_day / MIB:.0f} MiB a day are written to {device}", fix)
    return passed(f"{written / MIB:.0f} MiB written to {device} since the last boot")


def _written(patient: Patient, device: str) -> int | None:
    text = patient.host.read(f"/sys/block/{device}/stat")
    return None if text is None else int(text.split()[6]) * SECTOR


def _file_system(patient: Patient) -> Outcome:
    mount = patient.host.mount(folder(patient))
    if mount is None:
        return skipped("no mount is known")
    device, point, kind, options = mount
    if "ro" in options:
        fix = "a card that went read-only is dying: look at dmesg, replace it; else: sudo mount -o remount,rw"
        return failed(f"{point} ({device}) is read-only", f"{fix} {point}")
    overlaid = kind == "overlay" and "boot=overlay" in (patient.host.read("/proc/cmdline") or "")
    if kind == "tmpfs" or overlaid:
        return failed(f"{point} is {kind}: a restart loses it all", "put storage.path on the card itself")
    if kind in ("vfat", "exfat", "ntfs", "nfs", "nfs4", "cifs"):
        return failed(f"{point} is {kind}, which keeps no promise over a power cut", "use ext4")
    return passed(f"{point} is {kind}, writable")


def _log_space(patient: Patient) -> Outcome:
    host = patient.host
    if not host.exists("/var/log/journal"):
        return passed("the journal is in memory")
    files = ["/etc/systemd/journald.conf", *host.names("/etc/systemd/journald.conf.d/*.conf")]
    files += host.names("/usr/lib/systemd/journald.conf.d/*.conf")
    texts = [host.read(one) or "" for one in files]
    caps = [cap for text in texts for cap in re.findall(r"^SystemMaxUse=(\S+)", text, re.MULTILINE)]
    if not caps:
        fix = "set SystemMaxUse=100M in /etc/systemd/journald.conf.d/offgrid.conf (systemd/journal.conf)"
        return warned("the journal may take a tenth of the disk", fix)
    return passed(f"the journal is capped at {caps[-1]}")


CHECKS = (
    Check("disk-space", "below the floor new snapshots are refused", _space),
    Check("disk-wear", "cards die of writing, all at once", _wear),
    Check("file-system", "what cannot be written cannot be promised", _file_system),
    Check("log-space", "logs have filled disks before", _log_space, needs_config=False),
)
