"""Every upload made with the wallet's own libraries, through recorder and store, as the file expects."""

from __future__ import annotations

import json
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

from store_rig import audit, store_rig

from gateway.core.message.downlink import Nack, Promise
from gateway.core.message.wallet_json import decode_snapshot
from gateway.core.refusal import Refused
from gateway.core.submission import Upload
from gateway.model import Source

ROWS = (Path(__file__).parents[1] / "vectors/wallet/wallet.jsonl").read_text().splitlines()[1:]


def envelope(row: str, case: dict[str, Any]) -> bytes:
    """The row's own bytes in the wallet's envelope: encoding them again would touch the numbers."""
    key = b64encode(bytes.fromhex(case["device"]["public_key_hex"])).decode()
    return f'{{"publicKey":"{key}",{row[row.index(chr(34) + "snapshot") :]}'.encode()


async def test_each_is_accepted_or_refused_for_the_reason_the_file_gives(tmp_path: Path) -> None:
    conflicts = 0
    async with store_rig(tmp_path / "log.db") as rig:
        for row in ROWS:
            case = json.loads(row)
            body, expect = envelope(row, case), case["expect"]
            try:
                message = decode_snapshot(body, max_bytes=1 << 20)
            except Refused as refused:
                assert refused.code.word in expect["reasons"], case["name"]
                continue
            source = Source(radio="http", peer="vectors", correlation_id=case["name"])
            upload = Upload(message=message, source=source, fingerprint=sha256(body).digest())
            answer = (await rig.recorder.record(upload)).answer
            if expect["accept"]:
                assert isinstance(answer, Promise), case["name"]
            else:
                assert isinstance(answer, Nack), case["name"]
                assert answer.code.word in expect["reasons"], case["name"]
            conflicts += "conflict" in expect
            figures = await rig.store.figures()
            while (await rig.store.figures()) != figures:
                figures = await rig.store.figures()
            assert figures.conflicts == conflicts, case["name"]
        assert figures.double_spends == conflicts == 2
        await audit(rig.store)
