"""Every name on the metrics page, with its help, its unit and its labels.

The guide's names come first and keep its spelling. No device, peer or key is ever a label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram

from drivers.base import ChannelFigures
from gateway.core.vitals import GpsVitals, Vitals
from gateway.services.metrics.of_the_backup import OF_THE_BACKUP
from gateway.services.metrics.of_the_machine import OF_THE_MACHINE
from gateway.services.metrics.row import Row, Values, by_name, one

CHANNEL = ("radio", "channel", "mhz", "spreading_factor")


def _by_outcome(which: str) -> Callable[[Vitals], Values]:
    def values(vitals: Vitals) -> Iterator[tuple[tuple[str, ...], float]]:
        for name, radio in vitals.radios.items():
            for outcome, count in getattr(radio.stats, which).items():
                yield (name, outcome), count

    return values


def _gauges_of_radios(vitals: Vitals) -> Iterator[tuple[tuple[str, ...], float]]:
    for name, radio in vitals.radios.items():
        for gauge, value in radio.stats.gauges.items():
            yield (name, gauge), value


def _duty_left(vitals: Vitals) -> Iterator[tuple[tuple[str, ...], float]]:
    for name, radio in vitals.radios.items():
        for band, seconds in radio.lora.duty_left_s.items() if radio.lora else ():
            yield (name, band), seconds


def _duty_used(vitals: Vitals) -> Iterator[tuple[tuple[str, ...], float]]:
    for name, radio in vitals.radios.items():
        for band, seconds in radio.lora.duty_used_s.items() if radio.lora else ():
            yield (name, band), seconds


def _lora_gauges(vitals: Vitals) -> Iterator[tuple[tuple[str, ...], float]]:
    """Without the airtime by transmitter: a forwarder's name is a peer."""
    for name, radio in vitals.radios.items():
        for gauge, value in radio.lora.gauges.items() if radio.lora else ():
            if "." not in gauge:
                yield (name, gauge), value


def _by_channel(read: Callable[[ChannelFigures], float]) -> Callable[[Vitals], Values]:
    def values(vitals: Vitals) -> Iterator[tuple[tuple[str, ...], float]]:
        for name, radio in vitals.radios.items():
            for heard in radio.stats.channels:
                mhz, factor = f"{heard.frequency_hz / 1e6:.1f}", str(heard.spreading_factor)
                yield (name, str(heard.channel), mhz, factor), read(heard)

    return values


def _of_gps(read: Callable[[GpsVitals], float | None]) -> Callable[[Vitals], Values]:
    return one(lambda vitals: None if vitals.gps is None else read(vitals.gps))


def _pulses(vitals: Vitals) -> Iterator[tuple[tuple[str, ...], float]]:
    for name, value in vitals.gps.stats.gauges.items() if vitals.gps else ():
        if name.startswith("pulses_"):
            yield (name.removeprefix("pulses_"),), value


def _lora_counts(vitals: Vitals) -> Iterator[tuple[tuple[str, ...], float]]:
    for name, radio in vitals.radios.items():
        for event, count in radio.lora.counts.items() if radio.lora else ():
            if not event.endswith("_us"):
                yield (name, event), count


def _deductions(vitals: Vitals) -> dict[str, float]:
    points: dict[str, float] = {}
    for deduction in vitals.health.deductions:
        points[deduction.code] = points.get(deduction.code, 0) + deduction.points
    return points


def _bytes_to_storage(_: Vitals) -> float | None:
    """What this process has sent to block devices, by proc(5); None where the kernel does not say."""
    try:
        lines = Path("/proc/self/io").read_text().splitlines()
    except OSError:
        return None
    return next((float(line.split()[1]) for line in lines if line.startswith("write_bytes:")), None)


