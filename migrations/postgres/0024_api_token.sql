-- API tokens of admins. A new table with its indexes: no lock on others but a moment's on admins, for the foreign key, at any
-- size. An older version next to this one refuses these tokens.
CREATE TABLE api_token (
    -- Stands in the token.
    id UUID PRIMARY KEY,
    admin_id BIGINT NOT NULL REFERENCES admins (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    -- Separated by spaces: `users:read nodes:write`.
    scopes TEXT NOT NULL,
    -- Networks, separated by spaces; empty: from anywhere.
    addresses TEXT NOT NULL,
    -- SHA-256 in hex. That of the secret before is good until then.
    secret_hash TEXT NOT NULL,
    previous_hash TEXT,
    previous_until BIGINT,
    -- Unix microseconds.
    created_at BIGINT NOT NULL,
    -- NULL: it does not expire.
    expires_at BIGINT,
    -- Up to a minute behind; NULL: never used.
    last_used_at BIGINT,
    -- Of the last use; NULL for a Unix socket.
    last_address TEXT
);
CREATE INDEX ix_api_token_admin ON api_token (admin_id);
-- What the task `prune` reads.
CREATE INDEX ix_api_token_expiry ON api_token (expires_at);
