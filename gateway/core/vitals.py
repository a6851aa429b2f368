"""How the daemon fares, as one frozen value, and what the pages, metrics and heartbeats say of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from drivers.base import ChannelFigures, DriverStats
from gateway.core.health import Facts, Health, assess
from gateway.core.machine import MachineFigures
from gateway.model import Figures, Head, Stamp, TimeQuality

SILENT_AFTER_S = 60.0
"""How long an opened radio may have nobody it can hear through before it counts as not working."""

PAGE_BELOW = 50
"""The operator's alert, and ``/health``: below this score the gateway does not do its main job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One supervised service: ``state`` in the words of supervision, for how many seconds, and why."""

    state: str
    for_s: float
    restarts: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkVitals:
    """The link to the coordinator; ages and durations in seconds, counts since the daemon started."""

    connected: bool = False
    down_s: float = 0.0
    halted: str | None = None
    last_fault: str = ""
    attempts: int = 0
    last_ack_age_s: float | None = None
    last_ack_latency_s: float | None = None
    round_trip_s: float | None = None
    faults: Mapping[str, int] = field(default_factory=dict)
    """Why links ended, by the fault's word."""
    rx_bytes: int = 0
    tx_bytes: int = 0
    told_size: int = 0
    """Of the newest checkpoint that the coordinator was told by text message; 0: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraVitals:
    """A LoRa link since the daemon started: what it counted and holds, and the seconds of airtime that each
    sub-band has used and left in the hour."""

    counts: Mapping[str, int]
    duty_left_s: Mapping[str, float]
    duty_used_s: Mapping[str, float] = field(default_factory=dict)
    gauges: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Degrees WGS84, metres above the ellipsoid; and how far that is from where the configuration says."""

    latitude_deg: float
    longitude_deg: float
    altitude_m: float | None
    from_configured_m: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GpsVitals:
    """A GPS receiver: whether it has a position now, the newest it had, and its driver's own figures."""

    fixed: bool
    position: Position | None
    stats: DriverStats


