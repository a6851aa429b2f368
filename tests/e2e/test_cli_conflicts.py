"""``conflicts list | show | verify``, as typed, beside a running daemon and on a file alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

from daemon_rig import command, house, upload_of, wallet_rows

ROWS = wallet_rows()
LAST = next(row for row in ROWS if row["expect"].get("conflict"))
BEFORE = ROWS[ROWS.index(LAST) - 1]


async def test_a_double_spend_is_listed_shown_saved_and_verified_without_the_gateway(tmp_path: Path) -> None:
    sender, nonce = LAST["expect"]["from"], str(LAST["expect"]["nonce"]).strip("<>")
    key = next(row for row in ROWS if row["device"]["device_id"] == sender and row["expect"]["accept"])
    saved = tmp_path / "evidence.bin"
    async with house(tmp_path) as here, here.daemon() as daemon:
        for row in (key, BEFORE):
            assert "conflicts" not in (await daemon.post(upload_of(row))).json
        told = (await daemon.post(upload_of(LAST))).json["conflicts"]
        assert told[0]["kind"] == "DOUBLE_SPEND" and told[0]["decision"] is None
        code, out, _ = await here.command("conflicts", "list")
        assert code == 0 and f"{sender}  nonce {nonce}" in out and "1 wait" in out
        code, out, _ = await here.command("conflicts", "show", sender, nonce, "--save", str(saved))
        assert code == 0 and "suggested (earliest)" in out
        figures = await daemon.figures(conflicts_pending=1.0)
        assert (figures["conflicts_total"], figures["conflicts_resolved"]) == (1, 0)
        while not (found := await here.coordinator.conflicts()):
            await asyncio.sleep(0.01)
        await here.coordinator.decide(found[0].key, found[0].nonce)
        figures = await daemon.figures(conflicts_pending=0.0)
        assert (figures["conflicts_resolved"], figures["conflicts_resolved_total"]) == (1, 1)
        code, out, _ = await here.command("conflicts", "show", sender, nonce)
        assert code == 0 and "decided" in out
        code, _, error = await here.command("conflicts", "show", sender, "4711")
        assert code == 1 and "conflicts list" in error
        await daemon.end()
    code, out, _ = await command("conflicts", "verify", str(saved))
    assert code == 0 and "holds: DOUBLE_SPEND" in out and str(LAST["expect"]["tx_ids"][0]) in out
    changed = bytearray(saved.read_bytes())
    changed[60] ^= 1
    saved.write_bytes(changed)
    code, _, error = await command("conflicts", "verify", str(saved))
    assert code == 1 and "proves nothing" in error