FROM_THE_GUIDE = (
    Row(
        "gateway_health",
        "Health score, 0 to 100; below 50 the gateway does not do its main job.",
        lambda v: [((v.gateway_id,), v.health.score)],
        ("gateway_id",),
    ),
    Row(
        "transactions_total",
        "Distinct verified transactions on disk.",
        one(lambda v: v.store.figures.verified_transactions),
    ),
    Row(
        "transactions_pending",
        "Distinct verified transactions not yet under a root that the coordinator has cosigned.",
        one(lambda v: v.store.figures.verified_transactions - v.store.figures.acked_transactions),
    ),
    Row(
        "conflicts_total",
        "Conflicts detected: unequal verified payments under one sender's nonce.",
        one(lambda v: v.store.figures.conflicts),
    ),
    Row(
        "conflicts_pending",
        "Conflicts without the coordinator's decision.",
        one(lambda v: v.store.figures.conflicts_pending),
    ),
    Row(
        "conflicts_resolved",
        "Conflicts that the coordinator has decided, as they stand.",
        one(lambda v: v.store.figures.conflicts - v.store.figures.conflicts_pending),
    ),
    Row(
        "conflicts_resolved_total",
        "Conflicts that a decision closed; one that a further text reopened is closed again.",
        one(lambda v: v.store.figures.conflicts_resolved),
    ),
    Row(
        "conflicts_awaiting_body",
        "Conflicts whose evidence waits for a pruned body from the coordinator.",
        one(lambda v: v.store.figures.conflicts_awaiting),
    ),
    Row(
        "gateway_evidence_total",
        "Evidence objects held, by what they show.",
        lambda v: [((kind,), count) for kind, count in v.store.figures.evidence.items()],
        ("kind",),
    ),
    Row(
        "gateway_lost_promises_total",
        "Promises shown by wallets whose contents this log has lost.",
        one(lambda v: v.store.figures.lost_promises),
    ),
)

OF_THE_DAEMON = (
    Row("gateway_info", "Which software runs.", lambda v: [((v.version,), 1)], ("version",)),
    Row(
        "gateway_health_deduction_points",
        "Points taken off the health score, by reason.",
        by_name(_deductions),
        ("reason",),
    ),
    Row("gateway_ready", "1 if an upload that came now could be promised.", one(lambda v: v.ready)),
    Row(
        "gateway_service_up",
        "1 if the service runs.",
        by_name(lambda v: {name: part.state == "running" for name, part in v.parts.items()}),
        ("service",),
    ),
    Row(
        "gateway_service_restarts_total",
        "How often the service failed and was run again.",
        by_name(lambda v: {name: part.restarts for name, part in v.parts.items()}),
        ("service",),
    ),
    Row(
        "gateway_slow_total",
        "How often the part took longer than it may since the daemon started.",
        by_name(lambda v: v.slow),
        ("part",),
    ),
    Row(
        "gateway_time_quality",
        "Trust in the clock: 0 none, 1 host, 2 coordinator or NTP, 3 GPS.",
        one(lambda v: v.stamp.quality),
    ),
)

OF_THE_LOG = (
    Row("gateway_log_size", "Leaves of the log.", one(lambda v: v.store.head.size)),
    Row(
        "gateway_log_cosigned_size",
        "Leaves under a root that the coordinator has cosigned.",
        one(lambda v: v.store.head.acked_size),
    ),
    Row("gateway_backlog_entries", "Leaves that the coordinator has not cosigned.", one(lambda v: v.backlog)),
    Row(
        "gateway_backlog_oldest_seconds",
        "Age of the oldest leaf that the coordinator has not cosigned; 0 without one.",
        one(lambda v: v.oldest_unacked_s),
    ),
    Row(
        "gateway_log_halted",
        "1 if the log waits for a person.",
        one(lambda v: v.store.head.halted is not None),
    ),
)