@dataclass(frozen=True, slots=True, kw_only=True)
class RadioVitals:
    """One radio: whether it works, its driver's own figures, and its link's where it is LoRa."""

    works: bool
    stats: DriverStats
    lora: LoraVitals | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreVitals:
    """What the store said, and how many seconds it took to say it. ``refuses``: why nothing new is taken."""

    head: Head
    figures: Figures
    latency_s: float
    free_disk: int
    disk_floor: int
    refuses: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficVitals:
    """Bytes: of today by interface; of the month against its budget, where there is one."""

    day_bytes: Mapping[str, int]
    month_bytes: int | None = None
    budget_bytes: int | None = None

    @property
    def used(self) -> float:
        """The share of the budget; 0 without one."""
        return (self.month_bytes or 0) / self.budget_bytes if self.budget_bytes else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineVitals:
    """The machine below the daemon."""

    figures: MachineFigures
    traffic: TrafficVitals


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupVitals:
    """``age_s``: since all of the log was last off the device and verified there, or since the start.
    ``uploaded_bytes`` and ``failures`` count since the start; ``tested_at_s``: seconds since 1970."""

    age_s: float
    covered: int
    objects: int
    bytes: int
    uploaded_bytes: int
    failures: int
    failure: str = ""
    tested_at_s: float | None = None
    test_passed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """All of it at one moment."""

    gateway_id: str
    version: str
    uptime_s: float
    stamp: Stamp
    parts: Mapping[str, Part]
    store: StoreVitals
    link: LinkVitals
    radios: Mapping[str, RadioVitals]
    health: Health
    gps: GpsVitals | None = None
    machine: MachineVitals | None = None
    backup: BackupVitals | None = None
    slow: Mapping[str, int] = field(default_factory=dict)
    """How often each part took longer than it may, since the start."""

    @property
    def ready(self) -> bool:
        """Whether an upload that came now could be promised."""
        return self.store.refuses is None and self.store.head.halted is None

    @property
    def backlog(self) -> int:
        """Leaves that the coordinator has not cosigned."""
        return self.store.head.size - self.store.head.acked_size

    @property
    def oldest_unacked_s(self) -> float:
        """Age of the oldest of them by our own clock; 0 when there is none, or the clock stepped back."""
        received_ms = self.store.figures.oldest_unacked_received_at_ms
        return 0.0 if received_ms is None else max(0.0, (self.stamp.unix_ms - received_ms) / 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What the configuration and the files add to the score."""

    region_unset: bool = False
    certificate_expires_in_s: float | None = None
    traffic_used: float = 0.0


def works(part: Part, stats: DriverStats) -> bool:
    """Whether a radio hears: its service runs, and the way it hears through is there.

    A driver says that it hears through something else (a packet forwarder) by gauges named ``*_reachable``.
    """
    reachable = [count for name, count in stats.gauges.items() if name.endswith("_reachable")]
    silent = bool(reachable) and not any(reachable) and part.for_s > SILENT_AFTER_S
    return part.state == "running" and not silent


def fault_of(part: Part, stats: DriverStats) -> str:
    """Why a radio does not work, as far as its service and its driver know."""
    return part.reason or stats.note or "nothing that it hears through is there"


def judge(
    parts: Mapping[str, Part],
    store: StoreVitals,
    link: LinkVitals,
    radios: Mapping[str, bool],
    faults: Mapping[str, str],
    quality: TimeQuality,
    circumstances: Circumstances,
) -> Health:
    """The score; ``radios`` says of each whether it works, ``faults`` what is known of one that does not."""
    halted, begun = store.head.halted, store.head.begun
    return assess(
        Facts(
            log_halted=None if halted is None else f"{halted.what}; {halted.fix}",
            epoch_begun=None if begun is None else f"{begun.what}; {begun.fix}",
            store_refuses=store.refuses,
            radios=radios,
            radio_faults=faults,
            link_down_s=None if link.connected else link.down_s,
            link_fault=link.last_fault,
            link_halted=link.halted,
            halted_services=_halted(parts, besides={*radios, "link"}),
            free_disk=store.free_disk,
            disk_floor=store.disk_floor,
            region_unset=circumstances.region_unset,
            certificate_expires_in_s=circumstances.certificate_expires_in_s,
            time_trusted=quality >= TimeQuality.AGREED,
            traffic_used=circumstances.traffic_used,
        )
    )


def _halted(parts: Mapping[str, Part], besides: Iterable[str]) -> dict[str, str]:
    counted = set(besides)
    return {
        name: part.reason for name, part in parts.items() if part.state == "halted" and name not in counted
    }


def health_document(vitals: Vitals) -> dict[str, object]:
    """``/health``: the score and what it lacks to 100."""
    health = vitals.health
    word = "healthy" if health.score == 100 else "degraded" if health.score >= PAGE_BELOW else "unhealthy"
    return {
        "status": word,
        "gatewayId": vitals.gateway_id,
        "score": health.score,
        "reasons": list(health.reasons),
    }


def status_document(vitals: Vitals) -> dict[str, object]:
    """``/status``: every part with its state, and the store with its latency."""
    return {
        **health_document(vitals),
        "deductions": [
            {"points": one.points, "code": one.code, "reason": one.reason} for one in vitals.health.deductions
        ],
        "version": vitals.version,
        "uptimeSeconds": round(vitals.uptime_s, 1),
        "time": {"unixMs": vitals.stamp.unix_ms, "quality": int(vitals.stamp.quality)},
        "services": {name: _part(part) for name, part in vitals.parts.items()},
        "store": _store(vitals),
        "link": _link(vitals.link),
        "radios": {name: _radio(radio) for name, radio in vitals.radios.items()},
        "gps": None if vitals.gps is None else _gps(vitals.gps),
        "backup": None if vitals.backup is None else _backup(vitals.backup),
    }


def _part(part: Part) -> dict[str, object]:
    return {
        "state": part.state,
        "forSeconds": round(part.for_s, 1),
        "restarts": part.restarts,
        "reason": part.reason,
    }


def _store(vitals: Vitals) -> dict[str, object]:
    store, head, figures = vitals.store, vitals.store.head, vitals.store.figures
    return {
        "state": "halted" if head.halted else "refusing" if store.refuses else "open",
        "reason": store.refuses or (head.halted.what if head.halted else ""),
        "latencyMs": round(store.latency_s * 1000, 2),
        "origin": head.origin,
        "size": head.size,
        "root": head.root.hex(),
        "signedSize": head.signed_size,
        "ackedSize": head.acked_size,
        "backlog": vitals.backlog,
        "oldestUnackedSeconds": round(vitals.oldest_unacked_s, 1),
        "transactions": figures.verified_transactions,
        "conflictsPending": figures.conflicts_pending,
        "fileBytes": figures.file_bytes,
        "freeDiskBytes": store.free_disk,
        "diskFloorBytes": store.disk_floor,
    }


def _link(link: LinkVitals) -> dict[str, object]:
    return {
        "state": "halted" if link.halted else "connected" if link.connected else "down",
        "reason": link.halted or ("" if link.connected else link.last_fault),
        "downSeconds": 0 if link.connected else round(link.down_s, 1),
        "latencyMs": None if link.last_ack_latency_s is None else round(link.last_ack_latency_s * 1000, 1),
        "roundTripMs": None if link.round_trip_s is None else round(link.round_trip_s * 1000, 1),
        "lastAckSecondsAgo": None if link.last_ack_age_s is None else round(link.last_ack_age_s, 1),
        "attempts": link.attempts,
        "faults": dict(link.faults),
        "rxBytes": link.rx_bytes,
        "txBytes": link.tx_bytes,
        "toldByTextSize": link.told_size,
    }


def _radio(radio: RadioVitals) -> dict[str, object]:
    stats = radio.stats
    return {
        "state": "works" if radio.works else "down",
        "note": stats.note,
        "frames": dict(stats.frames),
        "transmits": dict(stats.transmits),
        "gauges": dict(stats.gauges),
        "link": None if radio.lora is None else dict(radio.lora.counts),
        "dutyUsedSeconds": None if radio.lora is None else dict(radio.lora.duty_used_s),
        "dutyLeftSeconds": None if radio.lora is None else dict(radio.lora.duty_left_s),
        "channels": [channel_document(one) for one in stats.channels],
    }


def channel_document(figures: ChannelFigures) -> dict[str, object]:
    """One channel at one spreading factor."""
    return {
        "channel": figures.channel,
        "frequencyHz": figures.frequency_hz,
        "spreadingFactor": figures.spreading_factor,
        "frames": figures.frames,
        "crcErrors": figures.crc_errors,
        "rssiDbm": round(figures.rssi_dbm, 1),
        "snrDb": round(figures.snr_db, 1),
        "airtimeSeconds": round(figures.airtime_us / 1e6, 3),
    }


def _backup(backup: BackupVitals) -> dict[str, object]:
    return {
        "ageSeconds": round(backup.age_s, 1),
        "leaves": backup.covered,
        "objects": backup.objects,
        "bytes": backup.bytes,
        "failures": backup.failures,
        "reason": backup.failure,
        "testedAt": backup.tested_at_s,
        "testPassed": None if backup.tested_at_s is None else backup.test_passed,
    }


def _gps(gps: GpsVitals) -> dict[str, object]:
    position = gps.position
    return {
        "fixed": gps.fixed,
        "position": None
        if position is None
        else {
            "lat": round(position.latitude_deg, 6),
            "lon": round(position.longitude_deg, 6),
            "altitudeM": position.altitude_m,
            "fromConfiguredM": round(position.from_configured_m),
        },
        "gauges": dict(gps.stats.gauges),
        "note": gps.stats.note,
    }
