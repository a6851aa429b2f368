"""What the coordinator holds, counted and listed; beside ``store`` the only module with queries."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from simulators.coordinator.authority import Authority
from simulators.coordinator.records import Origin, State
from simulators.coordinator.store import Store
from simulators.textbook.notes import parse

_OBJECTS = "SELECT kind, count(*) FROM objects GROUP BY kind"
_STATES = "SELECT state, count(DISTINCT identity) FROM transactions GROUP BY state"
_RECEIPTS = "SELECT state, count(*) FROM receipts GROUP BY state"
_CONFLICTS = """
    SELECT count(*) FROM (SELECT 1 FROM transactions WHERE state = 1
    GROUP BY sender, nonce HAVING count(DISTINCT identity) > 1)"""
_HEARD = """
    SELECT ob.hash, og.gateway, og.name, c.leaf, l.received_at, l.quality, l.radio, l.applied_at
    FROM covered c JOIN objects ob ON ob.n = c.object JOIN origins og ON og.n = c.origin
    JOIN leaves l ON l.origin = c.origin AND l.leaf = c.leaf
    WHERE ob.kind IN (1, 3, 6) ORDER BY c.origin, c.ordinal"""
_TRANSACTIONS = "SELECT hash, identity, state FROM transactions"
_SNAPSHOTS = "SELECT hash FROM objects WHERE kind = 3"
_KINDS = {1: "transaction", 2: "receipt", 3: "snapshot", 4: "evidence", 5: "key", 6: "raw"}


def counts(authority: Authority) -> dict[str, Any]:
    """Totals, and for each gateway what it has sent and told."""
    store = authority.store
    return {
        "objects": {_KINDS[_int(kind)]: n for kind, n in store.rows(_OBJECTS)},
        "transactions": {State(_int(state)).name.lower(): n for state, n in store.rows(_STATES)},
        "receipts": {State(_int(state)).name.lower(): n for state, n in store.rows(_RECEIPTS)},
        "conflicts": store.rows(_CONFLICTS)[0][0],
        "breaches": authority.breaches,
        "forks": len(store.evidence()),
        "gateways": {one: _gateway(authority, one) for one in authority.told},
    }


def _gateway(authority: Authority, gateway: str) -> dict[str, Any]:
    store = authority.store
    kept = store.gateway(gateway)
    told = authority.told[gateway]
    origins = [one for one in store.origins() if one.gateway == gateway]
    return {
        "registered": kept is not None,
        "connected": gateway in authority.live,
        "quarantined": kept.quarantined if kept else None,
        "last_seen_ms": told.last_seen_ms,
        "sessions": told.sessions,
        "texts": told.texts,
        "received_bytes": told.received_bytes,
        "sent_bytes": told.sent_bytes,
        "entries": sum(one.range.size for one in origins),
        "objects": sum(one.ordinals for one in origins),
        "objects_received": kept.received if kept else 0,
        "object_bytes_received": kept.received_bytes if kept else 0,
        "duplicates": kept.needless if kept else 0,
        "repeated": kept.repeated if kept else 0,
        "origins": {one.name: {"size": one.range.size, "root": one.range.root().hex()} for one in origins},
        "ahead": {one.name: _ahead(store, one) for one in origins},
        "told": told.facts,
    }


def _ahead(store: Store, origin: Origin) -> dict[str, str]:
    """Size and root of the heads that were signed beyond what is held."""
    heads = (parse(note)[0] for note in store.claims(origin).values())
    return {str(head.size): head.root.hex() for head in heads if head.size > origin.range.size}


def accepted(store: Store) -> dict[str, Any]:
    """Snapshots by header hash and transactions by identity, each with who heard it and when."""
    heard = defaultdict(list)
    for object_hash, *row in store.rows(_HEARD):
        names = ("gateway", "origin", "index", "received_at", "quality", "radio", "applied_at")
        heard[object_hash].append(dict(zip(names, row, strict=True)))
    transactions: dict[str, dict[str, Any]] = {}
    for object_hash, identity, state in store.rows(_TRANSACTIONS):
        one = transactions.setdefault(_hex(identity), {"state": "", "objects": 0, "heard": []})
        one["objects"] += 1
        one["heard"] += heard[object_hash]
        if one["state"] != "verified":
            one["state"] = State(_int(state)).name.lower()
    snapshots = {_hex(row[0]): {"heard": heard[row[0]]} for row in store.rows(_SNAPSHOTS)}
    return {"snapshots": snapshots, "transactions": transactions}


def forks(store: Store) -> list[dict[str, Any]]:
    """Evidence as it was kept."""
    return [
        {
            "origin": origin,
            "seen_at": at,
            "a": one.a.decode(),
            "b": one.b.decode(),
            "size": one.size,
            "root": one.root.hex(),
        }
        for origin, at, one in store.evidence()
    ]


def _int(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"an integer column holds {value!r}")
    return value


def _hex(value: object) -> str:
    if not isinstance(value, bytes):
        raise TypeError(f"a blob column holds {value!r}")
    return value.hex()
