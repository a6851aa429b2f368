"""From the configuration to what each part takes; nothing is opened here."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from gateway.config import Config, DeviceLimits, PeerLimits, RadioLimits
from gateway.config import LastWayHome as LastWayHomeSettings
from gateway.core.admission import Rate, Rates
from gateway.core.certificate_dates import Validity
from gateway.core.last_way import LastWaySettings
from gateway.core.traffic import Budget
from gateway.core.vitals import Circumstances
from gateway.errors import FatalError
from gateway.keys import handed_over
from gateway.keys.certificates import Certificates
from gateway.model import RetentionPolicy, Stamp, TimeQuality
from gateway.services.sync_link import LinkSettings, client_context
from gateway.store import Limits, StoreSettings

MIB = 1 << 20
MB = 10**6  # contracts count in these
DAY_MS = 86_400_000


def disk_floor(config: Config) -> int:
    """Bytes of disk that stay free."""
    return config.storage.min_free_mb * MIB


def free_bytes(config: Config) -> Callable[[], int]:
    """Asks how much the database's disk has left."""
    return partial(_free_bytes, config.storage.path.parent)


def _free_bytes(folder: Path) -> int:
    stat = os.statvfs(folder)
    return stat.f_bavail * stat.f_frsize


def restored_mark(config: Config) -> Path:
    """There while a restored log waits for the coordinator's word."""
    return config.storage.path.with_name(config.storage.path.name + ".restored")


def make_folder(config: Config) -> Path:
    """The state's. Raises FatalError where it cannot be made."""
    folder = config.storage.path.parent
    try:
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as error:
        fix = f"make it and give it to the user that runs the gateway: install -d -o USER -m 750 {folder}"
        raise FatalError(
            f"storage.path: its folder {folder} cannot be made ({error.strerror}); {fix}"
        ) from error
    return folder


def store_settings(config: Config) -> StoreSettings:
    """The database; its folder is made where it is missing. Raises FatalError where it cannot be."""
    folder = make_folder(config)
    stat = os.statvfs(folder)
    share = stat.f_blocks * stat.f_frsize * config.limits.unverified_disk_percent // 100
    return StoreSettings(
        path=config.storage.path,
        gateway_id=config.gateway.id,
        free_bytes=free_bytes(config),
        limits=Limits(
            free_disk_floor=disk_floor(config),
            unproven_bytes=share,
            texts_per_nonce=config.limits.max_texts_per_nonce,
        ),
    )


def traffic_budget(config: Config) -> Budget | None:
    """What a month may carry; None: nothing is counted against anything."""
    budget = config.network.budget
    if budget.month_mb is None:
        return None
    month_bytes = budget.month_mb * MB
    return Budget(
        month_bytes=month_bytes, interfaces=tuple(sorted(budget.interfaces)), first_day=budget.first_day
    )


def last_way(config: LastWayHomeSettings) -> LastWaySettings:
    """When the coordinator is told by text message."""
    return LastWaySettings(
        after_s=float(config.after_seconds),
        interval_s=float(config.interval_seconds),
        per_day=config.per_day,
    )


def rates(config: Config) -> Rates:
    """The limits before and after verification."""
    limits = config.limits
    return Rates(_rate(limits.radio), _rate(limits.peer), _rate(limits.device))


def _rate(limits: RadioLimits | PeerLimits | DeviceLimits) -> Rate:
    return Rate(limits.messages_per_minute, limits.bytes_per_minute)


def retention_policy(config: Config, now: Stamp) -> RetentionPolicy:
    """What may go. A clock that nobody confirmed ages nothing: one of ten years ahead would take it all."""
    before = now.unix_ms - config.storage.retention_days * DAY_MS
    trusted = now.quality >= TimeQuality.AGREED
    return RetentionPolicy(
        max_snapshots=config.storage.max_snapshots, received_before_ms=before if trusted else None
    )


def link_settings(config: Config) -> LinkSettings:
    """The way to the coordinator. Raises OSError where a certificate cannot be read."""
    network, security = config.network, config.security
    certificate = (certificates(config).in_force(), handed_over(security.private_key_path, os.environ))
    secure = network.ws_url.startswith("wss:")
    tls = client_context(network.tls.ca_path, certificate if network.tls.client_certificate else None)
    return LinkSettings(
        url=network.ws_url,
        tls=tls if secure else None,
        reconnect_interval_s=network.reconnect_interval / 1000,
        heartbeat_s=float(config.sync.heartbeat_seconds),
        max_entries=config.sync.batch_entries,
        max_bytes=config.sync.batch_bytes,
    )


def certificates(config: Config) -> Certificates:
    """The configured certificate, and the place of one that has replaced it."""
    return Certificates(config.security.certificate_path, config.storage.certificate_path)


def circumstances(
    config: Config, now: Callable[[], Stamp], validity: Callable[[], Validity | None]
) -> Callable[[], Circumstances]:
    """What the configuration and the certificate in force add to the score."""
    lora = config.lora
    region_unset = lora is not None and lora.driver != "none" and lora.region is None

    def gathered() -> Circumstances:
        dates = validity()
        left_s = None if dates is None else (dates.not_after_ms - now().unix_ms) / 1000
        return Circumstances(region_unset=region_unset, certificate_expires_in_s=left_s)

    return gathered
