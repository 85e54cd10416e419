-- The addresses under which clients reach the panel, one per family, the same for all panels. A new table: no lock on others,
-- at any size.
CREATE TABLE panel_address (
    -- 4 or 6.
    family BIGINT PRIMARY KEY,
    address TEXT NOT NULL,
    source TEXT NOT NULL CHECK (source IN ('private', 'public', 'setting')),
    -- Label of the host that stored it.
    host TEXT NOT NULL
);
