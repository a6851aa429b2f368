"""A gateway whose network is dead: its log leaves on a stick, and the coordinator's ack comes back on it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from daemon_rig import GATEWAY, Daemon, House, house, origin_of, upload_of, wallet_rows

NOWHERE = "ws://127.0.0.1:9"  # discard: nobody listens
GOOD = [row for row in wallet_rows() if row["expect"]["accept"]][:6]


async def brought(daemon: Daemon, first: int, last: int) -> None:
    for row in GOOD[first:last]:
        assert (await daemon.post(upload_of(row))).status == 200


async def test_a_log_goes_out_on_a_stick_and_its_ack_comes_back(tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    async with house(tmp_path) as home, home.daemon(network={"ws_url": NOWHERE}) as daemon:
        await brought(daemon, 0, 3)
        code, out, error = await home.command("export", str(stick))
        assert code == 0, error
        (bundle,) = stick.iterdir()
        assert bundle.name == f"{GATEWAY}-1-0-3.bundle" and bundle.name in out

        ack = stick / "from-the-coordinator.ack"
        ack.write_bytes(await home.coordinator.bundle(bundle.read_bytes()))
        code, out, error = await home.command("import", str(ack))
        assert (code, out.rpartition(": ")[2]) == (
            0,
            f"the coordinator has cosigned 3 leaves of offgrid/{GATEWAY}/1\n",
        ), error
        await daemon.figures(gateway_backlog_entries=0)

        await brought(daemon, 3, 6)
        assert (await home.command("export", str(stick)))[0] == 0
        assert await daemon.end() == 0
        await stopped(home, stick)


async def with_token(
    daemon: Daemon, secret: str, method: str, path: str, body: bytes = b""
) -> tuple[int, bytes]:
    host, port = (await daemon.address("http")).rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
    writer.write(f"{head}Authorization: Bearer {secret}\r\n\r\n".encode() + body)
    raw = await reader.read()
    writer.close()
    return int(raw.split()[1]), raw.partition(b"\r\n\r\n")[2]


async def test_the_page_exports_and_imports_with_a_token_for_it(tmp_path: Path) -> None:
    async with house(tmp_path) as home, home.daemon(network={"ws_url": NOWHERE}) as daemon:
        await brought(daemon, 0, 3)
        code, out, error = await home.command("token", "add", "driver", "--scope", "carry")
        assert code == 0, error
        secret = next(word for word in out.split() if word.startswith("ogt_"))
        status, body = await with_token(daemon, secret, "POST", "/v1/acts/export", b"{}")
        assert status == 200, body
        (file,) = json.loads(body)["result"]["files"]
        status, bundle = await with_token(daemon, secret, "GET", f"/v1/carry/{file['name']}")
        assert (status, len(bundle)) == (200, file["bytes"])
        ack = await home.coordinator.bundle(bundle)

        assert (await with_token(daemon, "ogt_" + "x" * 43, "POST", "/v1/carry", ack))[0] == 403
        bent = bundle[:-1] + bytes([bundle[-1] ^ 1])
        status, body = await with_token(daemon, secret, "POST", "/v1/carry", bent)
        assert status == 409 and b"refused whole: chunk 1 of 1" in body
        status, body = await with_token(daemon, secret, "POST", "/v1/carry", ack)
        assert (status, json.loads(body)["result"]["size"]) == (200, 3)
        await daemon.figures(gateway_backlog_entries=0)


async def stopped(home: House, stick: Path) -> None:
    """The same with the daemon down."""
    rest = stick / f"{GATEWAY}-1-3-6.bundle"
    made = rest.read_bytes()
    rest.unlink()
    code, _, error = await home.command("export", str(stick))
    assert code == 0, error
    assert len(rest.read_bytes()) == len(made)
    ack = stick / "again.ack"
    ack.write_bytes(await home.coordinator.bundle(rest.read_bytes()))
    assert (await home.command("import", str(ack)))[0] == 0
    code, out, _ = await home.command("export", str(stick))
    assert out.startswith("nothing to export")
    assert origin_of(await home.coordinator.counts())["size"] == 6

    rest.write_bytes(made[:-1] + bytes([made[-1] ^ 1]))
    code, _, error = await home.command("import", str(rest))
    assert code == 1 and "refused whole: chunk 1 of 1" in error
