"""Every upload made with the wallet's own libraries, by LoRa fragments over GWMP into a real store."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lora_rig import lora_rig
from store_rig import NOW, PLENTY, store_rig

from gateway.core import cbor
from gateway.core.admission import Admission, Rate, Rates
from gateway.core.lora.promises import PromiseBook
from gateway.core.lora.regions import REGIONS
from gateway.core.message.wallet_json import decode_snapshot
from gateway.core.refusal import Refused
from gateway.core.wallet.objects import receipt_fields, transaction_fields
from gateway.core.wallet.transaction import Transaction
from gateway.core.wallet.upload import LedgerItem, SnapshotUpload
from gateway.model import Stamp, TimeQuality
from gateway.services.reception import Reception, Signer
from simulators.textbook.cbor import decode
from simulators.textbook.merkle import root_of_data
from simulators.textbook.objects import Header, object_hash
from simulators.wallets.receipts import verify_promise

LINES = (Path(__file__).parents[1] / "vectors/wallet/wallet.jsonl").read_text().splitlines()[1:]
CASES: list[dict[str, Any]] = [json.loads(line) | {"line": line} for line in LINES]
CODES = {1: "malformed", 2: "count", 3: "duplicate", 4: "root", 5: "signature"}
ORIGIN = "offgrid/kibera-07/1"


def in_json(case: dict[str, Any]) -> bytes:
    """The envelope, with the row's own bytes inside: encoding them again would touch the numbers."""
    key = b64encode(bytes.fromhex(case["device"]["public_key_hex"])).decode()
    row = case["line"]
    return f'{{"publicKey":"{key}",{row[row.index(chr(34) + "snapshot") :]}'.encode()


def message_of(case: dict[str, Any]) -> bytes:
    """SNAPSHOT in CBOR; what CBOR has no place for goes as it stands, and is malformed."""
    try:
        upload: SnapshotUpload = decode_snapshot(in_json(case), max_bytes=1 << 20)
    except Refused:
        return in_json(case)
    snapshot = upload.snapshot
    head = [snapshot.root, snapshot.timestamp_ms, snapshot.count, snapshot.signature]
    return cbor.encode([2, upload.key, head, 0, None, [item_fields(item) for item in upload.items]])


def item_fields(item: LedgerItem) -> list[object]:
    assert isinstance(item.transaction, Transaction)
    fields = transaction_fields(item.transaction)
    return [*fields, receipt_fields(item.receipt)] if item.receipt else fields


def content_of(case: dict[str, Any], message: bytes) -> bytes:
    """H, as the wallet computes it from what it sent."""
    _, key, (root, timestamp, count, signature), *_ = cbor.decode(message)
    list_root = root_of_data([bytes.fromhex(leaf) for leaf in case["leaf_hashes"]])
    return object_hash(Header(key, root, timestamp, count, signature, list_root).encode())


@dataclass
class VectorWallet:
    """Hands over cases in turn, and believes a promise only where it verifies."""

    key: bytes
    cases: list[dict[str, Any]]
    outcomes: dict[str, str] = field(default_factory=dict)
    _case: dict[str, Any] = field(default_factory=dict)
    _message: bytes = b""

    def next_message(self) -> bytes | None:
        if not self.cases:
            return None
        self._case = self.cases.pop(0)
        self._message = message_of(self._case)
        return self._message

    def on_answer(self, answer: bytes) -> bool:
        fields = decode(answer)
        assert isinstance(fields, list)
        if fields[0] == 17:
            self.outcomes[self._case["name"]] = CODES[fields[1]]
            return True
        if not self._case["expect"]["accept"]:
            return False  # a batch for others
        promised = verify_promise(answer, self.key, [content_of(self._case, self._message)], [ORIGIN])
        if promised:
            self.outcomes[self._case["name"]] = "accepted"
        return bool(promised)


async def hand_over_all(rig: Any, wallets: Sequence[VectorWallet]) -> None:
    async with asyncio.TaskGroup() as group:
        for wallet in wallets:
            group.create_task(rig.device(wallet).run())


async def test_every_upload_of_the_wallets_is_answered_as_expected_over_lora(tmp_path: Path) -> None:
    wide = Rate(messages=1_000_000, bytes=1 << 40)
    async with store_rig(tmp_path / "gateway.db") as behind:
        signed = behind.recorder._sign
        reception = Reception(
            behind.recorder,
            behind.store,
            Admission(Rates(radio=wide, peer=wide, device=wide)),
            Signer(gateway_id="kibera-07", key=behind.key, sign=signed),
            now=lambda: Stamp(NOW, TimeQuality.AGREED),
            monotonic=lambda: NOW / 1000,
            max_bytes=lambda: PLENTY,
            answered=lambda radio, word: None,
        )
        book = PromiseBook(signed)
        submit = reception.submit("lora", 0.05, book.write)
        region = REGIONS["US915"]
        async with (
            lora_rig(region=region, plan="US915", submit=submit, join=book.join) as rig,
            rig.forwarder() as forwarder,
        ):
            await forwarder.pulled.wait()
            wallets = [VectorWallet(behind.key, CASES[n::12]) for n in range(12)]
            await hand_over_all(rig, wallets)
        head = await behind.store.head()
    outcomes = {name: outcome for wallet in wallets for name, outcome in wallet.outcomes.items()}
    assert len(outcomes) == len(CASES)
    for case in CASES:
        expect = case["expect"]
        allowed = ["accepted"] if expect["accept"] else expect["reasons"]
        assert outcomes[case["name"]] in allowed, case["name"]
    assert head.size == sum(case["expect"]["accept"] for case in CASES)