OF_THE_STORE = (
    Row(
        "gateway_store_transactions",
        "Transactions on disk, by what their signature was worth when last looked at.",
        by_name(
            lambda v: {
                "verified": v.store.figures.verified_transactions,
                "unverified": v.store.figures.unverified_transactions,
                "invalid": v.store.figures.invalid_transactions,
            }
        ),
        ("standing",),
    ),
    Row("gateway_store_file_bytes", "Size of the database.", one(lambda v: v.store.figures.file_bytes)),
    Row(
        "gateway_store_body_bytes",
        "Bytes of objects in the database.",
        one(lambda v: v.store.figures.body_bytes),
    ),
    Row(
        "gateway_store_free_bytes",
        "Free bytes of the disk that the database is on.",
        one(lambda v: v.store.free_disk),
    ),
    Row(
        "gateway_store_floor_bytes",
        "Free bytes below which nothing new is accepted.",
        one(lambda v: v.store.disk_floor),
    ),
    Row(
        "gateway_store_fsyncs_total",
        "Syncs that the database waited for since the daemon started: one a commit, three a checkpoint.",
        one(lambda v: v.store.figures.syncs_since_opening),
    ),
    Row(
        "gateway_store_commits_total",
        "Commits since the daemon started.",
        one(lambda v: v.store.figures.commits_since_opening),
    ),
    Row(
        "gateway_store_commit_seconds_total",
        "Seconds spent in commits since the daemon started.",
        one(lambda v: v.store.figures.commit_seconds_since_opening),
    ),
    Row(
        "gateway_store_write_failures_total",
        "Groups that the disk did not take since the daemon started.",
        one(lambda v: v.store.figures.write_failures_since_opening),
    ),
    Row(
        "gateway_store_pruned_entries",
        "Leaves whose bodies were freed by retention.",
        one(lambda v: v.store.figures.pruned_entries),
    ),
    Row(
        "gateway_store_latency_seconds",
        "How long the store took to answer.",
        one(lambda v: v.store.latency_s),
    ),
    Row(
        "gateway_storage_written_bytes_total",
        "Bytes that this process caused to be written to block devices; not the file system's journal.",
        one(_bytes_to_storage),
    ),
)

OF_THE_LINK = (
    Row("gateway_link_up", "1 if the coordinator has proved its key.", one(lambda v: v.link.connected)),
    Row(
        "gateway_link_down_seconds",
        "For how long the coordinator has been out of reach; 0 while connected.",
        one(lambda v: 0 if v.link.connected else v.link.down_s),
    ),
    Row("gateway_link_attempts_total", "Attempts to connect.", one(lambda v: v.link.attempts)),
    Row(
        "gateway_link_faults_total",
        "Links and attempts that ended, by why.",
        by_name(lambda v: v.link.faults),
        ("fault",),
    ),
    Row(
        "gateway_link_round_trip_seconds",
        "From the last heartbeat to its answer.",
        one(lambda v: v.link.round_trip_s),
    ),
    Row(
        "gateway_link_last_ack_age_seconds",
        "Since the last ack of this run.",
        one(lambda v: v.link.last_ack_age_s),
    ),
    Row("gateway_link_received_bytes_total", "Bytes from the coordinator.", one(lambda v: v.link.rx_bytes)),
    Row("gateway_link_sent_bytes_total", "Bytes to the coordinator.", one(lambda v: v.link.tx_bytes)),
)

OF_THE_RADIOS = (
    Row(
        "gateway_radio_up",
        "1 if the radio works.",
        by_name(lambda v: {name: radio.works for name, radio in v.radios.items()}),
        ("radio",),
    ),
    Row(
        "gateway_radio_frames_total",
        "Frames heard since the radio was opened, by outcome.",
        _by_outcome("frames"),
        ("radio", "outcome"),
    ),
    Row(
        "gateway_radio_transmits_total",
        "Frames to send since the radio was opened, by outcome.",
        _by_outcome("transmits"),
        ("radio", "outcome"),
    ),
    Row(
        "gateway_radio_driver_figure",
        "The driver's own gauges, each in the unit that its name ends in.",
        _gauges_of_radios,
        ("radio", "figure"),
    ),
    Row(
        "gateway_lora_events_total",
        "What the LoRa link saw and did.",
        _lora_counts,
        ("radio", "event"),
    ),
    Row(
        "gateway_radio_duty_left_seconds",
        "Time that may still be sent in each sub-band within the hour.",
        _duty_left,
        ("radio", "band"),
    ),
    Row(
        "gateway_radio_duty_used_seconds",
        "Time sent, or about to be, in each sub-band within the hour.",
        _duty_used,
        ("radio", "band"),
    ),
    Row(
        "gateway_lora_figure",
        "What the LoRa link holds: transfers, exchanges, frames that wait.",
        _lora_gauges,
        ("radio", "figure"),
    ),
    Row(
        "gateway_radio_channel_frames_total",
        "Frames heard since the radio was opened; spreading factor 0 is FSK.",
        _by_channel(lambda one: one.frames),
        CHANNEL,
    ),
    Row(
        "gateway_radio_channel_crc_errors_total",
        "Frames with a bad CRC since the radio was opened.",
        _by_channel(lambda one: one.crc_errors),
        CHANNEL,
    ),
    Row(
        "gateway_radio_channel_airtime_seconds_total",
        "Time on air of the frames heard since the radio was opened.",
        _by_channel(lambda one: one.airtime_us / 1e6),
        CHANNEL,
    ),
    Row(
        "gateway_radio_channel_rssi_dbm",
        "Signal strength, a running mean.",
        _by_channel(lambda one: one.rssi_dbm),
        CHANNEL,
    ),
    Row(
        "gateway_radio_channel_snr_db",
        "Signal to noise, a running mean.",
        _by_channel(lambda one: one.snr_db),
        CHANNEL,
    ),
)

