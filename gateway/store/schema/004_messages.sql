-- Schema 4: a message that was promised is recognised by its bytes after a restart too, without being judged again.
-- SHA-256 of the message that brought a snapshot; NULL for other entries, those from before, and where not all
-- that came could be kept.
ALTER TABLE entries ADD COLUMN message BLOB;
