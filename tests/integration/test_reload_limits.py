"""A reload changes the limits that changed, and no others."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.app import settings
from gateway.app.lifetime import Live
from gateway.config import load
from gateway.core.admission import Admission
from gateway.core.refusal import Refusal, Refused

KEY = bytes(32)


@pytest.fixture(autouse=True)
def _level_put_back() -> Iterator[None]:
    level = logging.getLogger().level
    yield
    logging.getLogger().setLevel(level)


def configure(path: Path, limits: str) -> None:
    path.write_text(
        "gateway: {id: gw_1, location: {lat: 1, lon: 2, name: Here}, type: mesh}\n"
        "network: {api_url: https://c.example, ws_url: wss://c.example}\n"
        f"limits: {{{limits}}}\n"
    )


def refusal_to_arrive(door: Admission) -> Refusal | None:
    try:
        door.arrived("http", "a", 1, 0.0)
    except Refused as refused:
        return refused.code
    return None


def test_another_block_list_does_not_fill_the_buckets_and_other_rates_do(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    configure(path, "peer: {messages_per_minute: 1}")
    config = load(path)
    door = Admission(settings.rates(config), blocked=config.limits.blocked_devices)
    live = Live(path, config, door)
    assert refusal_to_arrive(door) is None

    configure(path, f"peer: {{messages_per_minute: 1}}, blocked_devices: ['{KEY.hex()}']")
    assert live.reload()["taken"] == ["limits.blocked_devices"]
    assert refusal_to_arrive(door) == Refusal.RATE_LIMITED
    with pytest.raises(Refused, match="block list"):
        door.claimed(KEY, 0.0)

    configure(path, "peer: {messages_per_minute: 2}, blocked_devices: ['nobody']")
    assert live.reload()["taken"] == []
    with pytest.raises(Refused, match="block list"):  # what is wrong changes nothing
        door.claimed(KEY, 0.0)

    configure(path, "peer: {messages_per_minute: 2}")
    assert live.reload()["taken"] == ["limits.blocked_devices", "limits.peer.messages_per_minute"]
    assert [refusal_to_arrive(door) for _ in range(3)] == [None, None, Refusal.RATE_LIMITED]
    door.claimed(KEY, 0.0)
