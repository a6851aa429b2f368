"""The link's messages against their golden bytes, by the gateway's codec and by the coordinator's."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import cbor2
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import cbor
from gateway.core.cbor import CborError
from gateway.core.checkpoint import parse_checkpoint
from gateway.core.note import VerifierKey, parse_note
from gateway.core.pin import CoordinatorKey
from gateway.core.sync import Local, Standing
from gateway.core.sync.batch import Offered
from gateway.core.sync.breach import Breach
from gateway.core.sync.checkpoints import Own, Stranger, cosigned_at_ms, open_own, with_cosignature
from gateway.core.sync.handshake import Handshake
from gateway.core.sync.messages import Ack, Challenge, Commit, Hello, Offer, Reject, Welcome, parse
from gateway.core.wallet.signature import verifies
from gateway.model import Batch, EntryKind, ListDifference, LoggedEntry, LoggedObject
from simulators.coordinator import wire
from simulators.coordinator.records import Entry
from simulators.coordinator.shortening import completed, is_short
from simulators.textbook import notes
from simulators.textbook.objects import parse_object

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "sync/messages.json").read_text())
MESSAGES = {row["name"]: bytes.fromhex(row["bytes"]) for row in VECTORS["messages"]}
GATEWAY, COORDINATOR = (bytes.fromhex(VECTORS["keys"][name]) for name in ("gateway", "coordinator"))


@pytest.mark.parametrize("data", MESSAGES.values(), ids=MESSAGES)
def test_every_message_is_read_and_written_to_the_byte(data: bytes) -> None:
    message = parse(data)
    assert message.to_bytes() == data
    assert type(message).from_bytes(data) == message


@pytest.mark.parametrize(
    "row", [row for row in VECTORS["messages"] if row["from"] != "C"], ids=lambda r: r["name"]
)
def test_the_coordinators_own_reader_takes_every_message_of_the_gateway(row: dict[str, str]) -> None:
    wire.read(bytes.fromhex(row["bytes"]))


@pytest.mark.parametrize("row", VECTORS["refused"], ids=lambda row: row["name"])
def test_anything_but_the_one_encoding_of_a_message_is_refused(row: dict[str, str]) -> None:
    with pytest.raises(CborError):
        parse(bytes.fromhex(row["bytes"]))


def test_a_message_of_another_type_is_refused_where_one_is_expected() -> None:
    with pytest.raises(CborError, match="type 14 expected, 13 seen"):
        Ack.from_bytes(MESSAGES["commit"])


def handshake() -> Handshake:
    """The gateway's side of the golden opening; it cannot sign here, only verify."""
    signed = Hello.from_bytes(MESSAGES["hello of a log that was signed"]).checkpoint
    standing = Standing(origin=VECTORS["origin"], size=3, signed_size=3, signed_note=signed, acked_size=0)
    local = Local(
        gateway_id="kibera-07",
        key=GATEWAY,
        sign=lambda _: Hello.from_bytes(MESSAGES["hello of a log that was signed"]).signature,
        coordinator=CoordinatorKey(COORDINATOR, VECTORS["keys"]["coordinator_name"]),
        instance=bytes.fromhex(VECTORS["instance"]),
        version="0.1.0",
    )
    challenge = Challenge.from_bytes(MESSAGES["challenge"])
    cosigner = local.coordinator.verifier(challenge.cosigner)
    return Handshake(local, standing, bytes.fromhex(VECTORS["nonce_g"]), challenge.nonce, cosigner)


def test_hello_is_made_to_the_byte_and_its_signature_covers_what_the_page_says() -> None:
    assert handshake().hello().to_bytes() == MESSAGES["hello of a log that was signed"]
    hello = Hello.from_bytes(MESSAGES["hello of an empty log"])
    fields = [
        bytes.fromhex(VECTORS["nonce_c"]),
        hello.nonce,
        hello.origin,
        COORDINATOR,
        hello.instance,
        # SHA-256 of nothing: there is no checkpoint
        bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ]
    text = b"\x00offgrid/link-gateway\x01" + cbor.encode(fields)
    assert verifies(GATEWAY, hello.signature, text)


@pytest.mark.parametrize("name", ["welcome", "welcome of an empty log"])
def test_the_golden_welcome_answers_the_golden_hello(name: str) -> None:
    welcome = Welcome.from_bytes(MESSAGES[name])
    handshake().require_answer(welcome.next, welcome.unix_ms, welcome.signature)


def test_the_golden_reject_is_of_the_golden_hello_and_of_no_other() -> None:
    reject = Reject.from_bytes(MESSAGES["reject"])
    handshake().require_rejected(reject.code, reject.text, reject.signature)
    for changed in (
        replace(reject, code="clone"),
        replace(reject, text="another"),
        replace(reject, signature=None),
        replace(reject, signature=bytes(64)),
    ):
        with pytest.raises(Breach):
            handshake().require_rejected(changed.code, changed.text, changed.signature)
    with pytest.raises(Breach):
        replace(handshake(), nonce=bytes(32)).require_rejected(reject.code, reject.text, reject.signature)


