-- What admins store of the dashboard's list of users, and the answers to changes of many users. New tables: no lock on others
-- but a moment's on admins, for the foreign key, at any size. An older version next to this one knows neither: it refuses the
-- views, and makes a change of many users again that is sent to it twice.
CREATE TABLE admin_view (
    admin_id BIGINT PRIMARY KEY REFERENCES admins (id) ON DELETE CASCADE,
    -- A JSON array of {name, search}, at most 70 kB.
    views TEXT NOT NULL
);

CREATE TABLE bulk_request (
    -- No foreign key: its lock would come after those of users.
    admin_id BIGINT NOT NULL,
    idempotency_key BLOB NOT NULL,
    -- SHA-256 of the request, in hex.
    fingerprint TEXT NOT NULL,
    -- Unix microseconds; a day later the row is deleted.
    created_at BIGINT NOT NULL,
    -- The answer.
    matched BIGINT NOT NULL DEFAULT 0,
    changed BIGINT NOT NULL DEFAULT 0,
    next_cursor TEXT,
    PRIMARY KEY (admin_id, idempotency_key)
);
-- What the task `prune` reads.
CREATE INDEX ix_bulk_request_age ON bulk_request (created_at);
