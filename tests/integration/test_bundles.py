"""Bundles: made from a real store, verified, torn and edited, imported by the coordinator."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from nacl.signing import SigningKey
from sync_rig import GATEWAY_ID, KEY, HastyClock, submission

from gateway.carried import Carried, CarryRefused
from gateway.core.bundle import BundleInvalid, read_head
from gateway.core.note import VerifierKey
from gateway.core.pin import CoordinatorKey
from gateway.core.sync import Local
from gateway.core.sync.checkpoints import Own, Stranger, open_own
from gateway.core.timekeeper import Timekeeper
from gateway.errors import CommandError
from gateway.model import Halt, Stamp, TimeQuality
from gateway.services.carrying import Author, Delivery, export, verify_file
from gateway.services.sync_link import LinkSettings, SyncLink
from gateway.store import Store, StoreSettings
from simulators.coordinator import Coordinator
from simulators.coordinator.bundles import Refused, take

NOW = Stamp(1_790_000_000_000, TimeQuality.AGREED)
AUTHOR = Author(GATEWAY_ID, bytes(KEY.verify_key), lambda message: KEY.sign(message).signature)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    settings = StoreSettings(path=tmp_path / "g.db", gateway_id=GATEWAY_ID, free_bytes=lambda: 1 << 40)
    async with Store(settings) as opened:
        yield opened


@pytest.fixture
async def coordinator(tmp_path: Path) -> AsyncIterator[Coordinator]:
    async with Coordinator(db=tmp_path / "c.db", token="token") as opened:
        await opened.register(GATEWAY_ID, AUTHOR.key)
        yield opened


async def append(store: Store, first: int, last: int) -> None:
    await store.append([submission(number) for number in range(first, last)])


async def bring(coordinator: Coordinator, path: Path) -> bytes:
    data = io.BytesIO(path.read_bytes())  # noqa: ASYNC240 - a test's own small file
    return await coordinator.work(take, coordinator.authority, data)


async def acknowledge(store: Store, coordinator: Coordinator, note: bytes) -> int:
    own = Own(VerifierKey((await store.head()).origin, AUTHOR.key), CoordinatorKey.parse(coordinator.vkey))
    size = open_own(own, note, cosigned=True).size
    await store.mark_acked(size, note)
    return size


async def test_a_log_reaches_the_coordinator_by_file_and_its_ack_comes_back(
    store: Store, coordinator: Coordinator, tmp_path: Path
) -> None:
    await append(store, 0, 300)
    (path,) = await export(store, AUTHOR, tmp_path, NOW)
    manifest = verify_file(path)
    assert (manifest.start, manifest.size, len(manifest.chunks)) == (0, 300, 2)
    assert manifest.length == path.stat().st_size

    assert await acknowledge(store, coordinator, await bring(coordinator, path)) == 300

    await append(store, 300, 310)
    (path,) = await export(store, AUTHOR, tmp_path, NOW)
    assert verify_file(path).start == 300
    assert await acknowledge(store, coordinator, await bring(coordinator, path)) == 310
    counts = await coordinator.counts()
    assert counts["gateways"][GATEWAY_ID]["duplicates"] == 0


async def test_a_bundle_may_come_twice_and_overlap_what_is_held(
    store: Store, coordinator: Coordinator, tmp_path: Path
) -> None:
    await append(store, 0, 5)
    (first,) = await export(store, AUTHOR, tmp_path, NOW)
    ack = await bring(coordinator, first)
    assert (await bring(coordinator, first)).split(b"\n")[:3] == ack.split(b"\n")[:3]
    await append(store, 5, 9)
    (whole,) = await export(store, AUTHOR, tmp_path, NOW, since=0)
    assert b"\n9\n" in await bring(coordinator, whole)
    assert b"\n9\n" in await bring(coordinator, first)


async def test_a_bundle_that_begins_beyond_what_is_held_is_early(
    store: Store, coordinator: Coordinator, tmp_path: Path
) -> None:
    await append(store, 0, 5)
    (late,) = await export(store, AUTHOR, tmp_path, NOW, since=3)
    with pytest.raises(Refused, match="starts at leaf 3, next is 0") as refused:
        await bring(coordinator, late)
    assert refused.value.code == "early"


async def test_every_torn_or_edited_bundle_is_refused_whole_and_the_place_is_named(
    store: Store, coordinator: Coordinator, tmp_path: Path
) -> None:
    await append(store, 0, 300)
    (path,) = await export(store, AUTHOR, tmp_path, NOW)
    whole = path.read_bytes()
    manifest = read_head(whole)
    (first, mark), (second, _) = manifest.places()
    for broken, place in (
        (whole[:7], "ends at byte 7"),
        (whole[:100], "ends at byte 100, within its head"),
        (b"X" + whole[1:], "byte 0: not a bundle"),
        (whole[:40] + bytes([whole[40] ^ 1]) + whole[41:], "head"),
        (
            whole[: first + 50],
            rf"chunk 1 of 2, bytes {first} to {first + mark.length}: torn.*byte {first + 50}",
        ),
        (
            whole[: second + 9] + bytes([whole[second + 9] ^ 1]) + whole[second + 10 :],
            rf"chunk 2 of 2, bytes {second} .* edited",
        ),
        (whole + b"\0", rf"byte {len(whole)}: the bundle ends here"),
    ):
        path.write_bytes(broken)
        with pytest.raises(CommandError, match=place):
            verify_file(path)
        with pytest.raises(Refused):
            await bring(coordinator, path)
    assert (await coordinator.counts())["gateways"][GATEWAY_ID]["objects_received"] == 0


async def test_another_key_than_the_registered_one_is_refused(
    store: Store, coordinator: Coordinator, tmp_path: Path
) -> None:
    await append(store, 0, 3)
    other = SigningKey(b"o" * 32)
    forger = Author(GATEWAY_ID, bytes(other.verify_key), lambda message: other.sign(message).signature)
    (path,) = await export(store, forger, tmp_path, NOW)
    verify_file(path)
    with pytest.raises(Refused) as refused:
        await bring(coordinator, path)
    assert refused.value.code == "not_registered"


async def test_a_long_log_is_cut_into_bundles_that_follow_each_other(store: Store, tmp_path: Path) -> None:
    await append(store, 0, 600)
    seen: list[tuple[int, int]] = []
    paths = await export(
        store, AUTHOR, tmp_path, NOW, max_bytes=1, progress=lambda at, of: seen.append((at, of))
    )
    assert [(one.start, one.size) for one in map(verify_file, paths)] == [(0, 256), (256, 512), (512, 600)]
    assert seen == [(256, 600), (512, 600), (600, 600)]


async def test_nothing_is_signed_in_a_halted_log(store: Store, tmp_path: Path) -> None:
    await append(store, 0, 3)
    await store.halt(Halt(what="a fork was seen", fix="find the other disk"))
    with pytest.raises(CommandError, match="a fork was seen; find the other disk"):
        await export(store, AUTHOR, tmp_path, NOW)


def carried_in(folder: Path, coordinator: Coordinator | None = None, max_bytes: int = 1 << 24) -> Carried:
    key = None if coordinator is None else CoordinatorKey.parse(coordinator.vkey)
    return Carried(folder, max_bytes, lambda: key)


def bring_all(carried: Carried, path: Path, piece: int = 1000) -> None:
    data = path.read_bytes()
    content_id = read_head(data).content_id
    while (have := carried.have(content_id)) < len(data):
        carried.bring(content_id, have, data[have : have + piece])


async def test_a_carried_bundle_goes_on_where_it_stopped_even_over_a_restart(
    store: Store, tmp_path: Path
) -> None:
    await append(store, 0, 300)
    (path,) = await export(store, AUTHOR, tmp_path, NOW)
    data = path.read_bytes()
    content_id = read_head(data).content_id
    half = len(data) // 2
    first = carried_in(tmp_path / "carried")
    first.bring(content_id, 0, data[:half])
    again = carried_in(tmp_path / "carried")
    assert again.have(content_id) == half
    assert again.bring(content_id, half - 9, data[half - 9 : half + 9]) == half
    bring_all(again, path)
    (held,) = carried_in(tmp_path / "carried").held
    assert (held.origin, held.start, held.size) == (f"offgrid/{GATEWAY_ID}/1", 0, 300)
    assert held.path.read_bytes() == data


async def test_what_was_bent_on_the_way_is_not_carried(store: Store, tmp_path: Path) -> None:
    await append(store, 0, 300)
    (path,) = await export(store, AUTHOR, tmp_path, NOW)
    data = bytearray(path.read_bytes())
    content_id = read_head(bytes(data)).content_id
    data[-1] ^= 1
    carried = carried_in(tmp_path / "carried")
    with pytest.raises(BundleInvalid, match="chunk 2 of 2"):
        carried.bring(content_id, 0, bytes(data))
    assert carried.held == () and carried.have(content_id) == 0
    with pytest.raises(BundleInvalid, match="another than the one announced"):
        carried.bring(b"x" * 32, 0, path.read_bytes())


async def test_one_gateway_takes_at_most_half_of_the_room(store: Store, tmp_path: Path) -> None:
    await append(store, 0, 300)
    (path,) = await export(store, AUTHOR, tmp_path, NOW)
    size = path.stat().st_size
    with pytest.raises(CarryRefused, match=r"do not fit: 0 of .*raise carry\.max_megabytes"):
        bring_all(carried_in(tmp_path / "small", max_bytes=2 * size - 1), path)
    bring_all(carried_in(tmp_path / "enough", max_bytes=2 * size), path)


async def test_a_larger_bundle_takes_the_place_of_those_it_covers_and_an_ack_of_all(
    store: Store, coordinator: Coordinator, tmp_path: Path
) -> None:
    carried = carried_in(tmp_path / "carried", coordinator)
    for last in (3, 6):
        await append(store, last - 3, last)
        (path,) = await export(store, AUTHOR, tmp_path, NOW)
        bring_all(carried, path)
    assert [(one.start, one.size) for one in carried.held] == [(0, 6)]
    ack = await bring(coordinator, path)
    unsigned = await export(store, AUTHOR, tmp_path, NOW, since=2)
    with pytest.raises(Stranger):
        carried.take_ack(read_head(unsigned[0].read_bytes()).checkpoint, AUTHOR.key)
    assert carried.take_ack(ack, AUTHOR.key) is not None
    assert carried.take_ack(ack, AUTHOR.key) is None
    assert carried.held == ()
    with pytest.raises(CarryRefused, match="has all of"):
        bring_all(carried, path)
    assert carried_in(tmp_path / "carried", coordinator).acks == carried.acks


OTHER = SigningKey(b"carrier".ljust(32))


async def test_a_gateway_with_a_link_brings_the_log_of_one_without(
    store: Store, coordinator: Coordinator, tmp_path: Path
) -> None:
    await coordinator.register("gw-2", bytes(OTHER.verify_key))
    await append(store, 0, 300)
    (later,) = await export(store, AUTHOR, tmp_path, NOW, since=256)
    (first, _) = await export(store, AUTHOR, tmp_path, NOW, max_bytes=1)
    carried = carried_in(tmp_path / "carried", coordinator)
    bring_all(carried, later)
    settings = StoreSettings(path=tmp_path / "o.db", gateway_id="gw-2", free_bytes=lambda: 1 << 40)
    async with Store(settings) as other:
        delivered = asyncio.Event()

        async def keep(key: bytes, note: bytes) -> None:
            carried.take_ack(note, key)
            if not carried.held:
                delivered.set()

        delivery = Delivery(carried, bytes(OTHER.verify_key), keep)
        link = linked(other, coordinator, delivery)
        running = asyncio.create_task(link.run())
        await coordinator.until(lambda counts: counts["gateways"]["gw-2"]["connected"])
        bring_all(carried, first)  # the one that was early waits for this
        delivery.stirred.set()
        async with asyncio.timeout(20):
            await delivered.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    (ack,) = carried.acks
    assert await acknowledge(store, coordinator, ack.note) == ack.size == 300
    counts = await coordinator.counts()
    assert counts["gateways"][GATEWAY_ID]["entries"] == 300
    assert counts["gateways"][GATEWAY_ID]["duplicates"] == 0


def linked(store: Store, coordinator: Coordinator, delivery: Delivery) -> SyncLink:
    clock = HastyClock()
    return SyncLink(
        LinkSettings(url=coordinator.ws_url),
        Local(
            gateway_id="gw-2",
            key=bytes(OTHER.verify_key),
            sign=lambda message: OTHER.sign(message).signature,
            coordinator=CoordinatorKey.parse(coordinator.vkey),
            instance=b"o" * 16,
            version="1.2.3",
        ),
        store,
        Timekeeper(clock),
        clock,
        status=dict,
        cargo=delivery,
    )
