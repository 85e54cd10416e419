-- Changes of engines' configurations in progress. A row that is left, and whose node nobody has locked, is of a panel that died
-- in the middle. A new table: no lock on others, at any size.
CREATE TABLE engine_change (
    node_id BIGINT NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
    backend TEXT NOT NULL,
    -- The configuration that the node had before, for an engine without a last good one; NULL: it had none that can be stored.
    former_config TEXT,
    -- The number of the node protocol: 0 plain, 1 JSON, 2 YAML.
    former_format BIGINT,
    -- Unix microseconds.
    begun_at BIGINT NOT NULL,
    PRIMARY KEY (node_id, backend)
);
