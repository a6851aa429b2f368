"""The gateway's own certificate is renewed in time, by a clock that somebody has confirmed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import NameOID

from gateway.errors import CommandError
from gateway.keys.certificates import Certificates
from gateway.keys.generate import make_keys
from gateway.model import Stamp, TimeQuality
from gateway.services.renewal import Renewal

END = datetime(2027, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@dataclass
class Days:
    """Sleeping takes no time; at the end of the script it ends the service."""

    at: datetime
    until: datetime
    quality: TimeQuality = TimeQuality.AGREED
    slept: list[float] = field(default_factory=list)

    def now(self) -> Stamp:
        return Stamp(int(self.at.timestamp()) * 1000, self.quality)

    def monotonic(self) -> float:
        return self.at.timestamp()

    def unix_ns(self) -> int:
        return self.now().unix_ms * 1_000_000

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += timedelta(seconds=seconds)
        if self.at > self.until:
            raise asyncio.CancelledError


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    """An own one that ends."""
    make_keys(tmp_path / "gateway.key", tmp_path / "gateway.crt", "gw")
    private = load_pem_private_key((tmp_path / "gateway.key").read_bytes(), password=None)
    assert isinstance(private, Ed25519PrivateKey)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gw")])
    begin = END - timedelta(days=300)
    builder = x509.CertificateBuilder(name, name, private.public_key(), 7, begin, END)
    (tmp_path / "gateway.crt").write_bytes(builder.sign(private, None).public_bytes(Encoding.PEM))
    return Certificates(tmp_path / "gateway.crt", tmp_path / "state" / "rotated.crt")


async def renewed_at(certificates: Certificates, days: Days) -> list[datetime]:
    """When another one came in force, in the days of the script."""
    changed: list[datetime] = []
    key = certificates.configured.with_name("gateway.key")
    renewal = Renewal(certificates, key, "gw", lambda: changed.append(days.at), days.now, days)
    with pytest.raises(asyncio.CancelledError):
        await renewal.run(lambda: renewal.rotate({"what": "certificate"}))
    return changed


async def test_an_own_certificate_is_renewed_once_thirty_days_before_its_end(
    certificates: Certificates,
) -> None:
    certificates.rotated.parent.mkdir()
    due = END - timedelta(days=30)
    changed = await renewed_at(certificates, Days(due - 48 * HOUR, END + 48 * HOUR))
    assert len(changed) == 1
    assert due <= changed[0] <= due + HOUR
    assert certificates.in_force() == certificates.rotated


async def test_a_clock_that_nobody_confirmed_renews_nothing(certificates: Certificates) -> None:
    certificates.rotated.parent.mkdir()
    days = Days(END, END + HOUR, TimeQuality.HOST)
    assert await renewed_at(certificates, days) == []


async def test_a_disk_that_takes_nothing_is_tried_again_each_hour(
    certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    assert await renewed_at(certificates, Days(END - 3 * HOUR, END)) == []  # its folder is missing
    assert [line.message for line in caplog.records] == ["the certificate is not renewed"] * 4
    assert certificates.in_force() == certificates.configured


async def test_only_what_there_is_can_be_rotated(certificates: Certificates) -> None:
    days = Days(END, END)
    renewal = Renewal(certificates, Path("gateway.key"), "gw", lambda: None, days.now, days)
    with pytest.raises(CommandError, match="there is: certificate"):
        await renewal.rotate({"what": "antenna"})


async def test_a_certificate_of_another_key_that_was_put_in_place_is_refused_and_the_link_goes_on(
    certificates: Certificates, tmp_path: Path
) -> None:
    days, changed = Days(END, END), list[str]()
    key = certificates.configured.with_name("gateway.key")
    renewal = Renewal(certificates, key, "gw", lambda: changed.append("link"), days.now, days)
    others = make_keys(tmp_path / "other.key", tmp_path / "other.crt", "gw").identity
    own = certificates.configured.read_bytes()
    certificates.configured.write_bytes(others.certificate_path.read_bytes())
    with pytest.raises(CommandError, match="for another key"):
        await renewal.rotate({"what": "certificate"})
    assert changed == []
    certificates.configured.write_bytes(own)
    await renewal.rotate({"what": "certificate"})
    assert changed == ["link"]
