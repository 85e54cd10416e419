-- Who leads, what ran, who is there. See ARCHITECTURE.md, "Coordination".

-- Changes only at a claim. Apart from the lease, because every fenced transaction share-locks it and must not
-- hold up the heartbeat.
CREATE TABLE scheduler_epoch (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    epoch BIGINT NOT NULL
);
INSERT INTO scheduler_epoch (id, epoch) VALUES (1, 0);

CREATE TABLE scheduler_lease (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    epoch BIGINT NOT NULL,
    holder BLOB,
    host TEXT,
    version TEXT,
    -- Microseconds, as all times here.
    ttl BIGINT NOT NULL,
    lease_until BIGINT NOT NULL,
    -- Wall clock (unix), for people; lease_until is what decides.
    acquired_at BIGINT NOT NULL,
    released BOOLEAN NOT NULL,
    -- SQLite only: the boot in which lease_until (CLOCK_BOOTTIME there) was measured.
    boot_id TEXT NOT NULL DEFAULT ''
);
INSERT INTO scheduler_lease (id, epoch, ttl, lease_until, acquired_at, released) VALUES (1, 0, 0, 0, 0, TRUE);

CREATE TABLE task (
    task TEXT PRIMARY KEY,
    period BIGINT NOT NULL,
    phase BIGINT NOT NULL,
    changed_at BIGINT NOT NULL
);

CREATE TABLE task_run (
    task TEXT NOT NULL,
    slot BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    instance BLOB NOT NULL,
    attempts BIGINT NOT NULL,
    trigger TEXT NOT NULL CHECK (trigger IN ('schedule', 'request')),
    state TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed', 'coalesced', 'skipped', 'abandoned')),
    started_at BIGINT NOT NULL,
    finished_at BIGINT,
    lag_ms BIGINT NOT NULL,
    items BIGINT NOT NULL DEFAULT 0,
    error TEXT,
    PRIMARY KEY (task, slot)
);
CREATE INDEX task_run_slot ON task_run (slot);
CREATE INDEX task_run_running ON task_run (task, slot) WHERE state = 'running';

CREATE TABLE task_request (
    id BLOB PRIMARY KEY,
    task TEXT NOT NULL,
    requested_at BIGINT NOT NULL
);

CREATE TABLE cluster_member (
    instance BLOB PRIMARY KEY,
    host TEXT NOT NULL,
    pid BIGINT NOT NULL,
    worker_threads BIGINT NOT NULL,
    cores REAL NOT NULL,
    version TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    last_seen BIGINT NOT NULL
);
CREATE INDEX cluster_member_seen ON cluster_member (last_seen);

-- The oldest schema whose programs may still use this database: a newer program beside an older one is a rolling upgrade.
CREATE TABLE schema_floor (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    minimum BIGINT NOT NULL
);
INSERT INTO schema_floor (id, minimum) VALUES (1, 1);
