"""A small season through recorder, store and link to the coordinator: everything once, whoever brings it."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.season import VARIANTS, play, repeated

PAYMENTS = 600


@pytest.mark.parametrize("variant", VARIANTS)
async def test_each_payment_is_verified_stored_and_sent_once(tmp_path: Path, variant: str) -> None:
    outcome = await play(tmp_path, VARIANTS[variant], wallets=8, payments=PAYMENTS, every=20)
    brought = sum(one.ledger for one in outcome.handed)
    assert brought > 4 * PAYMENTS  # whole ledgers, again and again
    assert repeated(outcome.checked, 5) == 0
    assert outcome.verified_transactions == PAYMENTS
    assert outcome.coordinator["transactions"] == {"verified": PAYMENTS}
    told = outcome.coordinator["gateways"]["bench-season"]
    assert (told["duplicates"], told["repeated"]) == (0, 0)
    assert told["objects_received"] == told["objects"]
    assert outcome.entries == len(outcome.handed) == told["entries"]
    assert outcome.roots_equal
