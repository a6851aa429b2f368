"""Three gateways hear the same wallets: one truth at the coordinator, each thing asked for once."""

from __future__ import annotations

import contextlib
from pathlib import Path

from gateway_rig import Gateway
from sync_rig import open_coordinator

from simulators.wallets import Season
from simulators.wallets.uploads import snapshot_cbor

NAMES = ("alpha", "beta", "gamma")


async def test_what_three_gateways_hear_is_stored_once_asked_for_once_and_who_heard_it_is_known(
    tmp_path: Path,
) -> None:
    season = Season(12, seed=3)
    uploads = [snapshot_cbor(wallet.hand_over(season.now_ms)) for wallet in season.play(60, 4)]
    async with (
        open_coordinator(tmp_path / "coordinator.db") as coordinator,
        contextlib.AsyncExitStack() as stack,
    ):
        gateways = [Gateway(name, tmp_path, coordinator) for name in NAMES]
        for gateway in gateways:
            await stack.enter_async_context(gateway.running())
        for number, upload in enumerate(uploads):
            hear = {number % 3, (number + 1) % 3} if number % 4 else {0, 1, 2}
            for at in sorted(hear):
                await gateways[at].send(upload)
        for gateway in gateways:  # one after the other: what the first brought is not asked for again
            async with gateway.linked():
                size = (await gateway.store.head()).size
                await coordinator.until(
                    lambda counts, name=gateway.name, size=size: _entries(counts, name) == size  # type: ignore[misc]
                )
        counts, accepted = await coordinator.counts(), await coordinator.accepted()
        received = sum(counts["gateways"][name]["objects_received"] for name in NAMES)
        assert received == sum(counts["objects"].values())
        assert all(counts["gateways"][name]["duplicates"] == 0 for name in NAMES)
        assert counts["transactions"] == {"verified": 60}
        heard = [{one["gateway"] for one in row["heard"]} for row in accepted["snapshots"].values()]
        assert min(map(len, heard)) >= 2 and max(map(len, heard)) == 3
        for gateway in gateways:
            figures = await gateway.store.figures()
            assert figures.objects == counts["gateways"][gateway.name]["objects"]


def _entries(counts: dict[str, dict[str, dict[str, int]]], name: str) -> int:
    return int(counts["gateways"].get(name, {}).get("entries", 0))
