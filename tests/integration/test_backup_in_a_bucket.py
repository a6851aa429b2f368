"""The same by S3, on moto's server: create-only, read back, denied and gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from backup_rig import BackupRig
from s3_server import make_bucket, s3_server

from gateway.backup import TargetFailed, TargetMissing
from gateway.backup.bucket import Bucket, BucketSettings


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with s3_server() as address:
        yield address


def bucket(address: str, folder: Path, name: str) -> Bucket:
    make_bucket(address, name)
    credentials = folder / "credentials"
    credentials.write_text("[default]\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = secret\n")
    url = f"s3://{name}/gateways"
    return Bucket(BucketSettings(url=url, endpoint=address, credentials_path=credentials, allow_http=True))


async def test_a_wiped_disk_comes_back_from_a_bucket(server: str, tmp_path: Path) -> None:
    rig = BackupRig(tmp_path, bucket(server, tmp_path, "village"))
    rig.keep_s = 0.0
    async with rig.gateway() as gateway:
        backup = rig.backup(gateway)
        for _ in range(17):
            await rig.grow(gateway, 1)
            await backup.round()
        before = await gateway.store.head()
        assert backup.vitals().objects < 17  # neighbours became one, and what it holds is gone
    rig.wipe()
    restored = rig.restore()
    assert restored is not None
    assert restored.head.root == before.root


def test_a_name_that_is_taken_keeps_its_content(server: str, tmp_path: Path) -> None:
    target = bucket(server, tmp_path, "taken")
    target.create("hill/one", b"first")
    target.create("hill/one", b"second")
    assert target.read("hill/one") == b"first"
    with pytest.raises(TargetMissing):
        target.read("hill/two")
    target.delete("hill/two")


def test_a_key_that_may_not_is_named_with_what_to_check(tmp_path: Path) -> None:
    with s3_server(unjudged=1) as address:
        target = bucket(address, tmp_path, "denied")
        with pytest.raises(TargetFailed, match=r"denied; check backup\.credentials_path"):
            target.create("hill/one", b"first")


def test_credentials_that_are_not_there_are_named(server: str, tmp_path: Path) -> None:
    settings = BucketSettings(
        url="s3://x/y", endpoint=server, credentials_path=tmp_path / "none", allow_http=True
    )
    with pytest.raises(TargetFailed, match="put it there, mode 600"):
        Bucket(settings)


async def test_a_bucket_out_of_reach_leaves_the_log_alone(tmp_path: Path) -> None:
    with s3_server() as address:
        rig = BackupRig(tmp_path, bucket(address, tmp_path, "gone"))
    async with rig.gateway() as gateway:
        await rig.grow(gateway, 1)
        backup = rig.backup(gateway)
        with pytest.raises(TargetFailed, match=r"s3://gone/gateways"):
            await backup.round()
        await rig.grow(gateway, 1)
        assert backup.vitals().failures == 1
