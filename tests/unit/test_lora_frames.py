"""The link's frames, to the byte of docs/protocol/lora.md."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.lora.frames import (
    Abort,
    Ack,
    Answer,
    Data,
    FrameError,
    FrameType,
    Part,
    Poll,
    decode_uplink,
    split,
    xid_of,
)

XID = bytes.fromhex("0a0b0c0d")


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (Data(XID, 2, 5, b"\x11\x22"), "e0010a0b0c0d02051122"),
        (Data(XID, 4, 5, b"\x33", listening=True), "e0810a0b0c0d040533"),
        (Poll(XID), "e0820a0b0c0d00"),
        (Poll(XID, 3), "e0820a0b0c0d03"),
        (Ack(XID, 10, b"\xff\x01"), "e0110a0b0c0d0aff01"),
        (Answer(XID, b"\x84\x10"), "e0120a0b0c0d8410"),
        (Part(FrameType.ANSWER_PART, XID, 1, 7, b"\x99"), "e0130a0b0c0d010799"),
        (Part(FrameType.BATCH, XID, 0, 2, b"\x98"), "e0140a0b0c0d000298"),
        (Abort(XID, Abort.EXPIRED), "e0150a0b0c0d0f0000"),
        (Abort(XID, 10, 600), "e0150a0b0c0d0a0258"),
    ],
)
def test_each_frame_is_written_as_the_document_draws_it(frame: Data, expected: str) -> None:
    assert frame.to_bytes().hex() == expected


@given(
    xid=st.binary(min_size=4, max_size=4),
    index=st.integers(0, 254),
    more=st.integers(1, 255),
    chunk=st.binary(min_size=1, max_size=247),
    listening=st.booleans(),
)
def test_a_fragment_survives_the_way_to_bytes_and_back(
    xid: bytes, index: int, more: int, chunk: bytes, listening: bool
) -> None:
    data = Data(xid, index, min(255, index + more), chunk, listening)
    assert decode_uplink(data.to_bytes()) == data


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        ("", "foreign"),
        ("40112233441122334455", "foreign"),  # a LoRaWAN data frame
        ("e0", "malformed"),
        ("e0010a0b0c", "malformed"),
        ("e0010a0b0c0d0001", "malformed"),  # no chunk
        ("e0010a0b0c0d0500ff", "malformed"),  # fragment 5 of none
        ("e0010a0b0c0d0505ff", "malformed"),  # fragment 5 of 5
        ("e0820a0b0c0d0000", "malformed"),  # a POLL with more behind it
        ("e0110a0b0c0d0aff01", "type"),  # another gateway's downlink
        ("e07f0a0b0c0d0000", "type"),
    ],
)
def test_what_is_no_uplink_of_ours_is_refused_with_a_reason(frame: str, reason: str) -> None:
    with pytest.raises(FrameError) as refusal:
        decode_uplink(bytes.fromhex(frame))
    assert refusal.value.reason == reason


@given(st.binary(max_size=300))
def test_any_bytes_are_a_frame_or_a_frame_error(frame: bytes) -> None:
    try:
        decode_uplink(frame)
    except FrameError:
        pass


def test_the_id_is_the_head_of_the_contents_hash() -> None:
    assert xid_of(b"abc") == hashlib.sha256(b"abc").digest()[:4] == bytes.fromhex("ba7816bf")


def test_a_message_of_more_than_255_chunks_cannot_be_split() -> None:
    assert len(split(bytes(255 * 16), 16)) == 255
    with pytest.raises(ValueError, match="255 chunks"):
        split(bytes(255 * 16 + 1), 16)
