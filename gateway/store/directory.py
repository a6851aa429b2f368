"""What the coordinator says of devices: keys that may be tried, and which are blocked."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.core.conflict import key_number
from gateway.core.notice import Device
from gateway.store.connection import Connection

MAX_DIRECTORY = 262_144
"""Devices kept, about 60 bytes each; further ones are left out, and come to be known by what they sign."""


def keep(connection: Connection, devices: Sequence[Device]) -> None:
    """Inside a transaction: each as it was said last."""
    held: int = connection.execute("SELECT COALESCE(MAX(id), 0) FROM directory").fetchone()[0]
    connection.executemany(
        "INSERT INTO directory (key, device, blocked) VALUES (?, ?, ?) "
        "ON CONFLICT (key) DO UPDATE SET blocked = excluded.blocked",
        [
            (device.key, key_number(device.key), int(device.blocked))
            for device in devices[: max(0, MAX_DIRECTORY - held)]
        ],
    )


def blocked(connection: Connection) -> frozenset[bytes]:
    """Keys that are blocked."""
    rows = connection.execute("SELECT key FROM directory WHERE blocked = 1")
    return frozenset([row[0] for row in rows])
