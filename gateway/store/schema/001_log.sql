-- Schema 1: the log, its objects, and what must be found again.

-- One row: how far everything stands. Rewritten by every commit.
CREATE TABLE log (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    gateway_id TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    frontier BLOB NOT NULL,           -- size and peaks of the RFC 6962 tree
    next_ordinal INTEGER NOT NULL,    -- objects of this origin so far
    indexed_ordinal INTEGER NOT NULL, -- objects below it are in lookup
    pruned_size INTEGER NOT NULL,     -- entries below it have lost their bodies
    signed_size INTEGER NOT NULL,
    signed_note BLOB,
    acked_size INTEGER NOT NULL,
    cosigned_note BLOB,
    halted_what TEXT,
    halted_fix TEXT,
    verified INTEGER NOT NULL,        -- transactions by their standing
    unverified INTEGER NOT NULL,
    invalid INTEGER NOT NULL,
    body_bytes INTEGER NOT NULL,      -- of all bodies kept
    unproven_bytes INTEGER NOT NULL   -- of those kept and not verified
);

-- Full tiles of leaf hashes, and the growing tiles above them. The leaves of the last, partial tile are
-- computed from entries. id = level << 48 | position.
CREATE TABLE tiles (
    id INTEGER PRIMARY KEY,
    hashes BLOB NOT NULL
);

CREATE TABLE entries (
    leaf INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,
    objects_root BLOB NOT NULL,
    first_ordinal INTEGER NOT NULL,
    count INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    quality INTEGER NOT NULL,
    radio TEXT NOT NULL
);

-- The objects of one entry end to end, behind their lengths (2 bytes each, big-endian). Pruned by entry.
CREATE TABLE bodies (
    leaf INTEGER PRIMARY KEY,
    pack BLOB NOT NULL
);

CREATE TABLE objects (
    ordinal INTEGER PRIMARY KEY,
    leaf INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    state INTEGER NOT NULL,           -- 1 verified, 2 unverified, 3 invalid
    hash BLOB NOT NULL,
    identity BLOB                     -- of a transaction, else NULL
);

-- First 8 bytes of a hash or an identity, as a signed integer: a hint, the row in objects decides.
CREATE TABLE lookup (
    prefix INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    PRIMARY KEY (prefix, ordinal)
) WITHOUT ROWID;

-- Keys that something verified has proven. device: the first 8 bytes, as a signed integer.
CREATE TABLE keys (
    id INTEGER PRIMARY KEY,
    device INTEGER NOT NULL,
    key BLOB NOT NULL UNIQUE,
    ordinal INTEGER,                  -- of its key object, NULL until logged
    rejudged INTEGER                  -- waiting objects up to this ordinal were tried; NULL: all were
);
CREATE INDEX keys_by_device ON keys (device);
CREATE INDEX keys_to_rejudge ON keys (id) WHERE rejudged IS NOT NULL;

-- Snapshots' lists as differences, and the wallet's and our own tree over each.
CREATE TABLE lists (
    leaf INTEGER PRIMARY KEY,
    key INTEGER NOT NULL,
    count INTEGER NOT NULL,
    root BLOB NOT NULL,
    timestamp INTEGER NOT NULL,
    depth INTEGER NOT NULL,
    base INTEGER,
    raws INTEGER NOT NULL,            -- places that are bare identities, the base's included
    ops BLOB NOT NULL,
    wallet BLOB NOT NULL,
    identities BLOB NOT NULL
);
CREATE INDEX lists_by_key ON lists (key, count);

-- The conflict index: every verified transaction, kept beyond pruning.
CREATE TABLE spends (
    sender INTEGER NOT NULL,
    nonce INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    receiver BLOB NOT NULL,           -- 8 bytes where it is a device id, else the text
    key INTEGER NOT NULL,
    PRIMARY KEY (sender, nonce, ordinal)
) WITHOUT ROWID;

-- Transactions (nonce as signed) and receipts (nonce -1) that a key proven later may verify.
CREATE TABLE waiting (
    ordinal INTEGER PRIMARY KEY,
    signer INTEGER NOT NULL,
    nonce INTEGER NOT NULL
);
CREATE INDEX waiting_by_nonce ON waiting (signer, nonce);
CREATE INDEX waiting_by_age ON waiting (signer, ordinal);

CREATE TABLE conflicts (
    sender INTEGER NOT NULL,
    nonce INTEGER NOT NULL,
    kind INTEGER NOT NULL,            -- 1 double spend, 2 duplicate nonce
    texts INTEGER NOT NULL,
    leaf INTEGER NOT NULL,            -- the entry that completed it
    decided INTEGER NOT NULL,         -- 0 until the coordinator's decision
    PRIMARY KEY (sender, nonce)
) WITHOUT ROWID;
