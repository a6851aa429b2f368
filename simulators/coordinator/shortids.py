"""Short ids of all that is held, under one session's nonce."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import sha256

from simulators.coordinator.store import Store

MAX_INDEXES = 8
"""Sessions whose index stays in memory, about 150 bytes an object; the longest unused goes."""


def short_id(nonce: bytes, object_hash: bytes) -> bytes:
    return sha256(nonce + object_hash).digest()[:8]


class ShortIds:
    """Which object a short id stands for."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._indexes: OrderedDict[bytes, tuple[int, dict[bytes, bytes]]] = OrderedDict()

    def held(self, nonce: bytes) -> dict[bytes, bytes]:
        """Short id to hash of every object held by now."""
        upto, index = self._indexes.pop(nonce, (0, {}))
        for number, object_hash in self._store.hashes_after(upto):
            index[short_id(nonce, object_hash)] = object_hash
            upto = number
        self._indexes[nonce] = upto, index
        if len(self._indexes) > MAX_INDEXES:
            self._indexes.popitem(last=False)
        return index

    def forget(self, nonce: bytes) -> None:
        self._indexes.pop(nonce, None)
