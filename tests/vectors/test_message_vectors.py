"""Objects and device messages against their golden bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cbor2
import pytest

from gateway.core.message.downlink import (
    Beacon,
    Downlink,
    Inclusion,
    Loose,
    Nack,
    Promise,
    PromisedEntry,
    Resume,
    encode_downlink,
)
from gateway.core.message.uplink import decode_uplink
from gateway.core.refusal import Refusal, Refused
from gateway.core.wallet.objects import SnapshotHeader, decode_object, encode_object, object_hash
from gateway.core.wallet.transaction import RawTransaction, Transaction
from gateway.core.wallet.tree import WalletFrontier
from gateway.core.wallet.upload import SnapshotUpload
from gateway.core.wallet.verify import Base, Standing, verify_snapshot

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "messages/messages.json").read_text())


def cases(chapter: str) -> pytest.MarkDecorator:
    rows = VECTORS[chapter]
    return pytest.mark.parametrize("case", rows, ids=[row["name"] for row in rows])


def value_of(node: Any) -> Any:
    if isinstance(node, dict):
        return bytes.fromhex(node["h"])
    return [value_of(inner) for inner in node] if isinstance(node, list) else node


@cases("objects")
def test_an_object_has_its_bytes_and_hash(case: dict[str, Any]) -> None:
    data = bytes.fromhex(case["cbor"])
    value = decode_object(data)
    assert encode_object(value) == data == cbor2.dumps(value_of(case["value"]), canonical=True)
    assert object_hash(data).hex() == case["object_hash"]
    if isinstance(value, Transaction | RawTransaction):
        assert value.identity.hex() == case["identity"]
    if isinstance(value, Transaction):
        assert value.signed_text.decode() == case["signed_text"]
    if isinstance(value, SnapshotHeader):
        assert value.snapshot.signed_text.decode() == case["signed_text"]


@cases("uplinks")
def test_an_uplink_is_read_or_refused(case: dict[str, Any]) -> None:
    data = bytes.fromhex(case["cbor"])
    if "value" in case:
        assert data == cbor2.dumps(value_of(case["value"]), canonical=True)
    if "refused" not in case:
        decode_uplink(data, max_bytes=4096)
        return
    with pytest.raises(Refused) as caught:
        decode_uplink(data, max_bytes=4096)
    assert caught.value.code.word == case["refused"]


def test_the_golden_snapshots_stand() -> None:
    uploads = [decode_uplink(bytes.fromhex(row["cbor"]), max_bytes=4096) for row in VECTORS["uplinks"][1:4]]
    whole, rest, empty = (upload for upload in uploads if isinstance(upload, SnapshotUpload))
    held = [item.transaction.identity for item in whole.items[:2]]
    base = Base(WalletFrontier().extended(held), held.__contains__)
    for upload, start, expected in ((whole, None, 3), (rest, base, 1), (empty, None, 0)):
        verdict = verify_snapshot(upload, known=lambda _: None, keys=lambda _: (), base=start)
        standings = [item.standing for item in verdict.items]
        assert standings == [Standing.VERIFIED, Standing.VERIFIED, Standing.INVALID][3 - expected :]


def message_of(array: list[Any]) -> Downlink:
    kind, *fields = array
    match kind:
        case 16:
            origin, signature, items = fields
            return Promise(origin, signature, tuple(PromisedEntry(*item) for item in items))
        case 17:
            return Nack(Refusal(fields[0]), *fields[1:])
        case 18:
            return Resume(tuple((count, root) for count, root in fields[0]))
        case 19:
            return Loose()
        case 20:
            origin, index, entry, at, object_path, leaf_path, checkpoint = fields
            return Inclusion(origin, index, entry, at, tuple(object_path), tuple(leaf_path), checkpoint)
        case _:
            return Beacon(*fields)


@cases("downlinks")
def test_a_downlink_has_its_bytes(case: dict[str, Any]) -> None:
    assert encode_downlink(message_of(value_of(case["value"]))).hex() == case["cbor"]