def test_the_golden_commit_is_the_checkpoint_of_hello_without_what_both_know() -> None:
    hello, commit = Hello.from_bytes(MESSAGES["hello of a log that was signed"]), MESSAGES["commit"]
    assert hello.checkpoint is not None
    note = parse_note(hello.checkpoint)
    root = parse_checkpoint(note.text).root
    assert Commit(3, root, note.signatures[0].value).to_bytes() == commit
    read = wire.read(commit)
    assert isinstance(read, wire.Commit)
    key = notes.NoteKey(VECTORS["origin"], GATEWAY)
    checkpoint = notes.Checkpoint(VECTORS["origin"], read.size, read.root)
    assert notes.signed_note(checkpoint, key, read.signature) == hello.checkpoint


@pytest.mark.parametrize("pinned", [VECTORS["keys"]["coordinator_name"], None])
def test_the_golden_ack_completes_our_checkpoint_to_the_cosigned_one(pinned: str | None) -> None:
    hello, ack = Hello.from_bytes(MESSAGES["hello of a log that was signed"]), Ack.from_bytes(MESSAGES["ack"])
    own = Own(VerifierKey(VECTORS["origin"], GATEWAY), CoordinatorKey(COORDINATOR, pinned))
    cosigner = own.coordinator.verifier(Challenge.from_bytes(MESSAGES["challenge"]).cosigner)
    signed = parse_note(hello.checkpoint or b"")
    note = with_cosignature(signed, cosigner, ack.unix_s, ack.cosignature).to_bytes()
    assert note == Welcome.from_bytes(MESSAGES["welcome"]).checkpoint
    assert open_own(own, note, cosigned=True).size == ack.size == 3
    assert cosigned_at_ms(note) == 1767225626000
    with pytest.raises(Stranger):
        with_cosignature(signed, cosigner, ack.unix_s + 1, ack.cosignature)


def test_short_ids_and_what_entries_carries() -> None:
    body, digest, short_id = (bytes.fromhex(VECTORS["object"][name]) for name in ("body", "hash", "short_id"))
    entry = LoggedEntry(
        index=2,
        kind=EntryKind.TRANSACTIONS,
        objects_root=bytes(32),
        received_at_ms=1767225626457,
        quality=2,
        radio="lora",
        list=None,
        objects=(LoggedObject(digest, body),),
    )
    offered = Offered.of(Batch(2, (entry,)), bytes(32))
    nonce = bytes.fromhex(VECTORS["nonce_c"])
    assert Offer(2, offered.counts, offered.short_ids(nonce)).to_bytes() == MESSAGES["offer"]
    packed = offered.packed_entries(b"\x01")
    assert zstandard.frame_content_size(packed) == len(VECTORS["entries_plain"]) // 2
    assert zstandard.ZstdDecompressor().decompress(packed).hex() == VECTORS["entries_plain"]
    assert short_id == offered.short_ids(nonce)
    assert offered.short_ids(bytes(32)) != short_id


def golden_entries() -> tuple[LoggedEntry, ...]:
    batch = VECTORS["batch"]
    identities = {1: bytes.fromhex(batch["identity"])}  # of a transaction's object
    return tuple(
        LoggedEntry(
            index=index,
            kind=EntryKind(row["kind"]),
            objects_root=bytes(32),
            received_at_ms=row["received_at"],
            quality=row["quality"],
            radio=row["radio"],
            list=None if row["ops"] is None else ListDifference(row["base"], bytes.fromhex(row["ops"])),
            objects=tuple(
                LoggedObject(sha256(b"\x02" + body).digest(), body, identities.get(body[1]))
                for body in map(bytes.fromhex, row["objects"])
            ),
        )
        for index, row in enumerate(batch["entries"], batch["start"])
    )


def test_entries_of_a_batch_share_columns_and_a_receipt_goes_without_its_transactions_identity() -> None:
    entries = golden_entries()
    packed = Offered.of(Batch(7, entries), bytes(32)).packed_entries(b"\x0f")
    assert zstandard.ZstdDecompressor().decompress(packed).hex() == VECTORS["batch"]["plain"]
    read, sent = wire.Entries(7, packed).unpack([3, 1])
    bodies = [item.body for entry in entries for item in entry.objects]
    assert is_short(sent[2])
    assert completed(sent[2], parse_object(sent[1])) == bodies[2]
    assert [sent[0], sent[1], sent[3]] == [bodies[0], bodies[1], bodies[3]]
    for ours, theirs in zip(entries, read, strict=True):
        difference = None if ours.list is None else (ours.list.base, ours.list.ops)
        assert theirs == Entry(
            ours.kind, ours.received_at_ms, ours.quality, ours.radio, len(ours.objects), difference
        )


def test_a_receipt_after_a_transaction_that_is_not_sent_goes_without_its_identity_too() -> None:
    packed = Offered.of(Batch(7, golden_entries()), bytes(32)).packed_entries(b"\x04")
    _, _, sent = cbor2.loads(zstandard.ZstdDecompressor().decompress(packed))
    assert [cbor2.loads(body)[:2] for body in sent] == [[2, None]]


@given(st.sampled_from(sorted(MESSAGES)), st.data())
def test_a_mutated_message_is_refused_or_is_another_message_to_the_byte(
    name: str, data: st.DataObject
) -> None:
    mutated = bytearray(MESSAGES[name])
    for _ in range(data.draw(st.integers(1, 3))):
        mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    try:
        message = parse(bytes(mutated))
    except CborError:
        return
    assert message.to_bytes() == mutated == cbor2.dumps(cbor2.loads(mutated), canonical=True)
