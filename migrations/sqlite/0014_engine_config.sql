-- The last configuration with which each engine of a node ran. A new table: no lock on others, at any size.
CREATE TABLE engine_config (
    node_id BIGINT NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
    backend TEXT NOT NULL,
    config TEXT NOT NULL,
    -- The number of the node protocol: 0 plain, 1 JSON, 2 YAML.
    format BIGINT NOT NULL,
    -- Unix microseconds.
    stored_at BIGINT NOT NULL,
    PRIMARY KEY (node_id, backend)
);
