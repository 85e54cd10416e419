-- What a panel knows: admins, services, users, nodes with their inbounds and hosts, settings.
-- Times are unix microseconds, UTC. Texts compare and sort by code point.

CREATE TABLE admins (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    username TEXT NOT NULL UNIQUE,
    hashed_password TEXT NOT NULL,
    is_sudo BOOLEAN NOT NULL,
    enabled BOOLEAN NOT NULL DEFAULT TRUE,
    all_services_access BOOLEAN NOT NULL DEFAULT FALSE,
    modify_users_access BOOLEAN NOT NULL DEFAULT TRUE,
    subscription_url_prefix TEXT NOT NULL DEFAULT '',
    -- Tokens issued before this moment are refused; NULL: no such check.
    password_reset_at BIGINT,
    created_at BIGINT NOT NULL
);

CREATE TABLE services (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT
);

CREATE TABLE admins_services (
    admin_id BIGINT NOT NULL REFERENCES admins (id) ON DELETE CASCADE,
    service_id BIGINT NOT NULL REFERENCES services (id) ON DELETE CASCADE,
    PRIMARY KEY (admin_id, service_id)
);
CREATE INDEX admins_services_service ON admins_services (service_id);

CREATE TABLE users (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- NULL once removed: the name is free again, the key is not.
    username TEXT UNIQUE,
    key TEXT NOT NULL UNIQUE,
    owner_id BIGINT REFERENCES admins (id) ON DELETE SET NULL,
    enabled BOOLEAN NOT NULL DEFAULT TRUE,
    -- What the nodes were last told.
    activated BOOLEAN NOT NULL DEFAULT TRUE,
    removed BOOLEAN NOT NULL DEFAULT FALSE,
    expire_strategy TEXT NOT NULL CHECK (expire_strategy IN ('never', 'fixed_date', 'start_on_first_use')),
    expire_date BIGINT,
    -- Seconds.
    usage_duration BIGINT,
    activation_deadline BIGINT,
    note TEXT,
    created_at BIGINT NOT NULL,
    edit_at BIGINT,
    sub_revoked_at BIGINT,
    -- The value of the clock `key_change` when the key last changed; 0: never since creation.
    key_change_seq BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX users_live_owner ON users (owner_id, id) WHERE removed = FALSE;
-- Owners' sums count removed users too.
CREATE INDEX users_owner ON users (owner_id);
CREATE INDEX users_live_created ON users (created_at, id) WHERE removed = FALSE;
CREATE INDEX users_live_expire ON users (expire_date, id) WHERE removed = FALSE;
CREATE INDEX users_live_disabled ON users (id) WHERE removed = FALSE AND enabled = FALSE;
CREATE INDEX users_live_not_activated ON users (id) WHERE removed = FALSE AND activated = FALSE;
-- What review_users asks for.
CREATE INDEX users_activated_expire ON users (expire_date) WHERE activated = TRUE AND expire_strategy = 'fixed_date';
CREATE INDEX users_activated_disabled ON users (id) WHERE activated = TRUE AND enabled = FALSE;
CREATE INDEX users_on_hold ON users (id) WHERE removed = FALSE AND expire_strategy = 'start_on_first_use';
CREATE INDEX users_key_change ON users (key_change_seq) WHERE key_change_seq > 0;

-- What a user may use and has used: narrow, because it is rewritten with every recording of usage.
CREATE TABLE user_traffic (
    user_id INTEGER PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    -- Bytes; NULL: unlimited.
    data_limit BIGINT CHECK (data_limit > 0),
    used_traffic BIGINT NOT NULL DEFAULT 0,
    lifetime_used_traffic BIGINT NOT NULL DEFAULT 0,
    online_at BIGINT,
    data_limit_reset_strategy TEXT NOT NULL DEFAULT 'no_reset'
        CHECK (data_limit_reset_strategy IN ('no_reset', 'day', 'week', 'month', 'year')),
    traffic_reset_at BIGINT,
    -- As in users, so that next_reset_at can be computed here.
    created_at BIGINT NOT NULL,
    data_limit_reached BOOLEAN NOT NULL GENERATED ALWAYS AS (data_limit IS NOT NULL AND used_traffic >= data_limit) STORED,
    next_reset_at BIGINT GENERATED ALWAYS AS (
        COALESCE(traffic_reset_at, created_at) + CASE data_limit_reset_strategy
            WHEN 'day' THEN 86400000000
            WHEN 'week' THEN 604800000000
            WHEN 'month' THEN 2592000000000
            WHEN 'year' THEN 31536000000000
        END) STORED
);
CREATE INDEX user_traffic_reached ON user_traffic (user_id) WHERE data_limit_reached = TRUE;
CREATE INDEX user_traffic_next_reset ON user_traffic (next_reset_at) WHERE next_reset_at IS NOT NULL;
CREATE INDEX user_traffic_used ON user_traffic (used_traffic, user_id);
CREATE INDEX user_traffic_limit ON user_traffic (data_limit, user_id);

-- The last fetch of each subscription: apart from users, because apps fetch all day.
CREATE TABLE subscription_fetches (
    user_id INTEGER PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    fetched_at BIGINT NOT NULL,
    user_agent TEXT NOT NULL
);

CREATE TABLE users_services (
    user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    service_id BIGINT NOT NULL REFERENCES services (id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, service_id)
);
CREATE INDEX users_services_service ON users_services (service_id, user_id);

CREATE TABLE nodes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    address TEXT NOT NULL,
    port BIGINT NOT NULL,
    connection_backend TEXT NOT NULL CHECK (connection_backend IN ('grpcio', 'grpclib')),
    usage_coefficient REAL NOT NULL DEFAULT 1.0,
    status TEXT NOT NULL DEFAULT 'unhealthy' CHECK (status IN ('healthy', 'unhealthy', 'disabled')),
    message TEXT,
    xray_version TEXT,
    last_status_change BIGINT,
    created_at BIGINT NOT NULL,
    -- SHA-256 of the certificate seen first (64 hex digits); NULL: the next one seen is pinned.
    certificate_pin TEXT,
    -- The value of the clock `key_change` up to which a full sync renewed changed keys.
    key_synced_seq BIGINT NOT NULL DEFAULT 0,
    synced_at BIGINT,
    -- Somebody stepped down with sends under way: the next leader must not trust what the node has.
    dirty BOOLEAN NOT NULL DEFAULT FALSE,
    -- Changes whenever somebody asks for a full sync.
    sync_request BLOB,
    UNIQUE (address, port)
);

