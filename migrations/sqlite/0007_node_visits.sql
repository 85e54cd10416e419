-- Who is changing the configuration of a node's engine now: one at a time, whichever hosts the admins are on.
CREATE TABLE node_edit (
    node_id BIGINT PRIMARY KEY REFERENCES nodes (id) ON DELETE CASCADE,
    holder BLOB NOT NULL,
    -- Unix microseconds by the database's clock: whoever died with it holds up nobody for long.
    held_until BIGINT NOT NULL
);

-- The term in which the node last got a full list of users; in an earlier one: no session of this leader yet.
ALTER TABLE nodes ADD COLUMN synced_epoch BIGINT NOT NULL DEFAULT 0;
