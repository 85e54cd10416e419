-- The tables of Marzneshin's database at its last revision, as far as an importer meets them: names, types, what is
-- unique and what may be empty. References are left out, because rows whose counterparts are gone do occur.
CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY);
INSERT INTO alembic_version VALUES ('57eba0a293f2');

CREATE TABLE admins (
    id INTEGER PRIMARY KEY, username VARCHAR(32) UNIQUE, hashed_password VARCHAR(128), created_at TIMESTAMP,
    is_sudo BOOLEAN, password_reset_at TIMESTAMP, all_services_access BOOLEAN DEFAULT FALSE NOT NULL,
    modify_users_access BOOLEAN DEFAULT TRUE NOT NULL, enabled BOOLEAN DEFAULT TRUE NOT NULL,
    subscription_url_prefix VARCHAR(256) DEFAULT '' NOT NULL
);
CREATE TABLE services (id INTEGER PRIMARY KEY, name VARCHAR(64));
CREATE TABLE admins_services (admin_id INTEGER, service_id INTEGER, PRIMARY KEY (admin_id, service_id));

CREATE TABLE users (
    id INTEGER PRIMARY KEY, username VARCHAR(32) UNIQUE, "key" VARCHAR(64) UNIQUE, used_traffic BIGINT,
    data_limit BIGINT, data_limit_reset_strategy VARCHAR(8) DEFAULT 'no_reset' NOT NULL,
    ip_limit INTEGER DEFAULT -1 NOT NULL, settings VARCHAR(1024), admin_id INTEGER, sub_updated_at TIMESTAMP,
    sub_last_user_agent VARCHAR(512), created_at TIMESTAMP, note VARCHAR(500), online_at TIMESTAMP, edit_at TIMESTAMP,
    enabled BOOLEAN DEFAULT TRUE NOT NULL, lifetime_used_traffic BIGINT DEFAULT 0 NOT NULL, traffic_reset_at TIMESTAMP,
    activated BOOLEAN DEFAULT TRUE NOT NULL, expire_strategy VARCHAR(18) DEFAULT 'NEVER' NOT NULL,
    activation_deadline TIMESTAMP, expire_date TIMESTAMP, usage_duration BIGINT, removed BOOLEAN DEFAULT FALSE NOT NULL,
    sub_revoked_at TIMESTAMP
);
CREATE TABLE users_services (user_id INTEGER, service_id INTEGER, PRIMARY KEY (user_id, service_id));

CREATE TABLE nodes (
    id INTEGER PRIMARY KEY, name VARCHAR(256) UNIQUE, address VARCHAR(256), port INTEGER,
    connection_backend VARCHAR(32), xray_version VARCHAR(32), status VARCHAR(9) NOT NULL, last_status_change TIMESTAMP,
    message VARCHAR(1024), created_at TIMESTAMP, uplink BIGINT, downlink BIGINT,
    usage_coefficient FLOAT DEFAULT 1.0 NOT NULL, UNIQUE (address, port)
);
CREATE TABLE backends (
    id INTEGER PRIMARY KEY, name VARCHAR(64) NOT NULL, node_id INTEGER, backend_type VARCHAR(32) NOT NULL,
    version VARCHAR(32), running BOOLEAN NOT NULL
);
CREATE TABLE inbounds (
    id INTEGER PRIMARY KEY, protocol VARCHAR(11), tag VARCHAR(256) NOT NULL, config VARCHAR(512) NOT NULL,
    node_id INTEGER, UNIQUE (node_id, tag)
);
CREATE TABLE inbounds_services (inbound_id INTEGER, service_id INTEGER, PRIMARY KEY (inbound_id, service_id));
CREATE TABLE hosts (
    id INTEGER PRIMARY KEY, remark VARCHAR(256) NOT NULL, address VARCHAR(256) NOT NULL, port INTEGER,
    path VARCHAR(256), sni VARCHAR(1024), host VARCHAR(1024), security VARCHAR(15) DEFAULT 'inbound_default' NOT NULL,
    alpn VARCHAR(14) DEFAULT 'none' NOT NULL, fingerprint VARCHAR(10) DEFAULT 'none' NOT NULL, allowinsecure BOOLEAN,
    is_disabled BOOLEAN, fragment JSON, weight INTEGER DEFAULT 1 NOT NULL, udp_noises JSON, http_headers JSON,
    dns_servers VARCHAR(128), mtu INTEGER, allowed_ips TEXT, host_protocol VARCHAR(32), host_network VARCHAR(32),
    uuid VARCHAR(36), password VARCHAR(128), header_type VARCHAR(32), reality_public_key VARCHAR(128),
    reality_short_ids JSON, flow VARCHAR(32), shadowtls_version INTEGER, shadowsocks_method VARCHAR(32),
    splithttp_settings JSON, mux_settings JSON, early_data INTEGER, universal BOOLEAN DEFAULT FALSE NOT NULL,
    inbound_id INTEGER
);
CREATE TABLE hosts_services (host_id INTEGER, service_id INTEGER, PRIMARY KEY (host_id, service_id));
CREATE TABLE host_chains (host_id INTEGER, chained_host_id INTEGER, seq INTEGER, PRIMARY KEY (host_id, seq));

CREATE TABLE settings (id INTEGER PRIMARY KEY, subscription JSON NOT NULL, telegram JSON);
CREATE TABLE jwt (id INTEGER PRIMARY KEY, secret_key VARCHAR(64) NOT NULL);
CREATE TABLE tls (id INTEGER PRIMARY KEY, "key" VARCHAR(4096) NOT NULL, certificate VARCHAR(2048) NOT NULL);
CREATE TABLE "system" (id INTEGER PRIMARY KEY, uplink BIGINT, downlink BIGINT);
CREATE TABLE node_usages (
    id INTEGER PRIMARY KEY, created_at TIMESTAMP NOT NULL, node_id INTEGER, uplink BIGINT, downlink BIGINT,
    UNIQUE (created_at, node_id)
);
CREATE TABLE node_user_usages (
    id INTEGER PRIMARY KEY, created_at TIMESTAMP NOT NULL, user_id INTEGER, node_id INTEGER, used_traffic BIGINT,
    UNIQUE (created_at, user_id, node_id)
);
