"""The link's golden frames, read and written by gateway and simulated device alike."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.core.lora.downlinks import batch_frames
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
from gateway.core.lora.reassembly import Joined, Reassembly
from simulators.lora import frames as device

GOLDEN = json.loads((Path(__file__).parent / "lora/frames.json").read_text())
MESSAGE, XID = bytes.fromhex(GOLDEN["message"]), bytes.fromhex(GOLDEN["xid"])


def test_a_message_divided_for_frames_of_128_bytes() -> None:
    assert xid_of(MESSAGE) == device.transfer_id(MESSAGE) == XID
    chunks = split(MESSAGE, GOLDEN["frame_size"] - 8)
    for index, (golden, chunk) in enumerate(zip(GOLDEN["data"], chunks, strict=True)):
        data = Data(XID, index, len(chunks), chunk, listening=index == len(chunks) - 1)
        assert data.to_bytes().hex() == golden
        assert decode_uplink(bytes.fromhex(golden)) == data
        by_device = device.data_frame(XID, index, len(chunks), chunk, listening=data.listening)
        assert by_device.hex() == golden


def test_the_fragments_backwards_make_the_message() -> None:
    reassembly, outcome = Reassembly(), None
    for golden in reversed(GOLDEN["data"]):
        data = decode_uplink(bytes.fromhex(golden))
        assert isinstance(data, Data)
        outcome = reassembly.add(data.xid, data.index, data.total, data.chunk, peer="a", now=0.0)
    assert outcome == Joined(MESSAGE)


def test_polls() -> None:
    for part, golden in GOLDEN["poll"].items():
        assert decode_uplink(bytes.fromhex(golden)) == Poll(XID, int(part))
        assert device.poll_frame(XID, int(part)).hex() == golden


def test_downlinks() -> None:
    ack, part, abort = GOLDEN["ack"], GOLDEN["answer_part"], GOLDEN["abort"]
    bitmap = bytes([sum(1 << index for index in ack["held"])])
    chunk = bytes.fromhex(part["chunk"])
    frames: dict[str, Ack | Answer | Part | Abort] = {
        ack["frame"]: Ack(XID, ack["total"], bitmap),
        GOLDEN["answer"]["frame"]: Answer(XID, bytes.fromhex(GOLDEN["answer"]["message"])),
        part["frame"]: Part(FrameType.ANSWER_PART, XID, part["index"], part["total"], chunk),
        abort["frame"]: Abort(XID, abort["code"], abort["retry_after_s"]),
    }
    for golden, frame in frames.items():
        assert frame.to_bytes().hex() == golden
        read = device.read_downlink(bytes.fromhex(golden))
        assert read is not None
        assert read.xid == XID
    acknowledged = device.read_downlink(bytes.fromhex(ack["frame"]))
    assert acknowledged is not None
    assert acknowledged.missing() == [1]


def test_a_batch_is_named_by_its_own_hash() -> None:
    frames = batch_frames(bytes.fromhex(GOLDEN["batch"]["message"]), 128)
    assert [frame.hex() for frame in frames] == GOLDEN["batch"]["frames"]


@pytest.mark.parametrize("reason", sorted(GOLDEN["refused"]))
def test_what_is_refused(reason: str) -> None:
    for golden in GOLDEN["refused"][reason]:
        with pytest.raises(FrameError) as refusal:
            decode_uplink(bytes.fromhex(golden))
        assert refusal.value.reason == reason, golden
