-- Schema 3: evidence, what the coordinator says of it, its directory of devices, and earlier epochs of the log.

-- Kept for ever, some 250 bytes each, also when the bodies that it was made of are pruned.
CREATE TABLE evidence (
    id INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,        -- of its object
    kind INTEGER NOT NULL,            -- 1 double spend, 2 duplicate nonce, 3 duplicate id, 4 key collision, …
    device INTEGER,                   -- whose doing it shows; NULL: a gateway's
    nonce INTEGER,                    -- of payments under one nonce
    body BLOB NOT NULL,
    priority INTEGER NOT NULL,        -- 1: goes ahead of the backlog until the coordinator has it
    leaf INTEGER                      -- NULL: told by the coordinator
);
CREATE INDEX evidence_by_device ON evidence (device, nonce);
CREATE INDEX evidence_to_tell ON evidence (id) WHERE priority = 1;

-- Evidence that lacks a body: two objects by their ordinals, and the keys that verified them.
CREATE TABLE awaiting (
    kind INTEGER NOT NULL,
    first INTEGER NOT NULL,
    first_key INTEGER NOT NULL,
    second INTEGER NOT NULL,
    second_key INTEGER NOT NULL,
    leaf INTEGER NOT NULL,            -- the entry that completed it
    PRIMARY KEY (first, second)
) WITHOUT ROWID;

-- Payments whose receivers accepted them before anything had verified them; then spends says so.
CREATE TABLE accepted_early (ordinal INTEGER PRIMARY KEY);

-- The newest signed decision of each conflict.
CREATE TABLE decisions (
    sender INTEGER NOT NULL,
    nonce INTEGER NOT NULL,
    notice BLOB NOT NULL,
    PRIMARY KEY (sender, nonce)
) WITHOUT ROWID;

-- What the coordinator says of devices: keys to try, and who is blocked.
CREATE TABLE directory (
    id INTEGER PRIMARY KEY,
    key BLOB NOT NULL UNIQUE,
    device INTEGER NOT NULL,
    blocked INTEGER NOT NULL
);
CREATE INDEX directory_by_device ON directory (device);
CREATE INDEX directory_blocked ON directory (id) WHERE blocked = 1;

-- Epochs that are over. Leaves, ordinals and tiles are numbered through all epochs; an epoch's own sizes count
-- from its first leaf.
CREATE TABLE epochs (
    epoch INTEGER PRIMARY KEY,
    first_leaf INTEGER NOT NULL,
    first_ordinal INTEGER NOT NULL,
    frontier BLOB NOT NULL,           -- of what stays in it
    signed_size INTEGER NOT NULL,
    signed_note BLOB,
    cosigned_note BLOB,
    ended_at INTEGER NOT NULL,
    why TEXT NOT NULL,
    fix TEXT NOT NULL,
    seen INTEGER NOT NULL             -- 1: a person has taken note of it
);

ALTER TABLE spends ADD COLUMN accepted INTEGER NOT NULL DEFAULT 0;  -- its receiver's receipt says so
ALTER TABLE log ADD COLUMN first_leaf INTEGER NOT NULL DEFAULT 0;
ALTER TABLE log ADD COLUMN first_ordinal INTEGER NOT NULL DEFAULT 0;
ALTER TABLE log ADD COLUMN notices INTEGER NOT NULL DEFAULT 0;      -- the newest notice taken
ALTER TABLE log ADD COLUMN resolved INTEGER NOT NULL DEFAULT 0;     -- conflicts that a decision closed, so far
ALTER TABLE log ADD COLUMN lost INTEGER NOT NULL DEFAULT 0;         -- promises shown whose contents are gone
