-- Second factors of admins. New tables with their indexes: no lock on others but a moment's on admins, for the foreign keys, at any
-- size. An older version next to this one signs in with the password alone.
CREATE TABLE totp (
    admin_id BIGINT PRIMARY KEY REFERENCES admins (id) ON DELETE CASCADE,
    -- Base32. NULL: none is confirmed.
    secret TEXT,
    -- A new one, which counts once a code confirms it.
    pending_secret TEXT,
    -- The 30 seconds of the last accepted code since 1970: no code of them or from before is accepted.
    last_step BIGINT NOT NULL DEFAULT 0,
    -- Wrong codes since the last right one.
    wrong_codes BIGINT NOT NULL DEFAULT 0,
    -- Unix microseconds.
    confirmed_at BIGINT
);
-- Deleted when it is used.
CREATE TABLE recovery_code (
    admin_id BIGINT NOT NULL REFERENCES admins (id) ON DELETE CASCADE,
    -- SHA-256 in hex.
    code_hash TEXT NOT NULL,
    PRIMARY KEY (admin_id, code_hash)
);
