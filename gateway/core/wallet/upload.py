"""What a device hands over, decoded and not yet verified."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.core.wallet.snapshot import Snapshot
from gateway.core.wallet.transaction import AnyTransaction, Receipt

MAX_LOOSE = 64
"""Transactions in one upload without a snapshot."""


class LedgerItem(NamedTuple):
    """One place in a ledger; only a transaction in its grammar can have a receipt."""

    transaction: AnyTransaction
    receipt: Receipt | None = None


@dataclass(frozen=True, slots=True)
class SnapshotUpload:
    """A snapshot and what follows the first `base_count` places of its ledger; 0 and None: the whole.

    `objects` are the items' transactions encoded as objects, None where the message did not bring one in
    nearly this form; or it is empty.
    """

    key: bytes
    snapshot: Snapshot
    items: tuple[LedgerItem, ...]
    base_count: int = 0
    base_root: bytes | None = None
    objects: tuple[bytes | None, ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class TransactionsUpload:
    """Transactions without a snapshot, each receipted by itself.

    `key` None: the carrier says no key, and a transaction stands under those known for its sender.
    """

    key: bytes | None
    items: tuple[LedgerItem, ...]
