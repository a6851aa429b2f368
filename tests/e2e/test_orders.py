"""The coordinator has a running gateway do things, and whoever pretends to be it does not."""

from __future__ import annotations

import io
import json
import tarfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from daemon_rig import GATEWAY, Daemon, House, house
from nacl.signing import SigningKey

from simulators.coordinator.orders import FILE, JSON, REFUSED, Outcome
from simulators.coordinator.orders import order as signed

HOUR_MS = 3_600_000
FAR = time.time_ns() // 1_000_000 + HOUR_MS


class Hand:
    """The coordinator's operator, in front of one gateway that runs."""

    def __init__(self, house: House, daemon: Daemon) -> None:
        self.house, self.daemon = house, daemon
        self.coordinator = house.coordinator

    async def order(self, name: str, **arguments: Any) -> Outcome:
        return await self.coordinator.order(GATEWAY, name, arguments)

    async def as_is(self, fields: list[Any]) -> Outcome:
        return await self.coordinator.order_as_is(GATEWAY, fields, fields[0])

    def signed(
        self, number: int, name: str, *, expires_ms: int = FAR, key: SigningKey | None = None
    ) -> list[Any]:
        """For this gateway, by the coordinator's own key unless another is given."""
        mine = key or self.coordinator.authority.key
        return signed(mine, self.house.public_key, number, expires_ms, name, b"")

    def audit(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.house.root / "audit.jsonl").read_text().splitlines()]


@pytest.fixture
async def hand(tmp_path: Path) -> AsyncIterator[Hand]:
    async with house(tmp_path) as here, here.daemon() as daemon:
        await daemon.said("coordinator connected")
        yield Hand(here, daemon)


async def test_status_doctor_and_support_bundle_come_back_and_are_written_down(hand: Hand) -> None:
    status = await hand.order("status")
    assert status.kind == JSON
    assert status.result["services"]["link"]["state"] == "running"
    doctor = await hand.order("doctor")
    assert doctor.kind == JSON
    assert doctor.result["checks"]
    bundle = await hand.order("support-bundle")
    assert bundle.kind == FILE
    with tarfile.open(fileobj=io.BytesIO(bundle.data)) as archive:
        assert "offgrid-support/doctor.json" in archive.getnames()
    told = [(line["actor"], line["act"], line["state"]) for line in hand.audit()]
    assert told == [
        ("coordinator", name, state)
        for name in ("status", "doctor", "support-bundle")
        for state in ("begun", "done")
    ]


async def test_each_order_does_its_own_thing_and_no_more(hand: Hand) -> None:
    assert (await hand.order("log-level", level="info")).result == {"level": "info"}
    loud = await hand.order("log-level", level="loud")
    assert (loud.kind, "no level 'loud'" in loud.words) == (REFUSED, True)
    assert (await hand.order("rotate", what="key")).words.startswith("what is to be rotated?")
    assert (await hand.order("restart", radio="control")).words == "no radio 'control'; there are: none"
    assert (await hand.order("shell", command="id")).words.startswith("unknown: ")
    number = FAR - 10
    fields = signed(hand.coordinator.authority.key, hand.house.public_key, number, FAR, "status", b"[1]")
    assert (await hand.as_is(fields)).words == "malformed: arguments are a JSON object"


async def test_sync_now_is_answered_on_the_link_that_it_opens(hand: Hand) -> None:
    before = len(hand.daemon.lines)
    assert (await hand.order("sync")).result == {"restarted": "link"}
    await hand.daemon.said("coordinator connected", after=before)


async def test_forged_foreign_expired_and_replayed_orders_are_refused_and_audited_after_a_crash_too(
    hand: Hand,
) -> None:
    stranger = SigningKey(b"\1" * 32)
    forged = await hand.as_is(hand.signed(1, "status", key=stranger))
    assert (forged.kind, forged.words.split(":")[0]) == (REFUSED, "forged")
    foreign = signed(hand.coordinator.authority.key, bytes(stranger.verify_key), 2, FAR, "status", b"")
    assert (await hand.as_is(foreign)).words.startswith("forged: ")
    expired = await hand.as_is(hand.signed(3, "status", expires_ms=FAR - 2 * HOUR_MS))
    assert expired.words.startswith("expired: ")
    assert (await hand.as_is(hand.signed(4, "status", expires_ms=FAR + 8 * 24 * HOUR_MS))).words.startswith(
        "too_long"
    )
    good = hand.signed(5, "status")
    assert (await hand.as_is(good)).kind == JSON
    assert (await hand.as_is(good)).words == "replayed: number 5, carried out was 5 already"
    refused = [(line["actor"], line["detail"][:7]) for line in hand.audit() if line["state"] == "refused"]
    # The first of each is written down, the others are counted: a stranger must not fill the files.
    assert refused == [("somebody on the link", "forged:"), ("coordinator", "expired")]
    hand.daemon.kill()
    await hand.daemon.ended()
    async with hand.house.daemon() as daemon:
        await daemon.said("coordinator connected")
        assert (await Hand(hand.house, daemon).as_is(good)).words.startswith("replayed: ")
