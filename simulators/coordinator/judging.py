"""Signatures inside objects: verified, unverified or invalid, under the keys that are proven."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from simulators.coordinator.records import Judgement, State
from simulators.coordinator.store import Store
from simulators.textbook.ledger import device_id
from simulators.textbook.objects import AnyObject, Header, Key, Receipt, Transaction
from simulators.textbook.signing import verifies


def judge(store: Store, new: dict[bytes, tuple[bytes, AnyObject]]) -> Judgement:
    """States of the new objects (hash to body and object), and of held ones that they decide.

    A key object is a candidate; a key is proven by a snapshot (verified before) or a transaction that it
    has signed. Receipts count under proven keys only.
    """
    judgement = Judgement(new=new)
    objects = {object_hash: one for object_hash, (_, one) in new.items()}
    for one in objects.values():
        if isinstance(one, Header):
            judgement.keys[one.key] = True
        elif isinstance(one, Key):
            judgement.keys.setdefault(one.key, False)
    _judge_transactions(store, judgement, objects)
    _judge_receipts(store, judgement, objects)
    return judgement


def _judge_transactions(store: Store, judgement: Judgement, objects: dict[bytes, AnyObject]) -> None:
    pending = {hash_: one for hash_, one in objects.items() if isinstance(one, Transaction)}
    shown = _changed(store, judgement)
    pending.update(store.open_transactions(shown))
    keys = _Keys(store, judgement, {one.sender for one in pending.values()} | shown)
    failed = _verify(pending, keys, judgement)
    # A transaction may just have proven a candidate: held ones of its device are decided too.
    by_transaction = _changed(store, judgement) - shown
    failed.update(_verify(dict(store.open_transactions(by_transaction)), keys, judgement))
    for hash_, one in failed.items():
        if hash_ not in judgement.transactions:
            judgement.transactions[hash_] = State.INVALID if keys.proven(one.sender) else State.UNVERIFIED


def _verify(pending: dict[bytes, Transaction], keys: _Keys, judgement: Judgement) -> dict[bytes, Transaction]:
    """Those that no key of their sender verifies."""
    failed = {}
    for hash_, one in pending.items():
        key = next((key for key in keys.of(one.sender) if verifies(key, one.text(), one.signature)), None)
        if key is None:
            failed[hash_] = one
            continue
        judgement.transactions[hash_] = State.VERIFIED
        keys.prove(key)
    return failed


def _judge_receipts(store: Store, judgement: Judgement, objects: dict[bytes, AnyObject]) -> None:
    pending = {hash_: one for hash_, one in objects.items() if isinstance(one, Receipt)}
    held = {one.identity: one for one in objects.values() if isinstance(one, Transaction)}
    pending.update(store.open_receipts(_changed(store, judgement), held))
    held = store.transactions(one.identity for one in pending.values()) | held
    keys = _Keys(store, judgement, {one.receiver for one in held.values()})
    for hash_, receipt in pending.items():
        transaction = held.get(receipt.identity)
        if transaction is None:
            continue
        known = keys.proven(transaction.receiver)
        text = receipt.text(transaction.id)
        state = State.INVALID if known else State.UNVERIFIED
        if any(verifies(key, text, receipt.signature) for key in known):
            state = State.VERIFIED
        judgement.receipts[hash_] = state, transaction.receiver


def _changed(store: Store, judgement: Judgement) -> set[str]:
    """Devices of which this commit shows a new key, or proves one."""
    held = dict(store.keys({device_id(key) for key in judgement.keys}))
    return {device_id(key) for key, proven in judgement.keys.items() if proven > held.get(key, -1)}


class _Keys:
    """Keys by device, held and new; what is proven goes into the judgement."""

    def __init__(self, store: Store, judgement: Judgement, devices: Iterable[str]) -> None:
        self._judgement = judgement
        self._held = dict(store.keys(devices))
        self._by_device: defaultdict[str, list[bytes]] = defaultdict(list)
        for key in self._held | judgement.keys:
            self._by_device[device_id(key)].append(key)

    def of(self, device: str) -> list[bytes]:
        return self._by_device[device]

    def proven(self, device: str) -> list[bytes]:
        return [key for key in self.of(device) if self._held.get(key) or self._judgement.keys.get(key)]

    def prove(self, key: bytes) -> None:
        if not self._held.get(key):
            self._judgement.keys[key] = True
