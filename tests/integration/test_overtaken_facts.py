"""Uploads judged by facts that another upload has overtaken by the time they are committed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.core.judgement import Judgement, judge, prepare
from gateway.core.message.uplink import decode_uplink
from gateway.core.submission import Submission
from gateway.core.wallet.upload import SnapshotUpload
from gateway.model import Stamp, TimeQuality
from gateway.store.ledger import Ledger
from simulators.wallets.uploads import snapshot_cbor
from simulators.wallets.wallet import Wallet

NOW = 1_790_000_000_000


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger.open(tmp_path / "gateway.db", gateway_id="g", free_bytes=lambda: 1 << 40)
    yield ledger
    ledger.close()


def judged(ledger: Ledger, message: bytes) -> Submission:
    """As the recorder's verify thread does, by what is known now."""
    upload = decode_uplink(message, max_bytes=1 << 20)
    assert isinstance(upload, SnapshotUpload)
    prepared = prepare(upload)
    facts = ledger.facts_for(prepared.question)
    judgement = judge(prepared, facts, "http", Stamp(NOW, TimeQuality.AGREED))
    assert isinstance(judgement, Judgement)
    assert judgement.submission is not None
    return judgement.submission


@pytest.mark.parametrize("together", [False, True], ids=["one commit after the other", "in one commit"])
def test_a_payment_judged_before_its_sender_was_proven_is_verified_although_it_came_after(
    ledger: Ledger, together: bool
) -> None:
    alice, bob = Wallet(b"a" * 32), Wallet(b"b" * 32)
    before_paying = snapshot_cbor(alice.hand_over(NOW))
    bob.accept(alice.pay(bob.device_id, 5, NOW + 1), NOW + 2)
    of_bob, of_alice = judged(ledger, snapshot_cbor(bob.hand_over(NOW + 3))), judged(ledger, before_paying)
    for group in [[of_alice, of_bob]] if together else [[of_alice], [of_bob]]:
        ledger.append(group)
    while ledger.rejudge():
        pass
    figures = ledger.figures()
    assert (figures.verified_transactions, figures.unverified_transactions) == (1, 0)
    assert figures.unproven_bytes == 0