-- A new panel knows the node of its own host. Here, because this runs once, however many hosts start together.
INSERT INTO nodes (name, address, port, connection_backend, created_at)
VALUES ('local', '127.0.0.1', 53042, 'grpcio', CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER));

CREATE TABLE backends (
    node_id BIGINT NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    backend_type TEXT NOT NULL,
    version TEXT,
    running BOOLEAN NOT NULL,
    PRIMARY KEY (node_id, name)
);

CREATE TABLE inbounds (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    node_id BIGINT NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
    tag TEXT NOT NULL,
    protocol TEXT NOT NULL,
    -- The node's own JSON text, kept to the letter.
    config TEXT NOT NULL,
    UNIQUE (node_id, tag)
);

CREATE TABLE inbounds_services (
    inbound_id BIGINT NOT NULL REFERENCES inbounds (id) ON DELETE CASCADE,
    service_id BIGINT NOT NULL REFERENCES services (id) ON DELETE CASCADE,
    PRIMARY KEY (inbound_id, service_id)
);
CREATE INDEX inbounds_services_service ON inbounds_services (service_id, inbound_id);

-- A host is always read whole: what is filtered by has a column, the rest is one document.
CREATE TABLE hosts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    inbound_id BIGINT REFERENCES inbounds (id) ON DELETE CASCADE,
    is_disabled BOOLEAN NOT NULL DEFAULT FALSE,
    universal BOOLEAN NOT NULL DEFAULT FALSE,
    weight BIGINT NOT NULL DEFAULT 1,
    spec TEXT NOT NULL
);
CREATE INDEX hosts_inbound ON hosts (inbound_id);

CREATE TABLE hosts_services (
    host_id BIGINT NOT NULL REFERENCES hosts (id) ON DELETE CASCADE,
    service_id BIGINT NOT NULL REFERENCES services (id) ON DELETE CASCADE,
    PRIMARY KEY (host_id, service_id)
);
CREATE INDEX hosts_services_service ON hosts_services (service_id, host_id);

CREATE TABLE host_chains (
    host_id BIGINT NOT NULL REFERENCES hosts (id) ON DELETE CASCADE,
    seq BIGINT NOT NULL,
    chained_host_id BIGINT NOT NULL REFERENCES hosts (id) ON DELETE CASCADE,
    PRIMARY KEY (host_id, seq)
);
CREATE INDEX host_chains_target ON host_chains (chained_host_id);

-- One row each: made once for the whole cluster, whoever starts first.
CREATE TABLE settings (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    subscription TEXT NOT NULL,
    telegram TEXT
);

CREATE TABLE jwt (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    secret_key TEXT NOT NULL
);

CREATE TABLE tls (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    key TEXT NOT NULL,
    certificate TEXT NOT NULL
);

-- Ticks with every changed key: users.key_change_seq and nodes.key_synced_seq are readings of it.
CREATE TABLE key_change (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    seq BIGINT NOT NULL
);
INSERT INTO key_change (id, seq) VALUES (1, 0);
