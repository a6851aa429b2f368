"""From the configuration to the parts: units, and what an untrusted clock must not decide."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from gateway.app import settings
from gateway.config import Config
from gateway.core.admission import Rate
from gateway.keys.generate import make_keys
from gateway.model import Stamp, TimeQuality

DAY_MS = 86_400_000


def config(root: Path, **sections: Any) -> Config:
    return Config.model_validate(
        {
            "gateway": {"id": "gw", "location": {"lat": 1.0, "lon": 2.0, "name": "x"}, "type": "mesh"},
            "network": {"api_url": "https://a.example", "ws_url": "wss://a.example"},
            "security": {"private_key_path": "key", "certificate_path": "crt"},
            "storage": {"path": "deep/down/gateway.db"},
            **sections,
        },
        context={"base": root},
    )


@pytest.mark.parametrize("quality", list(TimeQuality))
def test_retention_by_age_waits_for_a_clock_that_somebody_confirmed(
    tmp_path: Path, quality: TimeQuality
) -> None:
    policy = settings.retention_policy(
        config(tmp_path, storage={"max_snapshots": 5, "retention_days": 2}), Stamp(10 * DAY_MS, quality)
    )
    assert policy.max_snapshots == 5
    assert policy.received_before_ms == (8 * DAY_MS if quality >= TimeQuality.AGREED else None)


def test_the_interval_is_told_in_milliseconds_and_kept_in_seconds(tmp_path: Path) -> None:
    network = {"api_url": "https://a.example", "ws_url": "ws://127.0.0.1:1", "reconnect_interval": 2500}
    link = settings.link_settings(config(tmp_path, network=network, sync={"batch_entries": 7}))
    assert (link.reconnect_interval_s, link.max_entries, link.tls) == (2.5, 7, None)
    assert settings.link_settings(config(tmp_path)).tls is not None


def test_limits_reach_their_buckets(tmp_path: Path) -> None:
    limits = {"peer": {"messages_per_minute": 3, "bytes_per_minute": 2000}}
    assert settings.rates(config(tmp_path, limits=limits)).peer == Rate(3, 2000)


def test_the_database_s_folder_is_made_for_its_owner_and_group_only(tmp_path: Path) -> None:
    made = settings.store_settings(config(tmp_path))
    assert made.path.parent.stat().st_mode & 0o007 == 0
    assert made.free_bytes() > 0
    assert made.limits.free_disk_floor == 200 << 20


@pytest.mark.parametrize("percent", [0, 25, 100])
def test_the_share_of_what_nothing_verified_is_one_of_the_whole_disk(tmp_path: Path, percent: int) -> None:
    limits = {"unverified_disk_percent": percent}
    made = settings.store_settings(config(tmp_path, limits=limits)).limits
    assert made.unproven_bytes == shutil.disk_usage(tmp_path).total * percent // 100


def test_an_unset_region_and_the_certificate_s_end_are_told_to_health(tmp_path: Path) -> None:
    make_keys(tmp_path / "key", tmp_path / "crt", "gw")
    now = Stamp(1_790_000_000_000, TimeQuality.AGREED)
    lora: dict[str, Any] = {"frequency": 868}
    validity = settings.certificates(config(tmp_path)).validity
    told = settings.circumstances(config(tmp_path, lora=lora), lambda: now, validity)()
    assert told.region_unset
    assert told.certificate_expires_in_s is not None
    assert told.certificate_expires_in_s > 1000 * 365 * 86_400  # ours has no end
    for harmless in ({**lora, "region": "EU868"}, {**lora, "driver": "none"}):
        asked = settings.circumstances(config(tmp_path, lora=harmless), lambda: now, validity)
        assert not asked().region_unset
