"""TLS to the coordinator: chain, name, dates under clocks that are wrong, and our own certificate."""

from __future__ import annotations

import ssl
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from authority import Authority, Issued
from sync_rig import HastyClock, Rig, open_coordinator, open_store, running

from gateway.keys.generate import make_keys
from gateway.services.sync_link import client_context

NOW_MS = int(time.time() * 1000)
TEN_YEARS_MS = 3653 * 86_400_000

OpenTls = Callable[..., AbstractAsyncContextManager[Rig]]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def over_tls(tmp_path: Path) -> OpenTls:
    @asynccontextmanager
    async def opened(server: Issued, *, client: Path | None = None) -> AsyncIterator[Rig]:
        context = server.server_context()
        if client is not None:
            context.load_verify_locations(client)
            context.verify_mode = ssl.CERT_REQUIRED
        async with (
            open_coordinator(tmp_path / "coordinator.db", tls=context) as coordinator,
            open_store(tmp_path / "gateway.db") as store,
        ):
            rig = Rig(store, coordinator)
            await rig.append(0, 3)
            yield rig

    return opened


@pytest.mark.parametrize(
    "host_ms", [0, NOW_MS, NOW_MS + TEN_YEARS_MS], ids=["1970", "now", "ten_years_ahead"]
)
async def test_the_link_comes_up_under_any_host_clock(
    authority: Authority, over_tls: OpenTls, host_ms: int
) -> None:
    async with over_tls(authority.issue()) as rig:
        tls = client_context(authority.path.certificate)
        async with running(rig.make_link(HastyClock(unix_ms=host_ms), tls=tls)):
            await rig.acked(3)
        assert rig.timekeeper.trusted
        assert rig.link.vitals().attempts == 1


async def test_the_time_that_a_verified_coordinator_tells_is_taken(
    authority: Authority, over_tls: OpenTls
) -> None:
    async with over_tls(authority.issue()) as rig:
        async with running(rig.make_link(tls=client_context(authority.path.certificate))):
            assert abs(await rig.told_ahead(3_600_000) - 3_600_000) < 60_000


@pytest.mark.parametrize("host_ms", [0, NOW_MS + TEN_YEARS_MS], ids=["1970", "ten_years_ahead"])
@pytest.mark.parametrize("days", [(-300, -2), (2, 300)])
async def test_dates_are_judged_once_the_time_is_known_whatever_the_host_clock_says(
    authority: Authority, over_tls: OpenTls, days: tuple[int, int], host_ms: int
) -> None:
    async with over_tls(authority.issue(days=days)) as rig:
        tls = client_context(authority.path.certificate)
        async with running(rig.make_link(HastyClock(unix_ms=host_ms), tls=tls)):
            await rig.fault("certificate", times=3)
        assert "2.0 days" in rig.link.vitals().last_fault
        assert rig.link.figures.connects == 0
        assert (await rig.store.head()).acked_size == 0


async def test_a_certificate_that_had_expired_when_the_log_was_last_cosigned_is_refused_unheard(
    authority: Authority, over_tls: OpenTls
) -> None:
    async with over_tls(authority.issue(days=(-300, -2))) as rig:
        await rig.store.mark_acked(1, _cosigned(int(time.time())))
        tls = client_context(authority.path.certificate)
        async with running(rig.make_link(HastyClock(unix_ms=0), tls=tls)):
            await rig.fault("certificate")
        assert "before our last known time" in rig.link.vitals().last_fault


def _cosigned(unix_s: int) -> bytes:
    value = b64encode(b"\x01\x02\x03\x04" + unix_s.to_bytes(8, "big") + bytes(64)).decode()
    return f"origin\n1\n{b64encode(bytes(32)).decode()}\n\n— coordinator {value}\n".encode()


async def test_an_unknown_authority_is_refused(
    authority: Authority, over_tls: OpenTls, tmp_path: Path
) -> None:
    other = Authority(tmp_path, "another authority")
    async with over_tls(authority.issue()) as rig:
        async with running(rig.make_link(tls=client_context(other.path.certificate))):
            await rig.fault("certificate")
        async with running(rig.make_link(tls=client_context())):
            await rig.fault("certificate")
        assert "unable to get local issuer" in rig.link.vitals().last_fault


async def test_a_certificate_for_another_name_is_refused(authority: Authority, over_tls: OpenTls) -> None:
    async with over_tls(authority.issue(address="127.0.0.2")) as rig:
        async with running(rig.make_link(tls=client_context(authority.path.certificate))):
            await rig.fault("certificate")
        assert "127.0.0.1" in rig.link.vitals().last_fault


async def test_our_certificate_is_shown_where_the_coordinator_asks_for_it(
    authority: Authority, over_tls: OpenTls, tmp_path: Path
) -> None:
    key, certificate = tmp_path / "gateway.key", tmp_path / "gateway.crt"
    make_keys(key, certificate, "gw-1")
    async with over_tls(authority.issue(), client=certificate) as rig:
        async with running(rig.make_link(tls=client_context(authority.path.certificate))):
            await rig.fault("unreachable")
        tls = client_context(authority.path.certificate, (certificate, key))
        async with running(rig.make_link(tls=tls)):
            await rig.acked(3)
