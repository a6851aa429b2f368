"""The machine below the daemon, and what its interfaces carry."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gateway.core.machine import CAPPED, HOT, SINCE_BOOT, THROTTLED, UNDERVOLTAGE, MachineFigures
from gateway.core.vitals import MachineVitals, Vitals
from gateway.services.metrics.row import Row, Values, one

FLAGS = {"undervoltage": UNDERVOLTAGE, "frequency_capped": CAPPED, "throttled": THROTTLED, "hot": HOT}


def _figure(read: Callable[[MachineFigures], float | None]) -> Callable[[Vitals], Values]:
    return one(lambda v: None if v.machine is None else read(v.machine.figures))


def _traffic(read: Callable[[MachineVitals], float | None]) -> Callable[[Vitals], Values]:
    return one(lambda v: None if v.machine is None else read(v.machine))


def _cpu(vitals: Vitals) -> Values:
    return [] if vitals.machine is None else [((m,), s) for m, s in vitals.machine.figures.cpu_s.items()]


def _flags(vitals: Vitals) -> Iterator[tuple[tuple[str, ...], float]]:
    seen = None if vitals.machine is None else vitals.machine.figures.throttled
    if seen is None:
        return
    for name, flag in FLAGS.items():
        yield (name, "now"), float(bool(seen & flag))
        yield (name, "boot"), float(bool(seen & flag << SINCE_BOOT))


def _interfaces(vitals: Vitals) -> Iterator[tuple[tuple[str, ...], float]]:
    interfaces = {} if vitals.machine is None else vitals.machine.figures.interfaces
    for name, (received, sent) in interfaces.items():
        yield (name, "received"), received
        yield (name, "sent"), sent


def _day(vitals: Vitals) -> Values:
    return (
        []
        if vitals.machine is None
        else [((n,), size) for n, size in vitals.machine.traffic.day_bytes.items()]
    )


OF_THE_MACHINE = (
    Row("gateway_host_cpu_seconds_total", "Seconds of all processors, by mode.", _cpu, ("mode",)),
    Row("gateway_host_memory_bytes", "Memory of the machine.", _figure(lambda m: m.memory_total)),
    Row(
        "gateway_host_memory_available_bytes",
        "Memory that can be had without swapping.",
        _figure(lambda m: m.memory_available),
    ),
    Row("gateway_host_temperature_celsius", "Of the processor.", _figure(lambda m: m.temperature_c)),
    Row(
        "gateway_host_supply_fault",
        "1 if the Pi's firmware sees this now, or has since the boot.",
        _flags,
        ("fault", "since"),
    ),
    Row(
        "gateway_host_disk_read_only",
        "1 if the file system of the database is mounted read-only.",
        _figure(lambda m: m.read_only),
    ),
    Row(
        "gateway_host_disk_written_bytes_total",
        "Bytes written to the block device below the database since the boot, by everybody.",
        _figure(lambda m: m.written),
    ),
    Row(
        "gateway_host_disk_life_used_ratio",
        "Share of its rated life that the card says it has used.",
        _figure(lambda m: m.life_used),
    ),
    Row(
        "gateway_network_bytes_total",
        "Bytes of an interface since the boot.",
        _interfaces,
        ("interface", "direction"),
    ),
    Row("gateway_traffic_day_bytes", "Bytes of an interface today (UTC), both ways.", _day, ("interface",)),
    Row(
        "gateway_traffic_month_bytes",
        "Bytes of this month that count for the budget.",
        _traffic(lambda m: m.traffic.month_bytes),
    ),
    Row(
        "gateway_traffic_budget_bytes",
        "The month's budget.",
        _traffic(lambda m: m.traffic.budget_bytes),
    ),
)
