"""A key that is not the log's, a folder that cannot be made: told, and nothing is promised."""

from __future__ import annotations

from pathlib import Path

from daemon_rig import GATEWAY, house, upload_of, wallet_rows

from gateway.keys.generate import make_keys


async def test_a_gateway_whose_key_was_replaced_promises_nothing_under_the_old_log(tmp_path: Path) -> None:
    row = next(row for row in wallet_rows() if row["expect"]["accept"])
    async with house(tmp_path) as here:
        async with here.daemon() as daemon:
            assert (await daemon.post(upload_of(row))).status == 200
            await daemon.figures(gateway_log_cosigned_size=1)
            assert await daemon.end() == 0  # what was signed is on disk with the next commit, or at the end
        make_keys(tmp_path / "other.key", tmp_path / "other.crt", GATEWAY)
        replaced = {"private_key_path": "other.key", "certificate_path": "other.crt"}
        async with here.daemon(security=replaced) as daemon:
            assert await daemon.ended() == 1
        here.configure(security=replaced)
        code, _, error = await here.command("run")
        assert (code, "Traceback" in error) == (1, False)
        assert "was signed by another key" in error
        assert "put the gateway's own key back" in error


async def test_a_database_folder_that_cannot_be_made_is_told_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    async with house(tmp_path) as here:
        here.configure(storage={"path": "file/below/gateway.db"})
        code, _, error = await here.command("run")
        assert (code, "Traceback" in error) == (1, False)
        assert "cannot be made" in error
        assert "install -d" in error
