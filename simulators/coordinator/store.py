"""The coordinator's memory: one SQLite file, owned by one thread.

Narrow on purpose: a fleet puts a server database behind the same methods. Every method that writes is
one transaction and is on the disk when it returns (WAL, ``synchronous=FULL``): a crash leaves all or nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import files
from pathlib import Path

from simulators.coordinator.records import (
    Admission,
    Applied,
    Entry,
    Fork,
    Gateway,
    JudgedEntry,
    Judgement,
    KeptList,
    Origin,
    Registration,
    State,
)
from simulators.textbook.evidence import Evidence
from simulators.textbook.ledger import device_id
from simulators.textbook.merkle import CompactRange
from simulators.textbook.objects import AnyObject, Raw, Receipt, Transaction, parse_object

MAX_FENCED = 64
"""Instances of one gateway that are remembered as replaced; the oldest goes first."""

MAX_CLAIMS = 16
"""Heads of one origin that are remembered ahead of their entries; the smallest goes first."""

MAX_EVIDENCE = 64
"""Forks that are kept of one origin; the oldest that bars nothing goes first."""

_CHUNK = 500
"""Values in one IN (…); SQLite's own limit is 32,766."""


class Store:
    """Open it, use it and close it on one thread."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        if not self._db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'own'").fetchone():
            schema = files("simulators.coordinator").joinpath("schema.sql").read_text()
            self._db.executescript(f"BEGIN; {schema} COMMIT;")
        self._db.executescript(files("simulators.coordinator").joinpath("evidence.sql").read_text())

    def close(self) -> None:
        self._db.close()

    def own(self, name: str, fresh: bytes) -> bytes:
        """A value of the coordinator's own, `fresh` where there is none yet."""
        self._db.execute("INSERT OR IGNORE INTO own VALUES (?, ?)", (name, fresh))
        return bytes(self._one("SELECT value FROM own WHERE name = ?", name)[0])

    # Gateways

    def register(self, gateway: str, key: bytes, kind: str, location: str, at: int) -> Registration:
        held = self._db.execute("SELECT key FROM gateways WHERE id = ?", (gateway,)).fetchone()
        if held:
            return Registration.SAME if held[0] == key else Registration.OTHER_KEY
        self._db.execute(
            "INSERT INTO gateways (id, key, kind, location, registered_at, last_seen) VALUES (?,?,?,?,?,?)",
            (gateway, key, kind, location, at, at),
        )
        return Registration.NEW

    def gateways(self) -> list[Gateway]:
        rows = self._db.execute(
            "SELECT id, key, kind, location, last_seen, quarantined,"
            " received, received_bytes, needless, repeated FROM gateways ORDER BY id"
        )
        return [Gateway(*row) for row in rows]

    def gateway(self, gateway: str) -> Gateway | None:
        return next((one for one in self.gateways() if one.id == gateway), None)

    def admit(self, gateway: str, instance: bytes, at: int) -> Admission:
        """Makes `instance` the gateway's own and fences the one before; one that was fenced is a clone."""
        if self._db.execute(
            "SELECT 1 FROM fenced WHERE gateway = ? AND instance = ?", (gateway, instance)
        ).fetchone():
            return Admission.CLONE
        with self._writing():
            self._db.execute(
                "INSERT INTO fenced (gateway, instance) SELECT id, instance FROM gateways"
                " WHERE id = ? AND instance <> ?",
                (gateway, instance),
            )
            self._db.execute(
                "DELETE FROM fenced WHERE gateway = ? AND n NOT IN"
                " (SELECT n FROM fenced WHERE gateway = ? ORDER BY n DESC LIMIT ?)",
                (gateway, gateway, MAX_FENCED),
            )
            self._db.execute(
                "UPDATE gateways SET instance = ?, last_seen = ? WHERE id = ?", (instance, at, gateway)
            )
        return Admission.WELCOME

    def quarantine(self, gateway: str, why: str | None) -> None:
        """Sets or (None) lifts it; lifting also forgets fenced instances and what bars origins."""
        with self._writing():
            self._db.execute("UPDATE gateways SET quarantined = ? WHERE id = ?", (why, gateway))
            if why is None:
                self._db.execute("DELETE FROM fenced WHERE gateway = ?", (gateway,))
                self._db.execute("UPDATE gateways SET instance = NULL WHERE id = ?", (gateway,))
                self._db.execute("UPDATE origins SET fork = NULL WHERE gateway = ?", (gateway,))

    # Logs

    def origin(self, name: str, gateway: str) -> Origin:
        """The log of that name, empty where it is new."""
        self._db.execute("INSERT OR IGNORE INTO origins (name, gateway) VALUES (?, ?)", (name, gateway))
        return next(self._origins("WHERE o.name = ?", name))

    def origins(self) -> list[Origin]:
        return list(self._origins("ORDER BY o.name"))

    def _origins(self, where: str, *values: str) -> Iterator[Origin]:
        rows = self._db.execute(
            "SELECT o.n, o.name, o.gateway, o.size, o.peaks, o.note, o.cosigned, o.ordinals,"  # noqa: S608 -- constant
            f" e.a, e.b, e.size, e.root FROM origins o LEFT JOIN evidence e ON e.n = o.fork {where}",
            values,
        ).fetchall()
        for n, name, gateway, size, peaks, note, cosigned, ordinals, *fork in rows:
            grown = CompactRange(size, tuple(_cut(peaks)))
            barred = Fork(*fork) if fork[0] is not None else None
            yield Origin(n, name, gateway, grown, note, cosigned, ordinals, barred)

    def leaves(self, origin: Origin, size: int) -> list[bytes]:
        """Hashes of the first `size` leaves."""
        rows = self._db.execute(
            "SELECT hash FROM leaves WHERE origin = ? AND leaf < ? ORDER BY leaf", (origin.n, size)
        )
        return [row[0] for row in rows]

    def claim(self, origin: Origin, size: int, note: bytes) -> bytes:
        """Remembers a head ahead of its entries; returns the first one of that size."""
        with self._writing():
            self._db.execute("INSERT OR IGNORE INTO claims VALUES (?, ?, ?)", (origin.n, size, note))
            self._db.execute(
                "DELETE FROM claims WHERE origin = ? AND size NOT IN"
                " (SELECT size FROM claims WHERE origin = ? ORDER BY size DESC LIMIT ?)",
                (origin.n, origin.n, MAX_CLAIMS),
            )
        kept = self._db.execute(
            "SELECT note FROM claims WHERE origin = ? AND size = ?", (origin.n, size)
        ).fetchone()
        return bytes(kept[0]) if kept else note

    def claims(self, origin: Origin) -> dict[int, bytes]:
        return dict(
            self._db.execute("SELECT size, note FROM claims WHERE origin = ?", (origin.n,)).fetchall()
        )

    def keep_fork(self, origin: Origin, fork: Fork, at: int, *, bars: bool) -> None:
        """Keeps the evidence; where it bars the origin, every later HELLO is answered with it."""
        with self._writing():
            self._db.execute(
                "INSERT OR IGNORE INTO evidence (origin, seen_at, a, b, size, root) VALUES (?,?,?,?,?,?)",
                (origin.n, at, fork.a, fork.b, fork.size, fork.root),
            )
            self._db.execute(
                "DELETE FROM evidence WHERE origin = ?"
                " AND n NOT IN (SELECT fork FROM origins WHERE fork NOT NULL)"
                " AND n NOT IN (SELECT n FROM evidence WHERE origin = ? ORDER BY n DESC LIMIT ?)",
                (origin.n, origin.n, MAX_EVIDENCE),
            )
            if bars:
                self._db.execute(
                    "UPDATE origins SET fork = (SELECT n FROM evidence WHERE origin = ? AND a = ? AND b = ?)"
                    " WHERE n = ? AND fork IS NULL",
                    (origin.n, fork.a, fork.b, origin.n),
                )

    def evidence(self) -> list[tuple[str, int, Fork]]:
        """Origin, time and fork of all that was kept."""
        rows = self._db.execute(
            "SELECT o.name, e.seen_at, e.a, e.b, e.size, e.root"
            " FROM evidence e JOIN origins o ON o.n = e.origin"
        )
        return [(name, at, Fork(*fork)) for name, at, *fork in rows]

    # What entries refer to

    def kept_list(self, origin: Origin, leaf: int) -> KeptList | None:
        row = self._db.execute(
            "SELECT key, identities, depth FROM lists WHERE origin = ? AND leaf = ?", (origin.n, leaf)
        ).fetchone()
        return KeptList(row[0], tuple(_cut(row[1])), row[2]) if row else None

    def body_at(self, origin: Origin, ordinal: int) -> bytes | None:
        row = self._db.execute(
            "SELECT body FROM covered c JOIN objects o ON o.n = c.object WHERE c.origin = ? AND ordinal = ?",
            (origin.n, ordinal),
        ).fetchone()
        return row[0] if row else None

    def bodies(self, hashes: Iterable[bytes]) -> dict[bytes, bytes]:
        """Bodies of those that are held, by hash."""
        return dict(self._in("SELECT hash, body FROM objects WHERE hash IN", list(hashes)))

    def hashes_after(self, n: int) -> list[tuple[int, bytes]]:
        """Number and hash of every object held beyond number n."""
        return self._db.execute("SELECT n, hash FROM objects WHERE n > ? ORDER BY n", (n,)).fetchall()

    def covered(self, origin: Origin, hashes: Iterable[bytes]) -> set[bytes]:
        """Those of `hashes` that the origin's log covers already."""
        # CROSS JOIN keeps the order written: else the planner walks the origin's whole log.
        rows = self._in(
            "SELECT hash, 1 FROM objects o CROSS JOIN covered c ON c.object = o.n AND c.origin = ?"
            " WHERE hash IN",
            list(hashes),
            origin.n,
        )
        return {row[0] for row in rows}

    def entries(self, origin: Origin, start: int, end: int) -> list[tuple[Entry, list[bytes]]]:
        """Entries of a log with their objects, as they came."""
        objects: dict[int, list[bytes]] = {}
        rows = self._db.execute(
            "SELECT c.leaf, o.body FROM covered c JOIN objects o ON o.n = c.object"
            " WHERE c.origin = ? AND c.leaf >= ? AND c.leaf < ? ORDER BY c.ordinal",
            (origin.n, start, end),
        )
        for leaf, body in rows:
            objects.setdefault(leaf, []).append(body)
        leaves = self._db.execute(
            "SELECT l.leaf, l.kind, l.received_at, l.quality, l.radio, d.base, d.ops FROM leaves l"
            " LEFT JOIN differences d ON d.origin = l.origin AND d.leaf = l.leaf"
            " WHERE l.origin = ? AND l.leaf >= ? AND l.leaf < ? ORDER BY l.leaf",
            (origin.n, start, end),
        ).fetchall()
        found = []
        for leaf, kind, received_at, quality, radio, base, ops in leaves:
            bodies = objects.get(leaf, [])
            listed = None if ops is None else (base, ops)
            found.append((Entry(kind, received_at, quality, radio, len(bodies), listed), bodies))
        return found

    # What judging needs

    def keys(self, devices: Iterable[str]) -> list[tuple[bytes, bool]]:
        """Key and whether it is proven, of all keys these devices have shown."""
        return [
            (key, bool(proven))
            for key, proven in self._in("SELECT key, proven FROM keys WHERE device IN", list(devices))
        ]

    def open_transactions(self, senders: Iterable[str]) -> list[tuple[bytes, Transaction]]:
        """Those of `senders` that no key has verified."""
        rows = self._in(
            "SELECT t.hash, o.body FROM transactions t JOIN objects o ON o.hash = t.hash"
            " WHERE t.state <> 1 AND t.sender IN",
            list(senders),
        )
        return [(hash_, one) for hash_, one in _parsed(rows) if isinstance(one, Transaction)]

    def open_receipts(
        self, receivers: Iterable[str], identities: Iterable[bytes]
    ) -> list[tuple[bytes, Receipt]]:
        """Those no key has verified, by their receivers or their transactions."""
        select = (
            "SELECT r.hash, o.body FROM receipts r JOIN objects o ON o.hash = r.hash WHERE r.state <> 1 AND "
        )
        rows = self._in(f"{select} r.receiver IN", list(receivers))
        rows += self._in(f"{select} r.identity IN", list(identities))
        return [(hash_, one) for hash_, one in _parsed(rows) if isinstance(one, Receipt)]

    def transactions(self, identities: Iterable[bytes]) -> dict[bytes, Transaction]:
        """One transaction object of each identity."""
        rows = self._in(
            "SELECT t.hash, o.body FROM transactions t JOIN objects o ON o.hash = t.hash"
            " WHERE t.sender IS NOT NULL AND t.identity IN",
            list(identities),
        )
        return {one.identity: one for _, one in _parsed(rows) if isinstance(one, Transaction)}

    # Conflicts, for the court

    def rivals(self, hashes: Iterable[bytes]) -> list[list[Transaction]]:
        """Verified payments by sender and nonce, where one of `hashes` has a rival of another text."""
        spends = self._in(
            "SELECT DISTINCT a.sender, a.nonce FROM transactions a JOIN transactions b"
            " ON b.sender = a.sender AND b.nonce = a.nonce AND b.identity <> a.identity"
            " WHERE a.state = 1 AND b.state = 1 AND a.hash IN",
            list(hashes),
        )
        found = []
        for sender, nonce in sorted(set(spends)):
            rows = self._db.execute(
                "SELECT t.hash, o.body FROM transactions t JOIN objects o ON o.hash = t.hash"
                " WHERE t.state = 1 AND t.sender = ? AND t.nonce = ? ORDER BY o.n",
                (sender, nonce),
            ).fetchall()
            texts = {one.identity: one for _, one in _parsed(rows) if isinstance(one, Transaction)}
            if len(texts) > 1:
                found.append(list(texts.values()))
        return found

    def namesakes(self, hashes: Iterable[bytes]) -> list[list[Transaction]]:
        """Verified payments by id, where one of `hashes` shares its id with another text."""
        payments = [one for _, one in _parsed(self.bodies(hashes).items()) if isinstance(one, Transaction)]
        rows = [(one.id, one.identity) for one in payments]
        self._db.executemany("INSERT OR IGNORE INTO ids VALUES (?, ?)", rows)
        shared = [one.id for one in payments if self.is_shared(one.id)]
        return [self._named(name) for name in dict.fromkeys(shared)]

    def is_shared(self, name: str) -> bool:
        """Whether two verified texts have this id."""
        row = self._db.execute("SELECT COUNT(*) FROM ids WHERE id = ?", (name,)).fetchone()
        return int(row[0]) > 1

    def _named(self, name: str) -> list[Transaction]:
        identities = [row[0] for row in self._db.execute("SELECT identity FROM ids WHERE id = ?", (name,))]
        known = self.transactions(identities)
        return [known[identity] for identity in identities if identity in known]

    def receipted(self, hashes: Iterable[bytes]) -> list[bytes]:
        """Identities of the payments that these receipts are for."""
        return [row[1] for row in self._in("SELECT hash, identity FROM receipts WHERE hash IN", list(hashes))]

    def accepted(self, identity: bytes) -> bool:
        """Whether its receiver's verified receipt says that it accepted it."""
        rows = self._db.execute(
            "SELECT r.hash, o.body FROM receipts r JOIN objects o ON o.hash = r.hash"
            " WHERE r.identity = ? AND r.state = 1",
            (identity,),
        ).fetchall()
        return any(isinstance(one, Receipt) and one.status == "accepted" for _, one in _parsed(rows))

    def keep_proof(self, object_hash: bytes, found: Evidence, body: bytes, at: int) -> bool:
        """Whether it is new."""
        nonce = found.payments[0].nonce if found.payments else None
        row = (object_hash, found.kind, found.key, nonce, body, at)
        return self._db.execute("INSERT OR IGNORE INTO proofs VALUES (?, ?, ?, ?, ?, ?)", row).rowcount == 1

    def proofs(self, key: bytes, nonce: int) -> list[bytes]:
        rows = self._db.execute("SELECT body FROM proofs WHERE key = ? AND nonce = ?", (key, nonce))
        return [row[0] for row in rows]

    def conflicted(self) -> list[tuple[bytes, int]]:
        """Keys and nonces under which there is evidence of two payments."""
        return self._db.execute(
            "SELECT DISTINCT key, nonce FROM proofs WHERE kind IN (1, 2) ORDER BY key, nonce"
        ).fetchall()

    def conflicts_with(self, identity: bytes) -> list[tuple[bytes, int]]:
        one = self.transactions([identity]).get(identity)
        if one is None:
            return []
        return self._db.execute(
            "SELECT DISTINCT p.key, p.nonce FROM keys k JOIN proofs p ON p.key = k.key"
            " WHERE k.device = ? AND p.nonce = ? AND p.kind IN (1, 2)",
            (one.sender, one.nonce),
        ).fetchall()

    def keep_decision(
        self, key: bytes, nonce: int, texts: Sequence[bytes], rule: str, winner: bytes | None
    ) -> None:
        row = (key, nonce, b"".join(texts), winner, rule)
        self._db.execute("INSERT OR REPLACE INTO decisions VALUES (?, ?, ?, ?, ?)", row)

    def decided(self, key: bytes, nonce: int, texts: Sequence[bytes]) -> tuple[str | None, bytes | None]:
        """Rule and winner, where the decision knew of these very texts."""
        row = self._db.execute(
            "SELECT rule, winner FROM decisions WHERE key = ? AND nonce = ? AND texts = ?",
            (key, nonce, b"".join(texts)),
        ).fetchone()
        return (row[0], row[1]) if row else (None, None)

    def keep_devices(self, known: Sequence[tuple[bytes, bool]]) -> None:
        self._db.executemany("INSERT OR REPLACE INTO devices VALUES (?, ?)", known)

    def next_notice(self) -> int:
        number: int = self._db.execute("SELECT COALESCE(MAX(n), 0) + 1 FROM notices").fetchone()[0]
        return number

    def keep_notice(self, number: int, kind: int, at: int, body: bytes, signature: bytes) -> None:
        self._db.execute("INSERT INTO notices VALUES (?, ?, ?, ?, ?)", (number, kind, at, body, signature))

    def notices(self, after: int, most: int) -> list[list[object]]:
        rows = self._db.execute(
            "SELECT n, kind, at, body, signature FROM notices WHERE n > ? ORDER BY n LIMIT ?", (after, most)
        )
        return [list(row) for row in rows]

    # The one write that matters

    def apply(self, applied: Applied) -> None:
        """All of a COMMIT; a crash before the end leaves the log where it was."""
        origin, judgement = applied.origin, applied.judgement
        with self._writing():
            self._write_objects(judgement)
            self._write_states(judgement)
            ordinals, repeated = self._write_entries(applied)
            self._db.execute(
                "UPDATE origins SET size=?, peaks=?, note=?, cosigned=?, ordinals=? WHERE n=? AND size=?",
                (
                    applied.range.size,
                    b"".join(applied.range.peaks),
                    applied.note,
                    applied.cosigned,
                    ordinals,
                    origin.n,
                    origin.range.size,
                ),
            )
            self._db.execute(
                "DELETE FROM claims WHERE origin = ? AND size <= ?", (origin.n, applied.range.size)
            )
            self._db.execute(
                "UPDATE gateways SET received = received + ?, received_bytes = received_bytes + ?,"
                " needless = needless + ?, repeated = repeated + ?, last_seen = ? WHERE id = ?",
                (
                    applied.received,
                    applied.received_bytes,
                    applied.needless,
                    repeated,
                    applied.at,
                    origin.gateway,
                ),
            )

    def trust(self, origin: Origin, size: int, note: bytes, cosigned: bytes, at: int) -> None:
        """A head without its leaves: what comes of it cannot be verified later."""
        with self._writing():
            self._db.execute(
                "UPDATE origins SET size = ?, note = ?, cosigned = ? WHERE n = ?",
                (size, note, cosigned, origin.n),
            )
            self._db.execute("UPDATE gateways SET last_seen = ? WHERE id = ?", (at, origin.gateway))

    def _write_objects(self, judgement: Judgement) -> None:
        self._db.executemany(
            "INSERT INTO objects (hash, kind, body) VALUES (?, ?, ?)",
            [(hash_, body[1], body) for hash_, (body, _) in judgement.new.items()],
        )
        new = [(hash_, one) for hash_, (_, one) in judgement.new.items()]
        self._db.executemany(
            "INSERT INTO transactions VALUES (?, ?, ?, ?, ?)",
            [
                _transaction_row(hash_, one, judgement.transactions.get(hash_, State.INVALID))
                for hash_, one in new
                if isinstance(one, Transaction | Raw)
            ],
        )
        self._db.executemany(
            "INSERT INTO receipts (hash, identity, state, receiver) VALUES (?, ?, ?, ?)",
            [
                (hash_, one.identity, *judgement.receipts.get(hash_, (State.UNVERIFIED, None)))
                for hash_, one in new
                if isinstance(one, Receipt)
            ],
        )

    def _write_states(self, judgement: Judgement) -> None:
        self._db.executemany(
            "INSERT INTO keys VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET proven = max(proven, excluded.proven)",
            [(device_id(key), key, int(proven)) for key, proven in judgement.keys.items()],
        )
        self._db.executemany(
            "UPDATE transactions SET state = ? WHERE hash = ?",
            [(state, hash_) for hash_, state in judgement.transactions.items() if hash_ not in judgement.new],
        )
        self._db.executemany(
            "UPDATE receipts SET state = ?, receiver = ? WHERE hash = ?",
            [
                (*decided, hash_)
                for hash_, decided in judgement.receipts.items()
                if hash_ not in judgement.new
            ],
        )

    def _write_entries(self, applied: Applied) -> tuple[int, int]:
        """Returns the next ordinal, and how many objects were covered already."""
        n, ordinal = applied.origin.n, applied.origin.ordinals
        hashes = [hash_ for entry in applied.entries for hash_ in entry.objects]
        numbers = dict(self._in("SELECT hash, n FROM objects WHERE hash IN", hashes))
        seen = self.covered(applied.origin, hashes)
        repeated = 0
        rows = []
        for entry in applied.entries:
            for hash_ in entry.objects:
                if hash_ in seen:
                    repeated += 1
                    continue
                seen.add(hash_)
                rows.append((n, ordinal, entry.leaf, numbers[hash_]))
                ordinal += 1
        self._db.executemany("INSERT INTO covered VALUES (?, ?, ?, ?)", rows)
        self._db.executemany(
            "INSERT INTO leaves VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [_leaf_row(n, one, applied.at) for one in applied.entries],
        )
        self._db.executemany(
            "INSERT INTO lists VALUES (?, ?, ?, ?, ?)",
            [
                (n, one.leaf, one.kept_list.key, one.kept_list.depth, b"".join(one.kept_list.identities))
                for one in applied.entries
                if one.kept_list
            ],
        )
        self._db.executemany(
            "INSERT INTO differences VALUES (?, ?, ?, ?)",
            [(n, one.leaf, *one.entry.list) for one in applied.entries if one.entry.list],
        )
        return ordinal, repeated

    # For accounts

    def rows(self, query: str, *values: str | int) -> list[tuple[object, ...]]:
        """A constant query of ``accounts``."""
        return self._db.execute(query, values).fetchall()

    # Inside

    def _one(self, query: str, *values: object) -> tuple[bytes, ...]:
        row: tuple[bytes, ...] = self._db.execute(query, values).fetchone()
        return row

    def _in(
        self, query: str, values: Sequence[str] | Sequence[bytes], *before: int
    ) -> list[tuple[bytes, bytes]]:
        rows: list[tuple[bytes, bytes]] = []
        for at in range(0, len(values), _CHUNK):
            some = values[at : at + _CHUNK]
            rows += self._db.execute(f"{query} ({','.join('?' * len(some))})", (*before, *some))
        return rows

    def _writing(self) -> _Transaction:
        return _Transaction(self._db)


class _Transaction:
    """BEGIN IMMEDIATE … COMMIT, or ROLLBACK where the body raised."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, *_: object) -> None:
        self._db.execute("ROLLBACK" if kind else "COMMIT")


def _leaf_row(origin: int, one: JudgedEntry, at: int) -> tuple[object, ...]:
    entry = one.entry
    told = (entry.kind, entry.received_at, entry.quality, entry.radio)
    return (origin, one.leaf, one.leaf_hash, *told, at)


def _cut(blob: bytes) -> list[bytes]:
    return [blob[at : at + 32] for at in range(0, len(blob), 32)]


def _parsed(rows: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, AnyObject]]:
    return ((hash_, parse_object(body)) for hash_, body in rows)


def _transaction_row(hash_: bytes, one: Transaction | Raw, state: State) -> tuple[object, ...]:
    if isinstance(one, Raw):
        return hash_, one.identity, None, None, State.INVALID
    return hash_, one.identity, one.sender, one.nonce, state
