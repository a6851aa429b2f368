"""What a signature of ours is over, so that none can serve another purpose; docs/protocol/objects.md."""

from __future__ import annotations

from enum import StrEnum

_VERSION = b"\x01"


class Label(StrEnum):
    """Every purpose for which this project signs, beside the wallet's texts and C2SP notes."""

    PROMISE = "offgrid/promise"
    BEACON = "offgrid/beacon"
    LINK_GATEWAY = "offgrid/link-gateway"
    LINK_COORDINATOR = "offgrid/link-coordinator"
    NOTICE = "offgrid/notice"
    BACKUP = "offgrid/backup"
    BUNDLE = "offgrid/bundle"
    ORDER = "offgrid/order"


def labelled(label: Label, payload: bytes) -> bytes:
    """``0x00 ‖ label ‖ version ‖ payload``: the bytes to sign or to verify.

    The leading zero is in no text of a wallet and in no note, and no label is the beginning of another.
    """
    return b"\x00" + label.encode("ascii") + _VERSION + payload
