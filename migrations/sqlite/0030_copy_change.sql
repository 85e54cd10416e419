-- The log of what copies of users and of the rest of subscriptions must read again. Filled by triggers, so that changes of an older
-- version next to this one are in it, too. New tables and triggers: no row of another table is read or written, at any size. `prune`
-- deletes rows after two days; an older version that leads deletes none meanwhile.

-- The database, for copies: another one begins with another id.
CREATE TABLE copy_source (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    identity BLOB NOT NULL
);
INSERT INTO copy_source (id, identity) VALUES (1, randomblob(16));

-- In the order of commits, because there is one writer at a time.
CREATE TABLE copy_change (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- NULL: what subscriptions have besides their users.
    user_id BIGINT,
    changed_at BIGINT NOT NULL
);

CREATE TRIGGER copy_change_new_user AFTER INSERT ON users
BEGIN INSERT INTO copy_change (user_id, changed_at) VALUES (NEW.id, unixepoch() * 1000000); END;

CREATE TRIGGER copy_change_changed_user AFTER UPDATE ON users
BEGIN INSERT INTO copy_change (user_id, changed_at) VALUES (NEW.id, unixepoch() * 1000000); END;

CREATE TRIGGER copy_change_deleted_user AFTER DELETE ON users
BEGIN INSERT INTO copy_change (user_id, changed_at) VALUES (OLD.id, unixepoch() * 1000000); END;

CREATE TRIGGER copy_change_new_users_service AFTER INSERT ON users_services
BEGIN INSERT INTO copy_change (user_id, changed_at) VALUES (NEW.user_id, unixepoch() * 1000000); END;

CREATE TRIGGER copy_change_deleted_users_service AFTER DELETE ON users_services
BEGIN INSERT INTO copy_change (user_id, changed_at) VALUES (OLD.user_id, unixepoch() * 1000000); END;

-- A recording of usage rewrites most rows of user_traffic: only a user whose limit is reached, or not any more, is logged.
CREATE TRIGGER copy_change_traffic AFTER UPDATE OF data_limit, used_traffic, data_limit_reset_strategy, traffic_reset_at ON user_traffic WHEN OLD.data_limit_reached <> NEW.data_limit_reached
     OR OLD.traffic_reset_at IS NOT NEW.traffic_reset_at OR OLD.data_limit IS NOT NEW.data_limit
     OR OLD.data_limit_reset_strategy <> NEW.data_limit_reset_strategy
BEGIN INSERT INTO copy_change (user_id, changed_at) VALUES (NEW.user_id, unixepoch() * 1000000); END;

CREATE TRIGGER copy_change_new_hosts AFTER INSERT ON hosts
BEGIN INSERT INTO copy_change (user_id, changed_at) VALUES (NULL, unixepoch() * 1000000); END;

CREATE TRIGGER copy_change_changed_hosts AFTER UPDATE ON hosts
BEGIN INSERT INTO copy_change (user_id, changed_at) VALUES (NULL, unixepoch() * 1000000); END;

CREATE TRIGGER copy_change_deleted_hosts AFTER DELETE ON hosts
BEGIN INSERT INTO copy_change (user_id, changed_at) VALUES (NULL, unixepoch() * 1000000); END;

CREATE TRIGGER copy_change_new_hosts_services AFTER INSERT ON hosts_services
BEGIN INSERT INTO copy_change (user_id, changed_at) VALUES (NULL, unixepoch() * 1000000); END;

CREATE TRIGGER copy_change_changed_hosts_services AFTER UPDATE ON hosts_services
BEGIN INSERT INTO copy_change (user_id, changed_at) VALUES (NULL, unixepoch() * 1000000); END;

CREATE TRIGGER copy_change_deleted_hosts_services AFTER DELETE ON hosts_services
BEGIN INSERT INTO copy_change (user_id, changed_at) VALUES (NULL, unixepoch() * 1000000); END;

CREATE TRIGGER copy_change_new_host_chains AFTER INSERT ON host_chains
BEGIN INSERT INTO copy_change (user_id, changed_at) VALUES (NULL, unixepoch() * 1000000); END;

CREATE TRIGGER copy_change_changed_host_chains AFTER UPDATE ON host_chains
BEGIN INSERT INTO copy_change (user_id, changed_at) VALUES (NULL, unixepoch() * 1000000); END;

CREATE TRIGGER copy_change_deleted_host_chains AFTER DELETE ON host_chains
BEGIN INSERT INTO copy_change (user_id, changed_at) VALUES (NULL, unixepoch() * 1000000); END;

