-- Schema 2: a device may hand over the same ledger as often as it likes, each time with another timestamp. Found
-- by key and count alone, each of these would be read at every further one.
DROP INDEX lists_by_key;
CREATE INDEX lists_by_root ON lists (key, count, root, timestamp);
