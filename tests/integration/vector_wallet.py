"""The wallets' own uploads as a LoRa device hands them over, and what it makes of the answers."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.core import cbor
from gateway.core.message.uplink import decode_uplink
from gateway.core.message.wallet_json import decode_snapshot
from gateway.core.refusal import Refused
from gateway.core.wallet.objects import receipt_fields, transaction_fields
from gateway.core.wallet.transaction import Transaction
from gateway.core.wallet.upload import LedgerItem, SnapshotUpload
from simulators.textbook.cbor import decode
from simulators.textbook.merkle import root_of_data
from simulators.textbook.objects import Header, object_hash
from simulators.wallets.receipts import receipt_in, verify_promise

LINES = (Path(__file__).parents[1] / "vectors/wallet/wallet.jsonl").read_text().splitlines()[1:]
CASES: list[dict[str, Any]] = [json.loads(line) | {"line": line} for line in LINES]
CODES = {1: "malformed", 2: "count", 3: "duplicate", 4: "root", 5: "signature"}


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
    snapshot = decode_uplink(message, max_bytes=1 << 20)
    assert isinstance(snapshot, SnapshotUpload)
    signed = snapshot.snapshot
    list_root = root_of_data([bytes.fromhex(leaf) for leaf in case["leaf_hashes"]])
    return object_hash(
        Header(
            snapshot.key, signed.root, signed.timestamp_ms, signed.count, signed.signature, list_root
        ).encode()
    )


@dataclass
class VectorWallet:
    """Hands over cases in turn, and believes a promise only where it verifies."""

    key: bytes
    origin: str
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
        if answer.startswith(b"{"):  # what CBOR could not even say
            self.outcomes[self._case["name"]] = json.loads(answer)["code"]
            return True
        answer = receipt_in(answer)
        fields = decode(answer)
        assert isinstance(fields, list)
        if fields[0] == 17:
            self.outcomes[self._case["name"]] = CODES[fields[1]]
            return True
        if not self._case["expect"]["accept"]:
            return False  # a batch for others
        promised = verify_promise(answer, self.key, [content_of(self._case, self._message)], [self.origin])
        if promised:
            self.outcomes[self._case["name"]] = "accepted"
        return bool(promised)


def leaves_of(cases: Sequence[dict[str, Any]]) -> int:
    """How many leaves they make in a log: a conflict is one of its own."""
    return sum(case["expect"]["accept"] + ("conflict" in case["expect"]) for case in cases)


def allowed(case: dict[str, Any]) -> list[str]:
    """The outcomes that are right for a case."""
    return ["accepted"] if case["expect"]["accept"] else case["expect"]["reasons"]
