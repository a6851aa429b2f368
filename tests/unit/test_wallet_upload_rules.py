"""By which rules an upload stands, and what its transactions are worth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest
from nacl.bindings import crypto_sign, crypto_sign_seed_keypair

from gateway.core.refusal import Refusal, Refused
from gateway.core.wallet.snapshot import Snapshot, device_id
from gateway.core.wallet.transaction import (
    OversizeTransaction,
    RawTransaction,
    Receipt,
    Transaction,
    keep_raw,
)
from gateway.core.wallet.tree import WalletFrontier, wallet_root
from gateway.core.wallet.upload import LedgerItem, SnapshotUpload, TransactionsUpload
from gateway.core.wallet.verify import (
    MAX_KEYS,
    Base,
    DeviceKey,
    Judged,
    Known,
    Standing,
    Verdict,
    verify_snapshot,
    verify_transactions,
)


@dataclass(frozen=True)
class Wallet:
    key: bytes
    secret: bytes

    @property
    def id(self) -> str:
        return device_id(self.key)

    def sign(self, text: bytes) -> bytes:
        return crypto_sign(text, self.secret)[:64]

    def pays(self, receiver: Wallet, nonce: int, *, sender: str = "") -> Transaction:
        name = sender or self.id
        blank = Transaction(f"tx-{name}-{nonce}", name, receiver.id, "5", nonce, 1767225626457, b"")
        return blank._replace(signature=self.sign(blank.signed_text))

    def accepts(self, transaction: Transaction) -> Receipt:
        blank = Receipt("accepted", 1767225626500, b"")
        return blank._replace(signature=self.sign(blank.signed_text(transaction.id)))

    def uploads(self, *items: LedgerItem | Transaction) -> SnapshotUpload:
        places = tuple(item if isinstance(item, LedgerItem) else LedgerItem(item) for item in items)
        identities = [place.transaction.identity for place in places]
        blank = Snapshot(wallet_root(identities), 1767225626999, len(places), b"")
        return SnapshotUpload(self.key, replace(blank, signature=self.sign(blank.signed_text)), places)


def wallet(number: int) -> Wallet:
    return Wallet(*crypto_sign_seed_keypair(bytes([number]) * 32))


ALICE, BOB, CAROL = wallet(1), wallet(2), wallet(3)


@dataclass
class Gateway:
    """What a gateway remembers, and whom it was asked about."""

    keys: dict[str, list[DeviceKey]] = field(default_factory=dict)
    known: dict[bytes, Known] = field(default_factory=dict)

    def proves(self, *wallets: Wallet, name: str = "") -> Gateway:
        for each in wallets:
            self.keys.setdefault(name or each.id, []).append(DeviceKey(each.key, proven=True))
        return self

    def hears_of(self, *wallets: Wallet, name: str = "") -> Gateway:
        for each in wallets:
            self.keys.setdefault(name or each.id, []).append(DeviceKey(each.key, proven=False))
        return self

    def keys_of(self, name: str) -> Sequence[DeviceKey]:
        return self.keys.get(name, [])

    def judges(self, upload: SnapshotUpload, base: Base | None = None) -> Verdict:
        return verify_snapshot(upload, known=self.known.get, keys=self.keys_of, base=base)

    def judges_loose(self, uploader: Wallet, *items: LedgerItem) -> Verdict:
        upload = TransactionsUpload(uploader.key, items)
        return verify_transactions(upload, known=self.known.get, keys=self.keys_of)


def standings(verdict: Verdict) -> list[Standing]:
    return [item.standing for item in verdict.items]


def refusal_of(judge: Callable[[], object]) -> Refusal:
    with pytest.raises(Refused) as caught:
        judge()
    return caught.value.code


def test_a_wallets_own_payment_is_verified_and_its_key_proven() -> None:
    verdict = Gateway().judges(ALICE.uploads(ALICE.pays(BOB, 0)))
    assert standings(verdict) == [Standing.VERIFIED]
    assert verdict.items[0].key == ALICE.key
    assert verdict.proven == {ALICE.key}


def test_an_empty_ledger_proves_its_key() -> None:
    assert Gateway().judges(ALICE.uploads()).proven == {ALICE.key}


def test_a_key_proven_before_is_not_newly_proven() -> None:
    assert Gateway().proves(ALICE).judges(ALICE.uploads(ALICE.pays(BOB, 0))).proven == frozenset()


def test_an_unknown_senders_payment_is_unverified() -> None:
    assert standings(Gateway().judges(BOB.uploads(ALICE.pays(BOB, 0)))) == [Standing.UNVERIFIED]


def test_a_payment_proves_its_senders_candidate_key() -> None:
    verdict = Gateway().hears_of(ALICE).judges(BOB.uploads(ALICE.pays(BOB, 0)))
    assert standings(verdict) == [Standing.VERIFIED]
    assert verdict.proven == {ALICE.key, BOB.key}


def test_a_receipt_proves_its_receivers_candidate_key() -> None:
    payment = ALICE.pays(BOB, 0)
    verdict = Gateway().hears_of(BOB).judges(ALICE.uploads(LedgerItem(payment, BOB.accepts(payment))))
    assert verdict.items[0].receipt_standing is Standing.VERIFIED
    assert verdict.proven == {ALICE.key, BOB.key}


def test_a_signature_that_fits_no_proven_key_is_invalid_and_does_not_bring_the_ledger_down() -> None:
    forged = ALICE.pays(BOB, 0)._replace(signature=CAROL.sign(b"something else"))
    verdict = Gateway().proves(ALICE).judges(BOB.uploads(forged, BOB.pays(CAROL, 0)))
    assert standings(verdict) == [Standing.INVALID, Standing.VERIFIED]


def test_a_signature_that_fits_no_candidate_is_only_unverified() -> None:
    """Anybody can say HELLO with a key whose first 64 bits are another's."""
    verdict = Gateway().hears_of(CAROL, name=ALICE.id).judges(BOB.uploads(ALICE.pays(BOB, 0)))
    assert standings(verdict) == [Standing.UNVERIFIED]


