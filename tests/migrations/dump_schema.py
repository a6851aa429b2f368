"""Writes the dump of the newest schema that the migration tests keep for ever.

python tests/migrations/dump_schema.py > tests/migrations/schemas/<number>_<what>.sql
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
from pathlib import Path

from benchmarks.power_cuts import Run, commit
from benchmarks.recording_disk import Disk
from gateway.store.ledger import Ledger
from gateway.store.migrations import newest
from simulators.wallets.uploads import snapshot_cbor
from simulators.wallets.wallet import Payment, Wallet

NOW = 1_790_000_000_000


def fill(ledger: Ledger) -> None:
    """Two wallets, a payment with a receipt, one that waited for a key, a double spend, an ack."""
    alice, bob = Wallet(b"a" * 32), Wallet(b"b" * 32)
    run = Run(Disk())
    bob.accept(alice.pay(bob.device_id, 5, NOW), NOW + 1)
    alice.pay(bob.device_id, 0.25, NOW + 2)
    bob.pay(alice.device_id, 1e21, NOW + 3)
    commit(run, ledger, [snapshot_cbor(bob.hand_over(NOW + 4))])
    commit(run, ledger, [snapshot_cbor(alice.hand_over(NOW + 5))])
    ledger.record_signed(2, b"signed checkpoint")
    ledger.mark_acked(2, b"cosigned checkpoint")
    alice.pay(bob.device_id, 7, NOW + 6)
    commit(run, ledger, [snapshot_cbor(alice.hand_over(NOW + 7))])
    alice.enter(Payment(alice.signed("00112233445566ff", 7, 2, NOW + 8, b"again")))
    commit(run, ledger, [snapshot_cbor(alice.hand_over(NOW + 9))])
    while ledger.rejudge():
        pass
    ledger.close()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.db"
        fill(Ledger.open(path, gateway_id="dumped", free_bytes=lambda: 1 << 40))
        connection = sqlite3.connect(path)
        sys.stdout.write("\n".join(connection.iterdump()) + f"\nPRAGMA user_version={newest()};\n")
        connection.close()


if __name__ == "__main__":
    main()
