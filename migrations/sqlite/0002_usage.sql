-- Traffic by the hour, and the batches it comes from. Hours are unix microseconds at the start of the hour, UTC.
-- Rows of a node or user that is gone stay: there is no foreign key, and ids are never used twice.

CREATE TABLE node_usage_hours (
    node_id BIGINT NOT NULL,
    hour BIGINT NOT NULL,
    uplink BIGINT NOT NULL DEFAULT 0,
    -- Bytes as the node reported them.
    downlink BIGINT NOT NULL DEFAULT 0,
    -- Bytes as they were counted for users: times the node's coefficient.
    counted BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (node_id, hour)
) WITHOUT ROWID;
CREATE INDEX node_usage_hours_hour ON node_usage_hours (hour);

CREATE TABLE user_usage_hours (
    user_id BIGINT NOT NULL,
    hour BIGINT NOT NULL,
    node_id BIGINT NOT NULL,
    -- Bytes times the node's coefficient.
    counted BIGINT NOT NULL,
    PRIMARY KEY (user_id, hour, node_id)
) WITHOUT ROWID;
CREATE INDEX user_usage_hours_hour ON user_usage_hours (hour);

-- One reply of a node (or a part of a large one): staged, then applied to totals, then folded into user_usage_hours.
CREATE TABLE usage_batch (
    batch_id BLOB NOT NULL,
    part BIGINT NOT NULL,
    node_id BIGINT NOT NULL,
    fetched_at BIGINT NOT NULL,
    coefficient REAL NOT NULL,
    entries BIGINT NOT NULL,
    -- Raw bytes of all entries.
    bytes BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('staged', 'applied', 'folded')),
    state_at BIGINT NOT NULL,
    -- See src/domain/usage.rs; NULL an hour after folding.
    payload BLOB,
    -- Bytes of users that no longer existed when the batch was applied.
    unknown_bytes BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (batch_id, part)
);
CREATE INDEX usage_batch_open ON usage_batch (fetched_at) WHERE state = 'staged';
CREATE INDEX usage_batch_unfolded ON usage_batch (fetched_at) WHERE state = 'applied';
CREATE INDEX usage_batch_state_at ON usage_batch (state_at);

-- Users whose state may differ from what the nodes have. Every change puts a new uuid.
CREATE TABLE user_change (
    user_id INTEGER PRIMARY KEY,
    change_id BLOB NOT NULL,
    changed_at BIGINT NOT NULL
);
