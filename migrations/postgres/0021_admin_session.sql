-- Sessions of admins: one row for each token that a sign-in gave out. A new table with its indexes: no lock on others but a
-- moment's on admins, for the foreign key, at any size. An older version next to this one gives out tokens without a
-- session, and accepts those of sessions that have ended until they expire.
CREATE TABLE admin_session (
    -- The claim `sid` of the session's tokens.
    id UUID PRIMARY KEY,
    admin_id BIGINT NOT NULL REFERENCES admins (id) ON DELETE CASCADE,
    -- admins.password_reset_at when the token was signed, 0 for none: another one there ends the session.
    password_version BIGINT NOT NULL,
    -- Unix microseconds.
    created_at BIGINT NOT NULL,
    -- Up to a minute behind.
    last_used_at BIGINT NOT NULL,
    -- NULL: the token does not expire.
    expires_at BIGINT,
    -- NULL: the session goes on. An ended session's row stays until its token has expired.
    ended_at BIGINT,
    -- Of the last use; NULL for a Unix socket.
    address TEXT,
    user_agent TEXT NOT NULL
);
CREATE INDEX ix_admin_session_admin ON admin_session (admin_id, last_used_at);
-- What each look-up of an admin reads.
CREATE INDEX ix_admin_session_ended ON admin_session (admin_id) WHERE ended_at IS NOT NULL;
-- What the task `prune` reads.
CREATE INDEX ix_admin_session_expiry ON admin_session (expires_at);
