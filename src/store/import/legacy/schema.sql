-- The tables of a Marzneshin database at its last revision: what its programs read and write, by name, type and rule.
CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
CREATE TABLE admins (
    id INTEGER NOT NULL PRIMARY KEY,
    username VARCHAR(32),
    hashed_password VARCHAR(128),
    created_at DATETIME,
    is_sudo BOOLEAN,
    password_reset_at DATETIME,
    all_services_access BOOLEAN NOT NULL DEFAULT (0),
    modify_users_access BOOLEAN NOT NULL DEFAULT (1),
    enabled BOOLEAN NOT NULL DEFAULT (1),
    subscription_url_prefix VARCHAR(256) NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX ix_admins_username ON admins (username);
CREATE TABLE services (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(64));
CREATE TABLE admins_services (
    admin_id INTEGER NOT NULL REFERENCES admins (id),
    service_id INTEGER NOT NULL REFERENCES services (id),
    PRIMARY KEY (admin_id, service_id)
);
CREATE TABLE users (
    id INTEGER NOT NULL PRIMARY KEY,
    username VARCHAR(32),
    "key" VARCHAR(64) UNIQUE,
    used_traffic BIGINT,
    data_limit BIGINT,
    data_limit_reset_strategy VARCHAR(8) NOT NULL,
    ip_limit INTEGER NOT NULL DEFAULT -1,
    settings VARCHAR(1024),
    admin_id INTEGER REFERENCES admins (id),
    sub_updated_at DATETIME,
    sub_last_user_agent VARCHAR(512),
    created_at DATETIME,
    note VARCHAR(500),
    online_at DATETIME,
    edit_at DATETIME,
    enabled BOOLEAN NOT NULL DEFAULT 1,
    lifetime_used_traffic BIGINT NOT NULL DEFAULT '0',
    traffic_reset_at DATETIME DEFAULT (NULL),
    activated BOOLEAN NOT NULL DEFAULT 1,
    expire_strategy VARCHAR(18) NOT NULL DEFAULT 'NEVER',
    activation_deadline DATETIME,
    expire_date DATETIME,
    usage_duration INTEGER,
    removed BOOLEAN NOT NULL DEFAULT (0),
    sub_revoked_at DATETIME
);
CREATE UNIQUE INDEX ix_users_username ON users (username);
CREATE TABLE users_services (
    user_id INTEGER NOT NULL REFERENCES users (id),
    service_id INTEGER NOT NULL REFERENCES services (id),
    PRIMARY KEY (user_id, service_id)
);
CREATE TABLE nodes (
    id INTEGER NOT NULL PRIMARY KEY,
    name VARCHAR(256) UNIQUE,
    address VARCHAR(256),
    port INTEGER,
    connection_backend VARCHAR(32),
    xray_version VARCHAR(32),
    status VARCHAR(9) NOT NULL,
    last_status_change DATETIME,
    message VARCHAR(1024),
    created_at DATETIME,
    uplink BIGINT DEFAULT 0,
    downlink BIGINT DEFAULT 0,
    usage_coefficient FLOAT NOT NULL DEFAULT (1.0),
    UNIQUE (address, port)
);
CREATE TABLE backends (
    id INTEGER NOT NULL PRIMARY KEY,
    name VARCHAR(64) NOT NULL,
    node_id INTEGER REFERENCES nodes (id),
    backend_type VARCHAR(32) NOT NULL,
    version VARCHAR(32),
    running BOOLEAN NOT NULL
);
CREATE INDEX ix_backends_node_id ON backends (node_id);
CREATE TABLE inbounds (
    id INTEGER NOT NULL PRIMARY KEY,
    protocol VARCHAR(11),
    tag VARCHAR(256) NOT NULL,
    config VARCHAR(512) NOT NULL,
    node_id INTEGER REFERENCES nodes (id),
    UNIQUE (node_id, tag)
);
CREATE INDEX ix_inbounds_node_id ON inbounds (node_id);
CREATE TABLE inbounds_services (
    inbound_id INTEGER NOT NULL REFERENCES inbounds (id),
    service_id INTEGER NOT NULL REFERENCES services (id),
    PRIMARY KEY (inbound_id, service_id)
);
CREATE TABLE hosts (
    id INTEGER NOT NULL PRIMARY KEY,
    remark VARCHAR(256) NOT NULL,
    address VARCHAR(256) NOT NULL,
    port INTEGER,
    path VARCHAR(256),
    sni VARCHAR(1024),
    host VARCHAR(1024),
    security VARCHAR(15) NOT NULL,
    alpn VARCHAR(11) NOT NULL DEFAULT 'none',
    fingerprint VARCHAR(10) NOT NULL DEFAULT 'none',
    allowinsecure BOOLEAN,
    is_disabled BOOLEAN,
    fragment JSON,
    weight INTEGER NOT NULL DEFAULT '1',
    udp_noises JSON,
    http_headers JSON,
    dns_servers VARCHAR(128),
    mtu INTEGER,
    allowed_ips TEXT,
    host_protocol VARCHAR(32),
    host_network VARCHAR(32),
    uuid VARCHAR(36),
    password VARCHAR(128),
    header_type VARCHAR(32),
    reality_public_key VARCHAR(128),
    reality_short_ids JSON,
    flow VARCHAR(32),
    shadowtls_version INTEGER,
    shadowsocks_method VARCHAR(32),
    splithttp_settings JSON,
    mux_settings JSON,
    early_data INTEGER,
    universal BOOLEAN NOT NULL DEFAULT 0,
    inbound_id INTEGER
);
CREATE TABLE hosts_services (
    host_id INTEGER NOT NULL REFERENCES hosts (id),
    service_id INTEGER NOT NULL REFERENCES services (id),
    PRIMARY KEY (host_id, service_id)
);
CREATE TABLE host_chains (
    host_id INTEGER NOT NULL REFERENCES hosts (id),
    chained_host_id INTEGER REFERENCES hosts (id),
    seq INTEGER NOT NULL,
    PRIMARY KEY (host_id, seq)
);
CREATE TABLE settings (id INTEGER NOT NULL PRIMARY KEY, subscription JSON NOT NULL, telegram JSON);
CREATE TABLE jwt (id INTEGER NOT NULL PRIMARY KEY, secret_key VARCHAR(64) NOT NULL);
CREATE TABLE tls (
    id INTEGER NOT NULL PRIMARY KEY,
    "key" VARCHAR(4096) NOT NULL,
    certificate VARCHAR(2048) NOT NULL
);
CREATE TABLE system (id INTEGER NOT NULL PRIMARY KEY, uplink BIGINT, downlink BIGINT);
INSERT INTO system (id, uplink, downlink) VALUES (1, 0, 0);
CREATE TABLE node_usages (
    id INTEGER NOT NULL PRIMARY KEY,
    created_at DATETIME NOT NULL,
    node_id INTEGER REFERENCES nodes (id),
    uplink BIGINT,
    downlink BIGINT,
    UNIQUE (created_at, node_id)
);
CREATE TABLE node_user_usages (
    id INTEGER NOT NULL PRIMARY KEY,
    created_at DATETIME NOT NULL,
    user_id INTEGER REFERENCES users (id),
    node_id INTEGER REFERENCES nodes (id),
    used_traffic BIGINT,
    UNIQUE (created_at, user_id, node_id)
);
