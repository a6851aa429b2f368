"""Which keys go by which device id: proven ones on disk, candidates in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

from gateway.core.conflict import device_number, key_number
from gateway.core.wallet.snapshot import device_id
from gateway.core.wallet.verify import MAX_KEYS, DeviceKey
from gateway.store.connection import Connection

MAX_CANDIDATES = 1024
"""Keys that devices said and nothing has proven; the one said longest ago makes room."""

MAX_CACHED = 4096
"""Device ids whose keys are kept in memory; the one longest not asked for makes room."""


class ProvenKey(NamedTuple):
    """A row of ``keys``; ``logged`` once an entry covers its key object."""

    id: int
    key: bytes
    logged: bool


class KeyBook:
    """Keys by device id; owned by the store's thread."""

    def __init__(self, connection: Connection, candidates: Iterable[bytes] = ()) -> None:
        self._connection = connection
        self._next_id: int = connection.execute("SELECT COALESCE(MAX(id), 0) + 1 FROM keys").fetchone()[0]
        self._proven: OrderedDict[str, tuple[ProvenKey, ...]] = OrderedDict()
        self._by_key: dict[bytes, ProvenKey] = {}
        self._candidates: OrderedDict[bytes, None] = OrderedDict()
        self._by_device: dict[str, list[bytes]] = {}
        self._listed: OrderedDict[str, tuple[bytes, ...]] = OrderedDict()
        self._is_listed = connection.execute("SELECT 1 FROM directory LIMIT 1").fetchone() is not None
        for key in candidates:
            self.add_candidate(key)

    @property
    def candidates(self) -> tuple[bytes, ...]:
        return tuple(self._candidates)

    def of_device(self, device: str) -> tuple[DeviceKey, ...]:
        """Proven keys, oldest first, then candidates, those of the directory last.

        Empty for a text that is no device id.
        """
        number = device_number(device)
        if number is None:
            return ()
        proven = [DeviceKey(row.key, proven=True) for row in self._rows(device, number)]
        known = {entry.key for entry in proven}
        said = [*self._by_device.get(device, ()), *self._directory(device, number)]
        candidates = dict.fromkeys(key for key in said if key not in known)
        return (*proven, *(DeviceKey(key, proven=False) for key in candidates))

    def proven_by(self, number: int) -> tuple[ProvenKey, ...]:
        """Proven keys of a device number, oldest first."""
        return self._rows(number.to_bytes(8, "big", signed=True).hex(), number)

    def find(self, key: bytes | None) -> ProvenKey | None:
        """The proven key, None while nothing has proven it, or where nobody said one."""
        if key is None:
            return None
        found = self._by_key.get(key)
        if found is None:
            self._rows(device_id(key), key_number(key))
            found = self._by_key.get(key)
        return found

    def has_proven(self, key: bytes) -> bool:
        """Whether any key of this key's device id is proven."""
        return bool(self._rows(device_id(key), key_number(key)))

    def id_of(self, key: bytes) -> int:
        """Of a key that is proven; LookupError for any other."""
        row = self._by_key.get(key) or self.find(key)
        if row is None:
            raise LookupError(f"no proven key {key.hex()}")
        return row.id

    def add_candidate(self, key: bytes) -> None:
        if key in self._candidates:
            self._candidates.move_to_end(key)
            return
        device = device_id(key)
        same = self._by_device.setdefault(device, [])
        if len(same) >= MAX_KEYS:
            self._forget(same[0])
        elif len(self._candidates) >= MAX_CANDIDATES:
            self._forget(next(iter(self._candidates)))
        self._candidates[key] = None
        self._by_device.setdefault(device, []).append(key)

    def listed(self) -> None:
        """The directory has changed."""
        self._listed.clear()
        self._is_listed = True

    def _directory(self, device: str, number: int) -> tuple[bytes, ...]:
        """Keys that the coordinator's directory has of a device id."""
        if not self._is_listed:
            return ()
        keys = self._listed.get(device)
        if keys is None:
            rows = self._connection.execute(
                "SELECT key FROM directory WHERE device = ? LIMIT ?", (number, MAX_KEYS)
            )
            keys = self._listed[device] = tuple([row[0] for row in rows])
            if len(self._listed) > MAX_CACHED:
                self._listed.popitem(last=False)
        return keys

    def stage(self, key: bytes, *, logged: bool) -> ProvenKey:
        """Prove a key, or say that it is logged now; the group writes the row."""
        device = device_id(key)
        known = self.find(key)
        row = ProvenKey(known.id if known else self._next_id, key, logged)
        self._next_id += known is None
        others = [item for item in self._rows(device, key_number(key)) if item.key != key]
        self._proven[device] = (*others, row)
        self._by_key[key] = row
        return row

    def trim(self) -> None:
        """Outside of a group: let go of what is beyond the bound."""
        while len(self._proven) > MAX_CACHED:
            for row in self._proven.popitem(last=False)[1]:
                del self._by_key[row.key]

    def _rows(self, device: str, number: int) -> tuple[ProvenKey, ...]:
        rows = self._proven.get(device)
        if rows is None:
            found = self._connection.execute(
                "SELECT id, key, ordinal IS NOT NULL FROM keys WHERE device = ? ORDER BY id", (number,)
            )
            rows = tuple(ProvenKey(row[0], row[1], bool(row[2])) for row in found)
            self._proven[device] = rows
            self._by_key.update((row.key, row) for row in rows)
        else:
            self._proven.move_to_end(device)
        return rows

    def _forget(self, key: bytes) -> None:
        device = device_id(key)
        del self._candidates[key]
        self._by_device[device].remove(key)
        if not self._by_device[device]:
            del self._by_device[device]
