"""Mutated frames through one decoder: each is decoded or refused, or this ends with the culprit.

    python -m benchmarks.fuzz --decoder cbor --frames 1000000 --seed 1

A decoder is a row of `TARGETS`: genuine frames to start from, the decoder, and what it may raise.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from random import Random

from nacl.bindings import crypto_sign, crypto_sign_seed_keypair

from benchmarks.figure import Figure
from drivers.gsm_at import answers
from drivers.gsm_at.engine import MAX_LINE, MAX_REPLY_LINES, AtEngine, Reply
from drivers.gsm_at.octets import PduError
from drivers.gsm_at.pdu import Deliver, StatusReport, Submit, decode_incoming, decode_submit, to_hex
from drivers.lora_gwmp.packets import GwmpError
from drivers.lora_gwmp.wire import decode as decode_datagram
from gateway.core import cbor
from gateway.core.cbor import CborError
from gateway.core.lists import ListInvalid, continuation, difference, expand
from gateway.core.lora.frames import Data, FrameError, Poll, split, xid_of
from gateway.core.lora.frames import decode_uplink as decode_link_frame
from gateway.core.lora.link import LoraLink, Message
from gateway.core.lora.regions import REGIONS
from gateway.core.lora.windows import Heard
from gateway.core.message.uplink import decode_uplink
from gateway.core.message.wallet_json import decode_snapshot
from gateway.core.refusal import Refused
from gateway.core.sync import messages as sync
from gateway.core.wallet.objects import (
    HASH_BYTES,
    BoundReceipt,
    DeviceKeyObject,
    SnapshotHeader,
    decode_object,
    encode_object,
    receipt_fields,
    transaction_fields,
)
from gateway.core.wallet.snapshot import Snapshot, device_id
from gateway.core.wallet.transaction import OversizeTransaction, RawTransaction, Receipt, Transaction
from gateway.core.wallet.tree import wallet_root
from gateway.core.wallet.upload import SnapshotUpload, TransactionsUpload

MAX_BYTES = 1 << 16

Samples = Callable[[], Sequence[bytes]]


@dataclass(frozen=True, slots=True)
class Target:
    """A decoder under attack."""

    samples: Samples
    decode: Callable[[bytes], object]
    refusals: tuple[type[Exception], ...]


def main() -> int:
    options = _options()
    started = time.perf_counter()
    outcomes = attack(TARGETS[options.decoder], frames=options.frames, seed=options.seed)
    seconds = time.perf_counter() - started
    counts = ", ".join(f"{word} {count}" for word, count in outcomes.most_common())
    sys.stdout.write(f"{options.decoder}: {options.frames} frames in {seconds:.0f} s, uncaught 0; {counts}\n")
    return 0


def figures(quick: bool) -> list[Figure]:
    """Frames a second through each decoder; an exception that is no refusal ends the run."""
    frames = 5_000 if quick else 1_000_000
    told = []
    for name, target in TARGETS.items():
        started = time.perf_counter()
        attack(target, frames=frames, seed=1)
        told.append(Figure(f"{name}: mutated frames", "1/s", frames / (time.perf_counter() - started)))
    return told


def attack(target: Target, *, frames: int, seed: int) -> Counter[str]:
    """How many frames were decoded, or refused with which word.

    An exception that is no refusal goes through, with a note of the frame that brings it about.
    """
    random = Random(seed)
    samples = target.samples()
    for sample in samples:
        target.decode(sample)  # a sample that is refused would test little
    outcomes: Counter[str] = Counter()
    for number in range(frames):
        frame = mutated(random, samples)
        try:
            target.decode(frame)
            outcomes["decoded"] += 1
        except target.refusals as refusal:
            outcomes[refusal.code.word if isinstance(refusal, Refused) else "refused"] += 1
        except BaseException as error:
            error.add_note(f"seed {seed}, frame {number}: {frame.hex()}")
            raise
    return outcomes


def mutated(random: Random, samples: Sequence[bytes]) -> bytes:
    """One of the samples with one to four wounds."""
    frame = bytearray(random.choice(samples))
    for _ in range(random.choice((1, 1, 1, 2, 3, 4))):
        random.choice(_WOUNDS)(random, frame, samples)
    return bytes(frame)


def _flip_bit(random: Random, frame: bytearray, _: Sequence[bytes]) -> None:
    if frame:
        frame[random.randrange(len(frame))] ^= 1 << random.randrange(8)


def _set_byte(random: Random, frame: bytearray, _: Sequence[bytes]) -> None:
    if frame:
        frame[random.randrange(len(frame))] = random.randrange(256)


def _cut(random: Random, frame: bytearray, _: Sequence[bytes]) -> None:
    del frame[random.randrange(len(frame) + 1) :]


def _drop(random: Random, frame: bytearray, _: Sequence[bytes]) -> None:
    start = random.randrange(len(frame) + 1)
    del frame[start : start + random.randint(1, 16)]


def _repeat(random: Random, frame: bytearray, _: Sequence[bytes]) -> None:
    start = random.randrange(len(frame) + 1)
    frame[start:start] = frame[start : start + random.randint(1, 64)]


def _splice(random: Random, frame: bytearray, samples: Sequence[bytes]) -> None:
    other = random.choice(samples)
    start = random.randrange(len(other) + 1)
    at = random.randrange(len(frame) + 1)
    frame[at : at + random.randint(0, 32)] = other[start : start + random.randint(1, 64)]


def _insert_token(random: Random, frame: bytearray, _: Sequence[bytes]) -> None:
    at = random.randrange(len(frame) + 1)
    frame[at : at + random.randint(0, 4)] = random.choice(_TOKENS)


_WOUNDS = (_flip_bit, _set_byte, _cut, _drop, _repeat, _splice, _insert_token)

_TOKENS = (
    # CBOR: huge lengths, NaN, floats, tags, indefinite lengths, a break, deep nesting, bad UTF-8
    *map(
        bytes.fromhex,
        ("9bffffffffffffffff", "5bffffffffffffffff", "bb7fffffffffffffff", "1bffffffffffffffff"),
    ),
    *map(
        bytes.fromhex, ("f97e00", "fb7ff8000000000000", "f93c00", "c0", "c24101", "c482", "d81c80", "d81d00")
    ),
    *map(
        bytes.fromhex,
        ("9f", "5f", "7f", "bf", "ff", "f5", "f6", "f7", "f8ff", "62c328", "a201010101", "a18001"),
    ),
    b"\x81" * 600,
    # JSON: constants, duplicate names, huge and odd numbers, escapes, deep nesting
    *(
        b"NaN",
        b"-Infinity",
        b"null",
        b"true",
        b"1e999",
        b"-0",
        b"9" * 400,
        b"1.0",
        b'"\\ud800"',
        b'"\\u0000"',
    ),
    *(
        b'"id":"x",',
        b'"receipt":[],',
        b'"from":{},',
        b"[" * 2000,
        b'{"a":' * 2000,
        b"\xff",
        b"\x00",
        b"\xef\xbb\xbf",
    ),
)


_SEEDS = (bytes([1]) * 32, bytes([2]) * 32)
_PAYER, _PAYEE = (crypto_sign_seed_keypair(seed) for seed in _SEEDS)


def _sign(pair: tuple[bytes, bytes], text: bytes) -> bytes:
    return crypto_sign(text, pair[1])[:64]


def _payment(nonce: int, amount: str, transaction_id: str) -> Transaction:
    blank = Transaction(
        transaction_id, device_id(_PAYER[0]), device_id(_PAYEE[0]), amount, nonce, 1767225626457 + nonce, b""
    )
    return blank._replace(signature=_sign(_PAYER, blank.signed_text))


def _ledger() -> list[Transaction]:
    return [
        _payment(0, "5", "ab" * 16),
        _payment(1, "1e-7", "Zahlung"),
        _payment(2, "0.30000000000000004", "é"),
    ]


def _receipt(transaction: Transaction) -> Receipt:
    blank = Receipt("accepted", transaction.timestamp_ms + 5, b"")
    return blank._replace(signature=_sign(_PAYEE, blank.signed_text(transaction.id)))


_RAW = RawTransaction("a:b:c:5.0:0:0", "%%%")


def _snapshot(identities: Sequence[bytes]) -> Snapshot:
    blank = Snapshot(wallet_root(identities), 1767240233837, len(identities), b"")
    return replace(blank, signature=_sign(_PAYEE, blank.signed_text))


def _cbor_samples() -> list[bytes]:
    ledger = _ledger()
    items = [[*transaction_fields(tx), receipt_fields(_receipt(tx))] for tx in ledger]
    items += [transaction_fields(_payment(3, "1e+21", "cd" * 16)), [_RAW.text, _RAW.signature_text]]
    key = _PAYEE[0]
    snapshot = _snapshot([tx.identity for tx in ledger])
    head = [snapshot.root, snapshot.timestamp_ms, snapshot.count, snapshot.signature]
    messages: list[list[object]] = [
        [1, key],
        [2, key, head, 0, None, items],
        [2, key, head, 2, bytes(32), items[2:]],
        [3, key, items[:2]],
        [4, bytes(32)],
    ]
    return [cbor.encode(message) for message in messages]


def _json_samples() -> list[bytes]:
    ledger = _ledger()
    snapshot = _snapshot([tx.identity for tx in ledger])
    envelope = {
        "publicKey": _base64(_PAYEE[0]),
        "snapshot": {
            "root": snapshot.root.hex(),
            "timestamp": snapshot.timestamp_ms,
            "signature": _base64(snapshot.signature),
            "txCount": snapshot.count,
        },
        "transactions": [_json_transaction(tx) for tx in ledger],
    }
    incremental = envelope | {"base": {"count": 1, "root": "00" * 32}}
    return [
        json.dumps(message).encode() for message in (envelope, incremental, envelope | {"transactions": []})
    ]


def _json_transaction(transaction: Transaction) -> dict[str, object]:
    receipt = _receipt(transaction)
    return {
        "id": transaction.id,
        "from": transaction.sender,
        "to": transaction.receiver,
        "amount": float(transaction.amount),
        "nonce": transaction.nonce,
        "timestamp": transaction.timestamp_ms,
        "signature": _base64(transaction.signature),
        "metadata": {"transport": "BLE", "offline": True},
        "receipt": {
            "txId": transaction.id,
            "receiverSignature": _base64(receipt.signature),
            "timestamp": receipt.timestamp_ms,
            "status": receipt.status,
        },
    }


def _object_samples() -> list[bytes]:
    transaction = _ledger()[1]
    receipt = BoundReceipt(transaction.identity, _receipt(transaction))
    header = SnapshotHeader(_PAYEE[0], _snapshot([transaction.identity]), bytes(32))
    return [encode_object(o) for o in (transaction, receipt, header, DeviceKeyObject(_PAYER[0]), _RAW)]


def _base64(data: bytes) -> str:
    return b64encode(data).decode()


def _uplink(frame: bytes) -> object:
    return _kept(decode_uplink(frame, max_bytes=MAX_BYTES))


def _envelope(frame: bytes) -> object:
    return _kept(decode_snapshot(frame, max_bytes=MAX_BYTES))


def _kept(message: object) -> object:
    """What was decoded has a leaf, and an object that reads back as it was."""
    for item in message.items if isinstance(message, SnapshotUpload | TransactionsUpload) else ():
        transaction = item.transaction
        same = (
            isinstance(transaction, OversizeTransaction) or _object(encode_object(transaction)) == transaction
        )
        if len(transaction.identity) != HASH_BYTES or not same:
            raise AssertionError(f"{transaction} does not read back")
    return message


def _object(frame: bytes) -> object:
    value = decode_object(frame)
    if encode_object(value) != frame:
        raise AssertionError(f"{value} has a second encoding")
    return value


def _gwmp_samples() -> Sequence[bytes]:
    heard = {
        "tmst": 3512348611,
        "chan": 2,
        "rfch": 0,
        "freq": 868.3,
        "stat": 1,
        "modu": "LORA",
        "datr": "SF7BW125",
        "codr": "4/5",
        "rssi": -35,
        "lsnr": 5.1,
        "size": 9,
        "data": "4IEKCwwNAAF4",
    }
    fsk = {"tmst": 1, "freq": 868.8, "modu": "FSK", "datr": 50000, "rssi": -75, "size": 2, "data": "VEU="}
    stat = {
        "time": "2014-01-12 08:59:28 GMT",
        "rxnb": 2,
        "rxok": 2,
        "rxfw": 2,
        "ackr": 100.0,
        "dwnb": 2,
        "txnb": 2,
    }
    down = {
        "imme": False,
        "tmst": 7,
        "freq": 869.525,
        "powe": 14,
        "modu": "LORA",
        "datr": "SF9BW125",
        "codr": "4/5",
        "ipol": True,
        "size": 2,
        "data": "4BI=",
    }
    eui = bytes.fromhex("b827ebfffe010203")
    bodies = ({"rxpk": [heard]}, {"rxpk": [heard, fsk] * 4, "stat": stat}, {"stat": stat})
    return [
        *(b"\x02\x12\x34\x00" + eui + json.dumps(body).encode() for body in bodies),
        b"\x02\x12\x34\x01",
        b"\x02\x12\x34\x02" + eui,
        b"\x02\x12\x34\x03" + json.dumps({"txpk": down}).encode(),
        b"\x02\x12\x34\x05" + eui + b'{"txpk_ack":{"error":"TOO_LATE"}}',
    ]


def _link_samples() -> Sequence[bytes]:
    random = Random(7)
    frames = [Poll(b"gone").to_bytes(), Data(xid_of(b"whole"), 0, 1, b"whole", True).to_bytes()]
    for size in (100, 700, 3000):
        message = random.randbytes(size)
        chunks = split(message, 247)
        frames += [Data(xid_of(message), i, len(chunks), c, True).to_bytes() for i, c in enumerate(chunks)]
        frames += [Poll(xid_of(message), part).to_bytes() for part in (0, 1)]
    return frames


class _Link:
    """A whole link under frames from the air: joined, answered, acknowledged, a frame each 20 ms."""

    def __init__(self) -> None:
        self._link = LoraLink(REGIONS["EU868"])
        self._now = 0.0

    def take(self, frame: bytes) -> None:
        self._now += 0.02
        heard = Heard(
            concentrator="c",
            peer="c",
            counter_us=round(self._now * 1e6),
            frequency_hz=868_100_000,
            spreading_factor=7,
            bandwidth_hz=125_000,
            snr_db=5.0,
            at=self._now,
        )
        for event in (*self._link.receive(frame, heard, self._now), *self._link.due(self._now)):
            if isinstance(event, Message):
                self._link.answer(event.context, event.content[:700] or b"answer", self._now)
        decode_link_frame(frame)


# Text, 8-bit and UCS-2, parts of several, a name as sender, reports; received and sent.
_PDUS = (
    "0791947101670000040C919471000000300000621102803000000ED0607603DCA0F09B14A8B62903",
    "0791947101670000440C9194710000002000046211028030000009050003770202858687",
    "0791947101670000040C919471000000300008621102803000000A006800690020D83DDE00",
    "0791947101670000040BD0CD16B4380D020000621102803000000FD0607603DCA0F09B14A8B629F701",
    "0791947101670000440C919471000000300004621102803000000806080412340302FF",
    "079194710167000006010C91947100000020621102803000006211028030500000",
    "000642049136195150713220052351408132200542AB0604067265706F7274",
)
_SUBMITS = (
    "0031000C919471000000200000FF16D2F2B89C86D3411B547003146E52A01AA8589502",
    "0019000B917228001011F100003170013193008017D474BB3CA787DB70903DCC4E93D3F43C885E9ED301",
    "0041000C919471000000200004080500033902020102",
)
_DIALOGUE = (
    b'AT+CMGL=4\r\r\n+CMGL: 1,0,,32\r\n%s\r\n\r\n+CMTI: "SM",3\r\n+CMGL: 2,1,,9\r\n%s\r\nOK\r\n',
    b"AT+CMGS=24\r\r\n> \r\n+CDS: 25\r\n%s\r\n%s\x1a\r\n+CMGS: 255\r\n\r\nOK\r\n",
    b"\r\nRDY\r\n+CREG: 5\r\n%s\r\n+CNMI: (0-3),(0-3),(0,2)\r\n%s\r\n+CMS ERROR: 38\r\n",
)


def _pdu_samples() -> list[bytes]:
    return [pdu.encode() for pdu in _PDUS + _SUBMITS] + [bytes.fromhex(pdu) for pdu in _PDUS + _SUBMITS]


def _pdu(frame: bytes) -> object:
    """Hex digits as they come, octets as hex; what is decoded encodes to what decodes to the same."""
    text = frame.decode("latin-1") if frame[:1] in b"0123456789ABCDEF" else frame.hex()
    decode: Callable[[str], Submit | Deliver | StatusReport] = decode_incoming
    try:
        message = decode(text)
    except PduError as refusal:
        if refusal.kind != "type":
            raise
        decode = decode_submit
        message = decode(text)
    if decode(to_hex(message)) != message:
        raise AssertionError(f"{message} does not read back")
    return message


def _at_samples() -> list[bytes]:
    pdus = [pdu.encode() for pdu in _PDUS]
    return [line % (first, last) for line in _DIALOGUE for first, last in pairwise(pdus)]


def _at(frame: bytes) -> object:
    """A stream in pieces, while commands are pending and while none is; nothing grows beyond its bounds."""
    engine = AtEngine()
    events = []
    for at in range(0, len(frame), 61):
        if at % 3 == 0:
            engine.escape()
            engine.command("AT+CMGS=9" if at % 2 else "AT+CMGL=4", prompt=bool(at % 2))
        events += engine.feed(frame[at : at + 61])
        if len(engine._line) > MAX_LINE:
            raise AssertionError("a line without bound")
    for event in events:
        lines = event.lines if isinstance(event, Reply) else [getattr(event, "line", "")]
        if len(lines) > MAX_REPLY_LINES:
            raise AssertionError("a reply without bound")
        for slot in answers.listed(lines):
            _refused_or_not(slot.pdu)
        for parse in _ANSWERS:
            parse(lines)
    return events


_ANSWERS: tuple[Callable[[Sequence[str]], object], ...] = (
    *(answers.signal_dbm, answers.operator, answers.pin_state, answers.storages_offered),
    *(answers.storage_fill, answers.indications_offered, answers.message_reference),
)


def _refused_or_not(pdu: str) -> None:
    try:
        decode_incoming(pdu)
    except PduError:
        return


def _sync_samples() -> list[bytes]:
    """What a coordinator says, one of each."""
    note = (
        b"offgrid/kibera-07/1\n3\n"
        + b64encode(bytes(32))
        + b"\n\n\xe2\x80\x94 x "
        + b64encode(bytes(68))
        + b"\n"
    )
    return [
        message.to_bytes()
        for message in (
            sync.Challenge(bytes(32), bytes(32), "coordinator.example", 1_767_225_626_457),
            sync.Welcome(3, note, 1_767_225_626_457, bytes(64)),
            sync.Catchup(3, note, 1_767_225_626_457, bytes(64)),
            sync.Fork(note, note, 3, bytes(32)),
            sync.Reject("clone", "two devices", bytes(64)),
            sync.Reject("busy", "later", None),
            sync.Want(7, b"\xff\x01"),
            sync.Ack(9, 1_767_225_626, bytes(64)),
            sync.Missing(7, b"\x02"),
            sync.NeedHashes(7),
            sync.Fetch(1, (bytes(32), bytes([1]) * 32)),
            sync.Time(1_767_225_626_457),
        )
    ]


_BASE = list(range(100, 140))


def _list_samples() -> list[bytes]:
    raw = bytes(range(32))
    return [
        difference([*_BASE[:20], 300, *_BASE[25:], 200, 290, raw, 301, 12], _BASE, 300),
        continuation(len(_BASE), [3, 299, 300, raw, 301], 300),
    ]


TARGETS = {
    "at": Target(_at_samples, _at, ()),
    "pdu": Target(_pdu_samples, _pdu, (PduError,)),
    "gwmp": Target(_gwmp_samples, decode_datagram, (GwmpError,)),
    "link": Target(_link_samples, _Link().take, (FrameError,)),
    "cbor": Target(_cbor_samples, _uplink, (Refused,)),
    "json": Target(_json_samples, _envelope, (Refused,)),
    "object": Target(_object_samples, _object, (CborError,)),
    "sync": Target(_sync_samples, sync.parse, (CborError,)),
    "list": Target(_list_samples, lambda ops: expand(ops, _BASE, [300, 301], 300), (ListInvalid,)),
}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__)
    parser.add_argument("--decoder", choices=sorted(TARGETS), required=True)
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
