"""The daemon under a wrong clock: 1970, as a machine without a battery boots, and ten years ahead."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from authority import Authority
from daemon_rig import GATEWAY, Daemon, House, house, origin_of, upload_of, wallet_rows

from gateway.model import TimeQuality
from simulators.textbook.notes import parse_vkey
from simulators.wallets.receipts import verify_inclusion, verify_promise_json

GOOD = [row for row in wallet_rows() if row["expect"]["accept"]]
CLOCKS = {"1970": "@1970-01-01 00:00:10", "ten_years_ahead": "+3653d"}
REPOSITORY = Path(__file__).parents[2]


def libraries() -> Iterator[Path]:
    for root in (REPOSITORY / ".tools/usr/lib", Path("/usr/lib")):
        yield from root.glob("*/faketime/libfaketimeMT.so.1")


@pytest.fixture
def faketime() -> Path:
    """The library that lies to a process about the time; all of it, OpenSSL too."""
    for library in libraries():
        return library
    message = "libfaketime is not here (Debian package libfaketime); ./scripts/test.sh fetches it"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def lie(here: House, faketime: Path, clock: str) -> None:
    here.environment = {
        "LD_PRELOAD": str(faketime),
        "FAKETIME": CLOCKS[clock],
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


async def promised(here: House, daemon: Daemon, row: dict[str, Any]) -> dict[str, Any]:
    answer = await daemon.post(upload_of(row))
    assert answer.status == 200
    promise: dict[str, Any] = answer.json["promise"]
    content = bytes.fromhex(answer.json["content"])
    assert verify_promise_json(promise, here.public_key, [content])
    return promise | {"content": content}


@pytest.mark.parametrize("clock", CLOCKS)
async def test_the_link_is_up_over_tls_and_receipts_verify(
    tmp_path: Path, faketime: Path, clock: str
) -> None:
    authority = Authority(tmp_path)
    tls = {"ca_path": str(authority.path.certificate)}
    async with house(tmp_path, tls=authority.issue().server_context()) as here:
        lie(here, faketime, clock)
        async with here.daemon(network={"tls": tls, "ws_url": "wss://127.0.0.1:9"}) as daemon:
            alone = await promised(here, daemon, GOOD[0])
            assert abs(alone["receivedAt"] / 1000 - time.time()) > 300 * 86_400
            assert alone["quality"] < TimeQuality.AGREED  # it does not claim to know
            await daemon.end()
        async with here.daemon(network={"ws_url": here.coordinator.ws_url}) as daemon:
            await here.coordinator.until(lambda counts: origin_of(counts)["size"] == 1)
            await daemon.said("acked", size=1)
            agreed = await promised(here, daemon, GOOD[1])
            assert agreed["quality"] == TimeQuality.AGREED
            assert abs(agreed["receivedAt"] / 1000 - time.time()) < 60
            await daemon.said("acked", size=2)
            for promise in (alone, agreed):
                receipt = await daemon.receipt(promise["content"])
                included = verify_inclusion(
                    receipt, here.public_key, parse_vkey(here.coordinator.vkey), promise["content"]
                )
                assert included.origin == f"offgrid/{GATEWAY}/1"
            assert (await here.command("log", "verify"))[0] == 0


@pytest.mark.parametrize("clock", CLOCKS)
async def test_a_certificate_that_has_expired_is_refused_once_the_coordinator_tells_the_time(
    tmp_path: Path, faketime: Path, clock: str
) -> None:
    authority = Authority(tmp_path)
    expired = authority.issue(days=(-300, -2))
    async with house(tmp_path, tls=expired.server_context()) as here:
        lie(here, faketime, clock)
        async with here.daemon(network={"tls": {"ca_path": str(authority.path.certificate)}}) as daemon:
            ended = await daemon.said("coordinator link ended", fault="certificate")
            assert "2.0 days" in ended["detail"]
            assert (await promised(here, daemon, GOOD[0]))["index"] == 0
        assert origin_of(await here.coordinator.counts())["size"] == 0
