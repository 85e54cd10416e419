-- What is found in databases that were in use for years, and then some. Only SQLite keeps all of it.
INSERT INTO admins (id, username, hashed_password, is_sudo, created_at) VALUES (20, NULL, 'x', NULL, NULL), (21, 'bare', NULL, NULL, 'long ago');
INSERT INTO admins_services (admin_id, service_id) VALUES (9, 77);
INSERT INTO users (id, username, "key", used_traffic, lifetime_used_traffic, data_limit, data_limit_reset_strategy, admin_id,
    created_at, expire_strategy, expire_date, enabled, removed, note) VALUES
    (50, 'keyless', NULL, NULL, 0, 0, 'no_reset', 77, NULL, 'NEVER', NULL, TRUE, FALSE, NULL),
    (51, NULL, '51', -5, 9223372036854775807, -1, 'fortnight', 20, '2024-01-01', 'FIXED_DATE', NULL, TRUE, FALSE, NULL),
    (52, 'absurd', '52', 1e30, 'many', 9223372036854775807, 'YEAR', 9, '2024-01-01', 'SOMEDAY', '9999-99-99', 'perhaps', FALSE, 'a' || CHAR(0) || 'b'),
    (53, 'bytes', '53', 0, 0, NULL, 'no_reset', 9, '2024-01-01', 'START_ON_FIRST_USE', NULL, TRUE, FALSE, CAST(x'61ff62' AS TEXT)),
    (54, 'ghost', '54', 0, 0, NULL, 'no_reset', 9, '2024-01-01', 'NEVER', NULL, TRUE, TRUE, NULL);
INSERT INTO users_services (user_id, service_id) VALUES (50, 77), (777, 2);
INSERT INTO nodes (id, name, address, port, connection_backend, status, usage_coefficient) VALUES
    (30, NULL, NULL, NULL, NULL, 'resting', -2), (31, NULL, NULL, NULL, 'carrier pigeon', 'disabled', 'NaN'),
    (32, 'brackets', '[2001:db8::1]', 53042, 'grpclib', 'unhealthy', 1), (33, 'same', ' 2001:DB8::1 ', 53042, 'grpclib', 'unhealthy', 1),
    (34, 'url', 'https://n.example', 70000, 'grpclib', 'unhealthy', 1);
INSERT INTO backends (id, name, node_id, backend_type, running) VALUES (81, 'xray', 4, 'xray', TRUE), (82, 'xray', NULL, 'xray', TRUE), (83, 'xray', 77, 'xray', TRUE);
INSERT INTO inbounds (id, protocol, tag, config, node_id) VALUES (60, 'VMess', 'lost', '{}', 77), (61, NULL, 'mute', 'no JSON', 30), (62, 'Pigeon', 'odd', '[]', 30);
INSERT INTO inbounds_services (inbound_id, service_id) VALUES (60, 2), (61, 2), (62, 2);
INSERT INTO hosts (id, remark, address, port, security, alpn, fingerprint, fragment, udp_noises, http_headers, weight, mux_settings, inbound_id) VALUES
    (90, 'lost', 'a', NULL, 'tls', 'none', 'none', NULL, NULL, NULL, 1, NULL, 60),
    (91, '{', '', 99999999, 'maybe', 'h9', 'lynx', '{"packets": 1}', '{', '{"X-Number": 5}', 'heavy', '[]', 61);
INSERT INTO hosts_services (host_id, service_id) VALUES (90, 2), (91, 77);
INSERT INTO host_chains (host_id, chained_host_id, seq) VALUES (91, 90, 0), (91, 91, 1), (91, NULL, 2);
INSERT INTO settings (id, subscription, telegram) VALUES (2, 'null', '[]');
INSERT INTO jwt (id, secret_key) VALUES (2, 'another');
INSERT INTO node_usages (id, created_at, node_id, uplink, downlink) VALUES
    (30, '2025-05-05 05:00:00.000000', NULL, 1, 2), (31, '2025-05-05 05:00:00.000000', 77, NULL, 40),
    (32, 'noon', 4, 1, 1), (33, '2025-05-05 06:00:00.000000', 4, -1, 9223372036854775807);
INSERT INTO node_user_usages (id, created_at, user_id, node_id, used_traffic) VALUES
    (30, '2025-05-05 05:59:59.000000', 10, 4, 5), (31, '2025-05-05 05:00:00.000000', 10, NULL, 70),
    (32, '2025-05-05 05:30:00.000000', 10, 77, 7), (33, '2025-05-05 05:00:00.000000', NULL, 4, 3),
    (34, 'noon', 10, 4, 1), (35, '2025-05-05 06:00:00.000000', 40, 4, 9223372036854775807), (36, '2025-05-05 07:00:00.000000', 40, 4, NULL);
