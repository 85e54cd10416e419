-- The audit log and the hash chain over it. New tables: no lock on others, at any size. Versions without them write no entries.
CREATE TABLE audit_entry (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Unix microseconds.
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    actor_id BIGINT,
    actor_name TEXT,
    -- Epoch of the leader, for a task.
    epoch BIGINT,
    address TEXT,
    request_id TEXT,
    action TEXT NOT NULL,
    object_id BIGINT,
    object_name TEXT,
    -- JSON objects, as text: their bytes are part of the digest.
    before_change TEXT,
    after_change TEXT,
    objects BIGINT NOT NULL,
    -- SHA-256 of all columns above but the id, in hex.
    digest TEXT NOT NULL,
    -- The seal that covers it; the leader sets it within a minute.
    seal BIGINT
);
CREATE INDEX audit_entry_unsealed ON audit_entry (id) WHERE seal IS NULL;
CREATE INDEX audit_entry_seal ON audit_entry (seal, id);
CREATE INDEX audit_entry_object ON audit_entry (object_id, id);

-- A link of the chain: it covers a number of entries and the link before. The first has number 1.
CREATE TABLE audit_seal (
    sequence BIGINT PRIMARY KEY,
    at BIGINT NOT NULL,
    entries BIGINT NOT NULL,
    digest TEXT NOT NULL
);

-- Where the stored chain begins: the newest link that was deleted because its time was over.
CREATE TABLE audit_start (
    sequence BIGINT NOT NULL,
    digest TEXT NOT NULL
);
INSERT INTO audit_start (sequence, digest) VALUES (0, '');
