-- Passkeys of admins. New tables with their indexes: no lock on others but a moment's on admins, for the foreign key, at any size. An
-- older version next to this one asks an admin whose only factor is a passkey for the password alone.
CREATE TABLE passkey (
    id UUID PRIMARY KEY,
    admin_id BIGINT NOT NULL REFERENCES admins (id) ON DELETE CASCADE,
    -- As its authenticator names it, in base64url.
    credential_id TEXT NOT NULL UNIQUE,
    -- The same for all passkeys of an admin.
    user_handle UUID NOT NULL,
    -- The domain that it is for.
    rp_id TEXT NOT NULL,
    name TEXT NOT NULL,
    -- The public key and what else never changes, and what each use may change, as webauthn_rp encodes them.
    static_state BYTEA NOT NULL,
    dynamic_state BYTEA NOT NULL,
    -- Unix microseconds.
    created_at BIGINT NOT NULL,
    last_used_at BIGINT
);
CREATE INDEX ix_passkey_admin ON passkey (admin_id);
-- Challenges that a passkey has signed: none is accepted twice. Those without a right signature leave no row.
CREATE TABLE used_challenge (
    id UUID PRIMARY KEY,
    -- Unix microseconds.
    expires_at BIGINT NOT NULL
);
-- What the task prune reads.
CREATE INDEX ix_used_challenge_expiry ON used_challenge (expires_at);
