"""A reload says what was taken, and goes on saying what waits for a restart."""

from __future__ import annotations

from typing import Any

from gateway.config import Config
from gateway.config.changes import TAKEN_WHILE_RUNNING, changes


def config(**sections: Any) -> Config:
    return Config.model_validate(
        {
            "gateway": {"id": "gw", "location": {"lat": 1.0, "lon": 2.0, "name": "x"}, "type": "mesh"},
            "network": {"api_url": "https://a.example", "ws_url": "wss://a.example"},
            **sections,
        }
    )


def test_the_same_again_changes_nothing() -> None:
    assert changes(config(), config(), config()) == changes(config(), config(), config(http={}))
    assert not changes(config(), config(), config()).taken


def test_each_setting_goes_to_its_side() -> None:
    new = config(
        logging={"level": "debug", "format": "text"},
        storage={"max_snapshots": 5},
        radios={"hill": {"driver": "lora_gwmp", "options": {"port": 1}}},
    )
    changed = changes(config(), config(), new)
    assert changed.taken == ("logging.level", "storage.max_snapshots")
    assert changed.waiting == ("logging.format", "radios.hill.driver", "radios.hill.options.port")


def test_what_waits_is_measured_against_the_start_and_what_is_taken_against_now() -> None:
    started, running = config(), config(http={"port": 81}, logging={"level": "debug"})
    again = changes(running, started, running)
    assert (again.taken, again.waiting) == ((), ("http.port",))
    back = changes(running, started, started)
    assert (back.taken, back.waiting) == (("logging.level",), ())


def test_every_setting_that_can_be_taken_exists() -> None:
    rates = {"messages_per_minute": 7, "bytes_per_minute": 7777}
    new = config(
        logging={"level": "debug"},
        storage={"max_snapshots": 7, "retention_days": 7},
        limits={
            "blocked_devices": ["00" * 8],
            "max_upload_bytes": 7777,
            "radio": rates,
            "peer": rates,
            "device": rates,
        },
    )
    assert changes(config(), config(), new).taken == tuple(sorted(TAKEN_WHILE_RUNNING))
