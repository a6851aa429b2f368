"""When two verified payments cannot both stand; the gateway counts, it never decides who owns money."""

from __future__ import annotations

from collections.abc import Collection
from enum import IntEnum

MAX_TEXTS = 8
"""Texts kept under one (sender, nonce): more prove nothing more, and would let one device fill the disk."""

MAX_CANDIDATES = 4
"""Unverified objects kept of one identity; any of them may turn out to carry the right signature."""


class ConflictKind(IntEnum):
    """What unequal texts under one (sender, nonce) are evidence of."""

    DOUBLE_SPEND = 1  # their receivers differ
    DUPLICATE_NONCE = 2  # one receiver: perhaps a wallet restored from a backup


def conflict_of(receivers: Collection[str]) -> ConflictKind | None:
    """What the receivers of all distinct verified texts under one (sender, nonce) amount to.

    One text is no conflict, however often it was signed or heard.
    """
    if len(receivers) < 2:
        return None
    return ConflictKind.DOUBLE_SPEND if len(set(receivers)) > 1 else ConflictKind.DUPLICATE_NONCE
