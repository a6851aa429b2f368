-- Evidence, decisions and the directory: what every gateway is told. Beside schema.sql, also in older stores.

CREATE TABLE IF NOT EXISTS proofs (
    hash    BLOB PRIMARY KEY,                  -- of the evidence object
    kind    INTEGER NOT NULL,
    key     BLOB,                              -- whose doing it shows
    nonce   INTEGER,
    body    BLOB NOT NULL,
    seen_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS proofs_by_conflict ON proofs (key, nonce);

-- What a gateway that has lost its disk needs of its lists.
CREATE TABLE IF NOT EXISTS differences (
    origin INTEGER NOT NULL,
    leaf   INTEGER NOT NULL,
    base   INTEGER,
    ops    BLOB NOT NULL,
    PRIMARY KEY (origin, leaf)
);
CREATE INDEX IF NOT EXISTS transactions_spent ON transactions (sender, nonce) WHERE state = 1;

-- Verified payments by their ids, one row a text.
CREATE TABLE IF NOT EXISTS ids (
    id       TEXT NOT NULL,
    identity BLOB NOT NULL,
    PRIMARY KEY (id, identity)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS decisions (
    key    BLOB NOT NULL,
    nonce  INTEGER NOT NULL,
    texts  BLOB NOT NULL,                      -- identities that it knew of
    winner BLOB,
    rule   TEXT NOT NULL,
    PRIMARY KEY (key, nonce)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS devices (key BLOB PRIMARY KEY, blocked INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS notices (
    n         INTEGER PRIMARY KEY,
    kind      INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    body      BLOB NOT NULL,
    signature BLOB NOT NULL
);
