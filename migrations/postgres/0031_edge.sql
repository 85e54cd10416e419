-- Edges: processes that serve subscriptions from a copy and reach this database only through a panel. New tables: no lock on others, at
-- any size. An older version next to this one knows none of them, and answers edges with 404: they go on with another panel.
CREATE TABLE edge (
    -- The edge's own id, from its copy: the same after a restart.
    id UUID PRIMARY KEY,
    host TEXT NOT NULL,
    version TEXT NOT NULL,
    -- Unix microseconds, by the edge's clock.
    started_at BIGINT NOT NULL,
    -- Unix microseconds, by the clock of the panel that received the report. A day later the row is deleted.
    last_seen BIGINT NOT NULL,
    -- What else the edge reports, as JSON.
    report TEXT NOT NULL
);

-- Batches of fetches that arrived, so that one that is sent twice counts once.
CREATE TABLE edge_batch (
    id UUID PRIMARY KEY,
    -- Unix microseconds; a month later the row is deleted.
    received_at BIGINT NOT NULL
);
-- What the task `prune` reads.
CREATE INDEX ix_edge_batch_age ON edge_batch (received_at);
