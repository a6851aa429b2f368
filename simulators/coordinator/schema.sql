-- The reference coordinator's tables. Hashes, keys and identities are 32-byte blobs; times are ms since 1970.

CREATE TABLE own (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;

CREATE TABLE gateways (
    id            TEXT PRIMARY KEY,
    key           BLOB NOT NULL,
    kind          TEXT NOT NULL,
    location      TEXT NOT NULL,               -- JSON as registered
    registered_at INTEGER NOT NULL,
    last_seen     INTEGER NOT NULL,
    instance      BLOB,                        -- of its newest session
    quarantined   TEXT,                        -- why, where it is
    received      INTEGER NOT NULL DEFAULT 0,  -- objects taken over the wire
    received_bytes INTEGER NOT NULL DEFAULT 0, -- their bytes
    needless      INTEGER NOT NULL DEFAULT 0,  -- of them, objects that were held already at the commit
    repeated      INTEGER NOT NULL DEFAULT 0   -- objects covered a second time by one origin
) WITHOUT ROWID;

CREATE TABLE fenced (
    n       INTEGER PRIMARY KEY,
    gateway TEXT NOT NULL REFERENCES gateways,
    instance BLOB NOT NULL,
    UNIQUE (gateway, instance)
);

CREATE TABLE origins (
    n       INTEGER PRIMARY KEY,
    name    TEXT NOT NULL UNIQUE,
    gateway TEXT NOT NULL REFERENCES gateways,
    size    INTEGER NOT NULL DEFAULT 0,
    peaks   BLOB NOT NULL DEFAULT x'',         -- of the compact range, 32 bytes each
    note    BLOB,                              -- newest applied, signed by the gateway
    cosigned BLOB,
    ordinals INTEGER NOT NULL DEFAULT 0,
    fork    INTEGER REFERENCES evidence        -- bars the origin
);

-- Heads a gateway has signed ahead of what it has sent.
CREATE TABLE claims (
    origin INTEGER NOT NULL REFERENCES origins,
    size   INTEGER NOT NULL,
    note   BLOB NOT NULL,
    PRIMARY KEY (origin, size)
) WITHOUT ROWID;

CREATE TABLE evidence (
    n      INTEGER PRIMARY KEY,
    origin INTEGER NOT NULL REFERENCES origins,
    seen_at INTEGER NOT NULL,
    a      BLOB NOT NULL,
    b      BLOB NOT NULL,
    size   INTEGER NOT NULL,
    root   BLOB NOT NULL,
    UNIQUE (origin, a, b)
);

CREATE TABLE leaves (
    origin      INTEGER NOT NULL REFERENCES origins,
    leaf        INTEGER NOT NULL,
    hash        BLOB NOT NULL,
    kind        INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    quality     INTEGER NOT NULL,
    radio       TEXT NOT NULL,
    applied_at  INTEGER NOT NULL,
    PRIMARY KEY (origin, leaf)
) WITHOUT ROWID;

CREATE TABLE lists (
    origin INTEGER NOT NULL,
    leaf   INTEGER NOT NULL,
    key    BLOB NOT NULL,
    depth  INTEGER NOT NULL,
    identities BLOB NOT NULL,
    PRIMARY KEY (origin, leaf)
);

CREATE TABLE objects (
    n    INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    kind INTEGER NOT NULL,
    body BLOB NOT NULL
);

CREATE TABLE covered (
    origin  INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    leaf    INTEGER NOT NULL,
    object  INTEGER NOT NULL REFERENCES objects,
    PRIMARY KEY (origin, ordinal)
) WITHOUT ROWID;
CREATE UNIQUE INDEX covered_object ON covered (object, origin);

CREATE TABLE keys (device TEXT NOT NULL, key BLOB NOT NULL, proven INTEGER NOT NULL, PRIMARY KEY (device, key)) WITHOUT ROWID;

-- state: 0 unverified, 1 verified, 2 invalid.
CREATE TABLE transactions (
    hash     BLOB PRIMARY KEY,
    identity BLOB NOT NULL,
    sender   TEXT,                             -- null for a raw transaction
    nonce    INTEGER,
    state    INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX transactions_identity ON transactions (identity);
CREATE INDEX transactions_open ON transactions (sender) WHERE state <> 1;

CREATE TABLE receipts (
    hash     BLOB PRIMARY KEY,
    identity BLOB NOT NULL,
    receiver TEXT,                             -- null until the transaction is held
    state    INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX receipts_identity ON receipts (identity);
CREATE INDEX receipts_open ON receipts (receiver) WHERE state <> 1;
