"""A certificate is renewed while the daemon works, and never over an authority's."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import NameOID
from daemon_rig import Daemon, House, house, origin_of

from simulators.wallets.uploads import snapshot_json
from simulators.wallets.wallet import Wallet

PLENTY = {
    "device": {"messages_per_minute": 100_000, "bytes_per_minute": 10**8},
    "peer": {"messages_per_minute": 100_000, "bytes_per_minute": 10**8},
}
EVERY_S = 0.02
ROTATIONS = 3


def put_certificate(house: House, *, days: float, issuer: str = "gw_e2e") -> None:
    """One that ends so many days from now, in the configured place."""
    private = load_pem_private_key((house.root / "gateway.key").read_bytes(), password=None)
    assert isinstance(private, Ed25519PrivateKey)
    name, by = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one)]) for one in ("gw_e2e", issuer))
    now = datetime.now(UTC)
    begin, end = now - timedelta(days=300), now + timedelta(days=days)
    builder = x509.CertificateBuilder(by, name, private.public_key(), x509.random_serial_number(), begin, end)
    signer = private if issuer == "gw_e2e" else Ed25519PrivateKey.generate()
    (house.root / "gateway.crt").write_bytes(builder.sign(signer, None).public_bytes(Encoding.PEM))


async def hand_over(daemon: Daemon, number: int) -> str:
    """One wallet's first payment; what was promised for it."""
    wallet, now_ms = Wallet(number.to_bytes(32, "big")), time.time_ns() // 1_000_000
    wallet.pay("00112233aabbccdd", 1.5, now_ms)
    answer = await daemon.post(snapshot_json(wallet.hand_over(now_ms)).encode())
    assert answer.status == 200, answer.body
    return str(answer.json["content"])


async def test_a_certificate_is_rotated_while_fifty_snapshots_a_second_arrive_and_none_is_lost(
    tmp_path: Path,
) -> None:
    async with house(tmp_path) as here, here.daemon(limits=PLENTY) as daemon:
        await daemon.said("coordinator connected")
        done = asyncio.Event()
        promised: list[asyncio.Task[str]] = []

        async def fifty_a_second() -> None:
            while not done.is_set():
                promised.append(asyncio.create_task(hand_over(daemon, len(promised))))
                await asyncio.sleep(EVERY_S)

        arriving = asyncio.create_task(fifty_a_second())
        for _ in range(ROTATIONS):
            seen = len(daemon.lines)
            code, out, error = await here.command("rotate", "certificate")
            assert (code, "without an end" in out) == (0, True), error
            await daemon.said("coordinator connected", after=seen)
        done.set()
        await arriving
        contents = await asyncio.gather(*promised)
        assert len(set(contents)) == len(contents) > ROTATIONS
        await here.coordinator.until(lambda counts: origin_of(counts)["size"] == len(contents))
        for content in contents[:: max(1, len(contents) // 10)]:
            assert await daemon.receipt(bytes.fromhex(content))
        told = (await here.command("audit-log", "--act", "rotate"))[1]
        assert told.count("done") == ROTATIONS
    assert (here.root / "rotated.crt").exists()


async def test_an_authority_s_certificate_is_left_alone_until_a_new_one_is_in_place(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        put_certificate(here, days=29, issuer="authority")
        async with here.daemon() as daemon:
            await daemon.said("coordinator connected")
            code, _, error = await here.command("rotate", "certificate")
            assert (code, "is an authority's" in error) == (1, True)
            put_certificate(here, days=400, issuer="authority")
            code, out, error = await here.command("rotate", "certificate")
            assert (code, str(here.root / "gateway.crt") in out) == (0, True), error
    assert not (here.root / "rotated.crt").exists()
