"""The hint in the advertisement and the clock in FFF7, to the byte."""

from __future__ import annotations

from hashlib import sha256

import pytest
from nacl.signing import SigningKey

from gateway.core.announcement import clock, hint
from gateway.core.checkpoint import Checkpoint, sign_checkpoint
from gateway.core.note import VerifierKey
from gateway.model import Stamp, TimeQuality

NOW = 1_790_000_000_000
MINUTES = (NOW // 60_000).to_bytes(4)
ROOT = sha256(b"root").digest()


def note(size: int) -> bytes:
    key = SigningKey(bytes(32))
    vkey = VerifierKey("offgrid/hill/1", bytes(key.verify_key))
    checkpoint = Checkpoint("offgrid/hill/1", size, ROOT)
    return sign_checkpoint(checkpoint, vkey, lambda text: key.sign(text).signature).to_bytes()


@pytest.mark.parametrize(
    ("quality", "reachable", "flags"),
    [
        (TimeQuality.UNTRUSTED, False, 0),
        (TimeQuality.HOST, True, 1),
        (TimeQuality.AGREED, False, 2),
        (TimeQuality.GPS, True, 3),
    ],
)
def test_the_hint_is_eighteen_bytes(quality: TimeQuality, reachable: bool, flags: int) -> None:
    made = hint(note(300), Stamp(NOW, quality), reachable=reachable)
    assert made == bytes((1, flags)) + b"\x00\x00\x01\x2c" + MINUTES + ROOT[:8]


def test_before_the_first_checkpoint_size_and_root_are_zero() -> None:
    made = hint(None, Stamp(NOW, TimeQuality.HOST), reachable=False)
    assert made == b"\x01\x00" + bytes(4) + MINUTES + bytes(8)


def test_a_log_of_more_than_four_billion_leaves_says_as_much_as_fits() -> None:
    assert hint(note(1 << 40), Stamp(NOW, TimeQuality.HOST), reachable=False)[2:6] == b"\xff" * 4


def test_the_clock_is_told_as_a_difference_either_way() -> None:
    assert clock(Stamp(NOW, TimeQuality.GPS), NOW - 5) == (5).to_bytes(8) + b"\x03"
    assert clock(Stamp(NOW, TimeQuality.HOST), NOW + 1) == b"\xff" * 8 + b"\x01"