def test_garbage_in_an_honest_ledger_is_invalid_and_the_ledger_accepted() -> None:
    garbage = [
        LedgerItem(RawTransaction("a:b:c:5.0:0:0", "not a signature")),
        LedgerItem(OversizeTransaction(b"\x07" * 32)),
    ]
    verdict = Gateway().judges(ALICE.uploads(*garbage, ALICE.pays(BOB, 0)))
    assert standings(verdict) == [Standing.INVALID, Standing.INVALID, Standing.VERIFIED]
    assert [item.receipt_standing for item in verdict.items] == [None, None, None]


def test_each_of_several_keys_under_one_id_is_tried() -> None:
    gateway = Gateway().proves(CAROL, ALICE, name=ALICE.id)
    verdict = gateway.judges(BOB.uploads(CAROL.pays(BOB, 0, sender=ALICE.id), ALICE.pays(BOB, 1)))
    assert [item.key for item in verdict.items] == [CAROL.key, ALICE.key]


def test_the_uploaders_own_key_is_tried_however_many_share_its_id() -> None:
    crowd = [wallet(number) for number in range(10, 10 + 2 * MAX_KEYS)]
    verdict = Gateway().proves(*crowd, name=ALICE.id).judges(ALICE.uploads(ALICE.pays(BOB, 0)))
    assert standings(verdict) == [Standing.VERIFIED]


def test_at_most_four_keys_are_tried() -> None:
    crowd = [wallet(number) for number in range(10, 10 + MAX_KEYS)]
    gateway = Gateway().proves(*crowd, name=ALICE.id).hears_of(ALICE)
    assert standings(gateway.judges(BOB.uploads(ALICE.pays(BOB, 0)))) == [Standing.INVALID]


def test_what_was_verified_before_is_not_checked_again() -> None:
    payment = ALICE.pays(BOB, 0)._replace(signature=bytes(64))
    receipt = Receipt("accepted", 1, bytes(64))
    gateway = Gateway(known={payment.identity: Known(ALICE.key, [receipt])})
    [item] = gateway.judges(BOB.uploads(LedgerItem(payment, receipt))).items
    assert (item.standing, item.key, item.known) == (Standing.VERIFIED, ALICE.key, True)
    assert (item.receipt_standing, item.receipt_known) == (Standing.VERIFIED, True)


def test_a_new_receipt_of_a_known_payment_is_checked() -> None:
    payment = ALICE.pays(BOB, 0)
    gateway = Gateway(known={payment.identity: Known(ALICE.key)})

    def judged(receipt: Receipt) -> Judged:
        return gateway.judges(BOB.uploads(LedgerItem(payment, receipt))).items[0]

    assert judged(BOB.accepts(payment)).receipt_standing is Standing.VERIFIED
    forged = judged(Receipt("accepted", 1, bytes(64)))
    assert (forged.receipt_standing, forged.receipt_known) == (Standing.INVALID, False)


def test_a_receipt_signed_by_the_payer_is_not_the_receivers() -> None:
    payment = ALICE.pays(BOB, 0)
    verdict = Gateway().proves(BOB).judges(ALICE.uploads(LedgerItem(payment, ALICE.accepts(payment))))
    assert verdict.items[0].receipt_standing is Standing.INVALID


def test_a_list_of_another_length_is_refused() -> None:
    upload = ALICE.uploads(ALICE.pays(BOB, 0))
    assert refusal_of(lambda: Gateway().judges(replace(upload, items=()))) is Refusal.COUNT


