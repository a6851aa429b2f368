"""A checkpoint in one message of at most 160 characters of the GSM 7-bit alphabet; docs/protocol/sms.md.

``C1`` ‖ base64url(epoch:2 ‖ size:5 ‖ root:32 ‖ signature:64), 138 characters ‖ gateway id, 1 to 20.

Whoever receives it builds the whole C2SP note again: the signature is the note's own.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode

from gateway.core.checkpoint import Checkpoint
from gateway.core.sms.packed import ORIGIN

MARK = "C1"
MAX_EPOCH = (1 << 16) - 1
MAX_SIZE = (1 << 40) - 1


def checkpoint_text(checkpoint: Checkpoint, signature: bytes) -> str:
    """The message for a checkpoint of an origin ``offgrid/<id>/<epoch>`` and its log's own signature.

    Raises ValueError beyond 65,535 epochs or 2⁴⁰ - 1 leaves.
    """
    gateway_id, _, epoch = checkpoint.origin.removeprefix(ORIGIN).rpartition("/")
    number = int(epoch)
    if number > MAX_EPOCH or checkpoint.size > MAX_SIZE:
        raise ValueError(f"epoch {number} or size {checkpoint.size} does not fit a message")
    body = number.to_bytes(2) + checkpoint.size.to_bytes(5) + checkpoint.root + signature
    return MARK + urlsafe_b64encode(body).rstrip(b"=").decode() + gateway_id