OF_THE_GPS = (
    Row("gateway_gps_fixed", "1 if the GPS has a position.", _of_gps(lambda gps: gps.fixed)),
    Row(
        "gateway_gps_satellites",
        "Satellites in use.",
        _of_gps(lambda gps: gps.stats.gauges.get("satellites")),
    ),
    Row(
        "gateway_gps_crystal_drift_ppm",
        "How much too fast the concentrator's counter runs against PPS; 0 until it is known.",
        _of_gps(lambda gps: gps.stats.gauges.get("crystal_drift_ppm")),
    ),
    Row(
        "gateway_gps_distance_meters",
        "From where the configuration says the gateway stands.",
        _of_gps(lambda gps: None if gps.position is None else gps.position.from_configured_m),
    ),
    Row(
        "gateway_gps_pulses_total",
        "Seconds told by the GPS, by how PPS and counter agreed.",
        _pulses,
        ("verdict",),
    ),
)

ROWS = (
    *FROM_THE_GUIDE,
    *OF_THE_DAEMON,
    *OF_THE_LOG,
    *OF_THE_STORE,
    *OF_THE_MACHINE,
    *OF_THE_BACKUP,
    *OF_THE_LINK,
    *OF_THE_RADIOS,
    *OF_THE_GPS,
)


@dataclass(frozen=True, slots=True)
class Event:
    """One metric counted where it happens; with ``buckets`` a histogram."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: Sequence[float] = Histogram.DEFAULT_BUCKETS

    def counter(self, registry: CollectorRegistry) -> Counter:
        return Counter(self.name, self.help, self.labels, registry=registry)

    def histogram(self, registry: CollectorRegistry) -> Histogram:
        return Histogram(self.name, self.help, self.labels, buckets=self.buckets, registry=registry)


_SYNC_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)
_SYNC_HELP = "Seconds from the first unacked entry offered to the ack that covers it"

SYNC = Event("merkle_sync_duration", f"{_SYNC_HELP}.", buckets=_SYNC_BUCKETS)
SYNC_SECONDS = Event(
    "merkle_sync_duration_seconds", f"{_SYNC_HELP} (the conventional name).", buckets=_SYNC_BUCKETS
)
REQUESTS = Event("http_requests_total", "HTTP requests except probes, by status.", ("status",))
REQUEST_SECONDS = Event("api_request_duration_seconds", "Seconds that an HTTP request took.")
UPLOADS = Event(
    "gateway_uploads_total", "Messages answered, by radio and by what was answered.", ("radio", "outcome")
)
RSSI = Event(
    "gateway_radio_rssi_dbm",
    "Signal strength of the frames heard.",
    ("radio",),
    buckets=range(-140, -20, 10),
)
SNR = Event(
    "gateway_radio_snr_db",
    "Signal to noise of the frames heard.",
    ("radio",),
    buckets=(-20, -17.5, -15, -12.5, -10, -7.5, -5, 0, 5, 10),
)
AIRTIME = Event("gateway_radio_airtime_seconds_total", "Time on air, heard and sent.", ("radio", "direction"))