def test_one_text_twice_is_refused_even_if_differently_signed() -> None:
    payment = ALICE.pays(BOB, 0)
    again = payment._replace(signature=bytes(64))
    assert refusal_of(lambda: Gateway().judges(ALICE.uploads(payment, again))) is Refusal.DUPLICATE
    twice = [LedgerItem(payment), LedgerItem(again)]
    assert refusal_of(lambda: Gateway().judges_loose(ALICE, *twice)) is Refusal.DUPLICATE


def test_two_texts_under_one_id_are_both_kept() -> None:
    payment = ALICE.pays(BOB, 0)
    other = payment._replace(amount="6")
    other = other._replace(signature=ALICE.sign(other.signed_text))
    assert standings(Gateway().judges(ALICE.uploads(payment, other))) == [Standing.VERIFIED] * 2


def test_another_list_of_the_same_length_is_refused() -> None:
    upload = ALICE.uploads(ALICE.pays(BOB, 0))
    other = (LedgerItem(ALICE.pays(BOB, 1)),)
    assert refusal_of(lambda: Gateway().judges(replace(upload, items=other))) is Refusal.ROOT


def test_where_the_root_is_another_a_transaction_out_of_its_grammar_is_named() -> None:
    upload = ALICE.uploads(ALICE.pays(BOB, 0), ALICE.pays(BOB, 1))
    payment = upload.items[1].transaction
    assert isinstance(payment, Transaction)
    spoiled = LedgerItem(keep_raw(payment.signed_text.decode().replace(":5:", ":null:"), "x" * 88))
    with pytest.raises(Refused, match="transaction 1 is out of its grammar") as refused:
        Gateway().judges(replace(upload, items=(upload.items[0], spoiled)))
    assert refused.value.code is Refusal.MALFORMED


def test_a_snapshot_under_anothers_key_is_refused() -> None:
    upload = replace(ALICE.uploads(ALICE.pays(BOB, 0)), key=CAROL.key)
    assert refusal_of(lambda: Gateway().judges(upload)) is Refusal.SIGNATURE


def test_a_key_of_small_order_signs_nothing() -> None:
    upload = replace(ALICE.uploads(), key=bytes([1]) + bytes(31))
    zero = replace(upload, snapshot=replace(upload.snapshot, signature=bytes([1]) + bytes(63)))
    assert refusal_of(lambda: Gateway().judges(zero)) is Refusal.SIGNATURE


def test_an_incremental_upload_stands_on_its_base() -> None:
    old, new = ALICE.pays(BOB, 0), ALICE.pays(BOB, 1)
    whole = ALICE.uploads(old, new)
    frontier = WalletFrontier().extended([old.identity])
    rest = replace(whole, items=whole.items[1:], base_count=1, base_root=frontier.root())
    base = Base(frontier, {old.identity}.__contains__)
    verdict = Gateway().judges(rest, base)
    assert [item.identity for item in verdict.items] == [new.identity]
    assert verdict.frontier == WalletFrontier().extended([old.identity, new.identity])


def test_a_text_of_the_base_brought_again_is_refused() -> None:
    old = ALICE.pays(BOB, 0)
    whole = ALICE.uploads(old, old)
    frontier = WalletFrontier().extended([old.identity])
    rest = replace(whole, items=whole.items[1:], base_count=1, base_root=frontier.root())
    base = Base(frontier, {old.identity}.__contains__)
    assert refusal_of(lambda: Gateway().judges(rest, base)) is Refusal.DUPLICATE


def test_a_base_that_the_upload_does_not_name_is_the_callers_error() -> None:
    rest = replace(ALICE.uploads(ALICE.pays(BOB, 0)), base_count=1, base_root=bytes(32))
    frontier = WalletFrontier().extended([bytes(32)])
    for base in (None, Base(frontier.extended([bytes(32)]), lambda _: False)):
        with pytest.raises(ValueError, match="base"):
            Gateway().judges(rest, base)
    with pytest.raises(ValueError, match="base"):
        Gateway().judges(replace(rest, base_root=b"\x01" * 32), Base(frontier, lambda _: False))


def test_a_loose_payment_proves_the_uploaders_key_only_by_its_own_signature() -> None:
    verdict = Gateway().judges_loose(ALICE, LedgerItem(ALICE.pays(BOB, 0)))
    assert (standings(verdict), verdict.proven) == ([Standing.VERIFIED], frozenset([ALICE.key]))
    verdict = Gateway().judges_loose(CAROL, LedgerItem(ALICE.pays(BOB, 0)))
    assert (standings(verdict), verdict.proven) == ([Standing.UNVERIFIED], frozenset())
