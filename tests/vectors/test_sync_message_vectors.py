"""The link's messages against their golden bytes, by the gateway's codec and by the coordinator's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cbor2
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import cbor
from gateway.core.cbor import CborError
from gateway.core.note import VerifierKey
from gateway.core.pin import CoordinatorKey
from gateway.core.sync import Local, Standing
from gateway.core.sync.batch import Offered
from gateway.core.sync.checkpoints import Own, cosigned_at_ms, open_own
from gateway.core.sync.handshake import Handshake
from gateway.core.sync.messages import Ack, Challenge, Commit, Hello, Offer, Welcome, parse
from gateway.core.wallet.signature import verifies
from gateway.model import Batch, EntryKind, LoggedEntry, LoggedObject
from simulators.coordinator import wire

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
    commit = Commit.from_bytes(MESSAGES["commit"])
    standing = Standing(
        origin=VECTORS["origin"], size=3, signed_size=3, signed_note=commit.checkpoint, acked_size=0
    )
    local = Local(
        gateway_id="kibera-07",
        key=GATEWAY,
        sign=lambda _: Hello.from_bytes(MESSAGES["hello of a log that was signed"]).signature,
        coordinator=CoordinatorKey(COORDINATOR, VECTORS["keys"]["coordinator_name"]),
        instance=bytes.fromhex(VECTORS["instance"]),
        version="0.1.0",
    )
    challenge = Challenge.from_bytes(MESSAGES["challenge"])
    return Handshake(local, standing, bytes.fromhex(VECTORS["nonce_g"]), challenge.nonce)


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


def test_the_golden_ack_carries_our_checkpoint_and_the_cosignature() -> None:
    own = Own(
        VerifierKey(VECTORS["origin"], GATEWAY),
        CoordinatorKey(COORDINATOR, VECTORS["keys"]["coordinator_name"]),
    )
    ack = Ack.from_bytes(MESSAGES["ack"])
    assert open_own(own, ack.checkpoint, cosigned=True).size == ack.size == 3
    bare = Own(own.key, CoordinatorKey(COORDINATOR))
    assert open_own(bare, ack.checkpoint, cosigned=True).size == 3
    assert cosigned_at_ms(ack.checkpoint) == 1767225626000


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
