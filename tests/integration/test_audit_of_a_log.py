"""The auditor: what holds is said to hold; what was rewritten, shortened or forged is found."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey

from gateway.cli import main
from gateway.core.auditing import AuditFailed, path_root, root_of
from gateway.model import Head
from gateway.services.http.publication import LEAVES, publication
from gateway.services.http.server import Site, serve
from simulators.textbook.cbor import encode
from simulators.textbook.merkle import audit_path, leaf_hash
from simulators.textbook.merkle import root_of as textbook_root
from simulators.textbook.notes import Checkpoint, NoteKey, cosign, sign_checkpoint

ORIGIN, COORDINATOR = "offgrid/hill-7/1", "coordinator.example"
GATEWAY, COSIGNER = SigningKey(b"\x03" * 32), SigningKey(b"\x04" * 32)
KEY = b64encode(bytes(GATEWAY.verify_key)).decode()
VKEY = NoteKey(COORDINATOR, bytes(COSIGNER.verify_key), 4).vkey()
CONTENT = b"\x07" * 32
ENTRY = encode([1, 1, leaf_hash(CONTENT), 1, 1_795_000_000_000, 3, "ble"])
LOG = [leaf_hash(ENTRY) if n == 5 else leaf_hash(b"%d" % n) for n in range(9)]


def note(leaves: Sequence[bytes], key: SigningKey = GATEWAY) -> bytes:
    signed = sign_checkpoint(Checkpoint(ORIGIN, len(leaves), textbook_root(leaves)), key)
    return cosign(signed, COORDINATOR, COSIGNER, 1_795_000_000)


def receipt(size: int) -> bytes:
    return encode([20, ORIGIN, 5, ENTRY, 0, [], audit_path(5, LOG[:size]), note(LOG[:size])])


class Gateway:
    """Publishes these leaves, and what it claims of them."""

    def __init__(self, leaves: Sequence[bytes], signed: bytes, cosigned: bytes | None) -> None:
        self.kept, self.signed, self.cosigned = leaves, signed, cosigned

    async def head(self) -> Head:
        return Head(
            epoch=1,
            origin=ORIGIN,
            size=len(self.kept),
            root=bytes(32),
            signed_size=0,
            signed_note=self.signed,
            acked_size=0,
            cosigned_note=self.cosigned,
        )

    async def leaves(self, start: int, most: int) -> bytes:
        return b"".join(self.kept[start : start + most])


@asynccontextmanager
async def published(gateway: Gateway) -> AsyncIterator[str]:
    opened: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    site = Site(
        name="http",
        host="127.0.0.1",
        port=0,
        routes=publication(gateway, bytes(GATEWAY.verify_key)),
        opened=lambda host, port: opened.set_result(f"http://{host}:{port}"),
    )
    task = asyncio.create_task(serve(site))
    yield await opened
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def audited(leaves: Sequence[bytes], *targets: str | Path, given: Sequence[str] = ()) -> Result:
    """An audit of a gateway that has these leaves and says what is right of nine."""
    known = ("--key", KEY, "--coordinator", VKEY)
    async with published(Gateway(leaves, note(LOG), note(LOG))) as url:
        words = ["audit", url, *map(str, targets), *(given or known)]
        return await asyncio.to_thread(CliRunner().invoke, main, words)


async def test_a_log_that_holds_is_said_to_hold(tmp_path: Path) -> None:
    (tmp_path / "old.note").write_bytes(note(LOG[:4]))
    (tmp_path / "receipt.cbor").write_bytes(receipt(8))
    known = ("--key", KEY, "--coordinator", VKEY, "--content", CONTENT.hex())
    seen = await audited(LOG, tmp_path / "old.note", tmp_path / "receipt.cbor", given=known)
    assert seen.exit_code == 0, seen.output
    assert (
        "9 leaves signed by the gateway, cosigned by coordinator.example, a state of this log" in seen.output
    )
    assert "4 leaves signed" in seen.output
    assert "this content is leaf 5 under 8 leaves" in seen.output


async def test_a_rewritten_log_is_found_by_an_old_checkpoint_and_by_a_receipt(tmp_path: Path) -> None:
    (tmp_path / "old.note").write_bytes(note(LOG[:6]))
    (tmp_path / "receipt.cbor").write_bytes(receipt(6))
    rewritten = [*LOG[:5], leaf_hash(b"another"), *LOG[6:]]
    seen = await audited(rewritten, tmp_path / "old.note", tmp_path / "receipt.cbor")
    assert seen.exit_code == 1
    assert seen.output.count("it was rewritten") == 4, "both of its own, the old one, and the receipt's"


async def test_a_shortened_log_is_found(tmp_path: Path) -> None:
    seen = await audited(LOG[:7])
    assert seen.exit_code == 1
    assert "the log has 7 leaves and once had 9: it was shortened" in seen.output


def test_two_logs_of_one_size_are_found_without_the_gateway(tmp_path: Path) -> None:
    for name, leaves in (("one", LOG), ("other", [*LOG[:8], leaf_hash(b"x")])):
        (tmp_path / name).write_bytes(note(leaves))
    seen = CliRunner().invoke(
        main, ["audit", "--key", KEY, *(str(tmp_path / one) for one in ("one", "other"))]
    )
    assert seen.exit_code == 1
    assert "signed two logs of 9 leaves: keep both files" in seen.output


async def test_a_stranger_s_signature_and_a_missing_cosignature_do_not_hold(tmp_path: Path) -> None:
    (tmp_path / "forged.note").write_bytes(note(LOG[:4], SigningKey(b"\x09" * 32)))
    seen = await audited(LOG, tmp_path / "forged.note")
    assert seen.exit_code == 1
    alone = sign_checkpoint(Checkpoint(ORIGIN, 9, textbook_root(LOG)), GATEWAY)
    async with published(Gateway(LOG, alone, alone)) as url:
        words = ["audit", url, "--key", KEY, "--coordinator", VKEY]
        seen = await asyncio.to_thread(CliRunner().invoke, main, words)
    assert seen.exit_code == 1
    assert "the coordinator has not cosigned it" in seen.output


async def test_a_key_that_the_gateway_says_itself_is_no_more_than_a_warning(tmp_path: Path) -> None:
    seen = await audited(LOG, given=("--json",))
    told = json.loads(seen.output)
    assert told["holds"] is True
    assert [one["verdict"] for one in told["checks"]] == ["warn", "pass", "pass", "pass"]
    other = b64encode(bytes(32)).decode()
    assert (await audited(LOG, given=("--key", other))).exit_code == 1


async def test_a_receipt_for_other_content_or_as_json_is_judged(tmp_path: Path) -> None:
    told = {
        "status": "included",
        "origin": ORIGIN,
        "index": 5,
        "entry": b64encode(ENTRY).decode(),
        "objectIndex": 0,
        "objectPath": [],
        "leafPath": [one.hex() for one in audit_path(5, LOG)],
        "checkpoint": note(LOG).decode(),
    }
    path = tmp_path / "receipt.json"
    path.write_text(json.dumps(told))
    right = ("--key", KEY, "--content", CONTENT.hex())
    assert (await audited(LOG, path, given=right)).exit_code == 0
    wrong = await audited(LOG, path, given=("--key", KEY, "--content", "00" * 32))
    assert "the content is not in the receipt's entry" in wrong.output
    path.write_text(json.dumps({"status": "accepted"}))
    assert "ask the gateway for it once it has" in (await audited(LOG, path)).output


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, LEAVES + 1])
async def test_long_logs_come_in_pieces(size: int) -> None:
    leaves = [n.to_bytes(32, "big") for n in range(size)]
    signed = sign_checkpoint(Checkpoint(ORIGIN, size, textbook_root(leaves)), GATEWAY)
    async with published(Gateway(leaves, signed, None)) as url:
        seen = await asyncio.to_thread(CliRunner().invoke, main, ["audit", url, "--key", KEY])
    assert seen.exit_code == 0, seen.output
    assert f"{size} leaves read" in seen.output


def test_what_cannot_be_read_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "junk").write_bytes(b"\x00junk")
    run = CliRunner().invoke
    assert "not a receipt" in run(main, ["audit", "--key", KEY, str(tmp_path / "junk")]).output
    assert "No such file" in run(main, ["audit", str(tmp_path / "none")]).output
    assert "is the gateway's page reachable?" in run(main, ["audit", "http://127.0.0.1:1"]).output


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 33])
def test_the_definition_agrees_with_another_text_of_it(size: int) -> None:
    leaves = [leaf_hash(b"%d" % n) for n in range(size)]
    assert root_of(leaves) == textbook_root(leaves)
    for index in range(size):
        path = audit_path(index, leaves)
        assert path_root(leaves[index], index, size, path) == root_of(leaves)
        for wrong in ([*path, bytes(32)], path[:-1]) if size > 1 else ([bytes(32)],):
            with pytest.raises(AuditFailed):
                path_root(leaves[index], index, size, wrong)


@given(st.integers(-3, 40), st.integers(0, 40), st.lists(st.binary(min_size=32, max_size=32), max_size=8))
def test_no_path_breaks_the_walk(index: int, size: int, path: list[bytes]) -> None:
    try:
        assert len(path_root(bytes(32), index, size, path)) == 32
    except AuditFailed:
        pass