CREATE TRIGGER copy_change_new_inbounds_services AFTER INSERT ON inbounds_services
BEGIN INSERT INTO copy_change (user_id, changed_at) VALUES (NULL, unixepoch() * 1000000); END;

CREATE TRIGGER copy_change_changed_inbounds_services AFTER UPDATE ON inbounds_services
BEGIN INSERT INTO copy_change (user_id, changed_at) VALUES (NULL, unixepoch() * 1000000); END;

CREATE TRIGGER copy_change_deleted_inbounds_services AFTER DELETE ON inbounds_services
BEGIN INSERT INTO copy_change (user_id, changed_at) VALUES (NULL, unixepoch() * 1000000); END;

CREATE TRIGGER copy_change_new_panel_address AFTER INSERT ON panel_address
BEGIN INSERT INTO copy_change (user_id, changed_at) VALUES (NULL, unixepoch() * 1000000); END;

CREATE TRIGGER copy_change_changed_panel_address AFTER UPDATE ON panel_address
BEGIN INSERT INTO copy_change (user_id, changed_at) VALUES (NULL, unixepoch() * 1000000); END;

CREATE TRIGGER copy_change_deleted_panel_address AFTER DELETE ON panel_address
BEGIN INSERT INTO copy_change (user_id, changed_at) VALUES (NULL, unixepoch() * 1000000); END;

CREATE TRIGGER copy_change_new_settings AFTER INSERT ON settings
BEGIN INSERT INTO copy_change (user_id, changed_at) VALUES (NULL, unixepoch() * 1000000); END;

CREATE TRIGGER copy_change_changed_settings AFTER UPDATE OF subscription ON settings WHEN OLD.subscription <> NEW.subscription
BEGIN INSERT INTO copy_change (user_id, changed_at) VALUES (NULL, unixepoch() * 1000000); END;

CREATE TRIGGER copy_change_deleted_settings AFTER DELETE ON settings
BEGIN INSERT INTO copy_change (user_id, changed_at) VALUES (NULL, unixepoch() * 1000000); END;

CREATE TRIGGER copy_change_new_admin AFTER INSERT ON admins
BEGIN INSERT INTO copy_change (user_id, changed_at) VALUES (NULL, unixepoch() * 1000000); END;

CREATE TRIGGER copy_change_changed_admin AFTER UPDATE OF username, subscription_url_prefix ON admins WHEN OLD.username <> NEW.username OR OLD.subscription_url_prefix <> NEW.subscription_url_prefix
BEGIN INSERT INTO copy_change (user_id, changed_at) VALUES (NULL, unixepoch() * 1000000); END;

CREATE TRIGGER copy_change_deleted_admin AFTER DELETE ON admins
BEGIN INSERT INTO copy_change (user_id, changed_at) VALUES (NULL, unixepoch() * 1000000); END;

-- Nodes report their inbounds and status again and again, mostly without a change.
CREATE TRIGGER copy_change_new_inbound AFTER INSERT ON inbounds
BEGIN INSERT INTO copy_change (user_id, changed_at) VALUES (NULL, unixepoch() * 1000000); END;

CREATE TRIGGER copy_change_changed_inbound AFTER UPDATE ON inbounds WHEN OLD.node_id <> NEW.node_id OR OLD.tag <> NEW.tag OR OLD.protocol <> NEW.protocol OR OLD.config <> NEW.config
     OR OLD.absent_since IS NOT NEW.absent_since
BEGIN INSERT INTO copy_change (user_id, changed_at) VALUES (NULL, unixepoch() * 1000000); END;

CREATE TRIGGER copy_change_deleted_inbound AFTER DELETE ON inbounds
BEGIN INSERT INTO copy_change (user_id, changed_at) VALUES (NULL, unixepoch() * 1000000); END;

CREATE TRIGGER copy_change_new_node AFTER INSERT ON nodes
BEGIN INSERT INTO copy_change (user_id, changed_at) VALUES (NULL, unixepoch() * 1000000); END;

CREATE TRIGGER copy_change_changed_node AFTER UPDATE OF address, deleted_at ON nodes WHEN OLD.address <> NEW.address OR OLD.deleted_at IS NOT NEW.deleted_at
BEGIN INSERT INTO copy_change (user_id, changed_at) VALUES (NULL, unixepoch() * 1000000); END;

CREATE TRIGGER copy_change_deleted_node AFTER DELETE ON nodes
BEGIN INSERT INTO copy_change (user_id, changed_at) VALUES (NULL, unixepoch() * 1000000); END;
