-- A small panel in good order: two admins, a node with an inbound, four users in all their states, two hours of traffic.
INSERT INTO admins (id, username, hashed_password, created_at, is_sudo, all_services_access, modify_users_access,
        password_reset_at, subscription_url_prefix) VALUES
    (3, 'Root', '$2b$12$TIlIVuIhTZKAxIVUuVxEzuPbGxz3YMpxQZg8nAF1FLnvBqEAFVtEe', '2024-02-03 04:05:06.000007', TRUE, FALSE, TRUE,
     NULL, ''),
    (9, 'mina', '$2b$12$TIlIVuIhTZKAxIVUuVxEzuPbGxz3YMpxQZg8nAF1FLnvBqEAFVtEe', NULL, FALSE, TRUE, FALSE,
     '2025-01-01 10:00:00.500000', 'https://*.mina.example.org');
INSERT INTO services (id, name) VALUES (2, 'gold'), (5, NULL);
INSERT INTO admins_services (admin_id, service_id) VALUES (9, 2);

INSERT INTO users (id, username, "key", used_traffic, data_limit, data_limit_reset_strategy, admin_id, sub_updated_at,
    sub_last_user_agent, created_at, note, online_at, lifetime_used_traffic, activated, expire_strategy,
    activation_deadline, expire_date, usage_duration, removed) VALUES
    (10, 'dated', '1f0c8a3b5d7e9f2a4c6e8b0d1f3a5c7e', 700, 1000, 'month', 9, '2025-05-05 05:05:05.000000', 'v2rayNG/1.8.5',
     '2024-05-01 12:00:00.250000', 'pays in cash', '2025-05-05 05:00:00.000000', 9000, TRUE, 'FIXED_DATE', NULL,
     '2031-01-01 00:00:00.000000', 86400, FALSE),
    (11, 'waits', '2f0c8a3b5d7e9f2a4c6e8b0d1f3a5c7e', 0, NULL, 'no_reset', 3, NULL, NULL, '2024-05-02 00:00:00.000000',
     NULL, NULL, 0, TRUE, 'START_ON_FIRST_USE', '2030-01-01 00:00:00.000000', NULL, 2592000, FALSE),
    (12, NULL, '3f0c8a3b5d7e9f2a4c6e8b0d1f3a5c7e', 50, NULL, 'no_reset', 9, NULL, NULL, '2024-05-03 00:00:00.000000',
     NULL, NULL, 50, FALSE, 'NEVER', NULL, NULL, NULL, TRUE),
    (40, 'free', '4f0c8a3b5d7e9f2a4c6e8b0d1f3a5c7e', 8, NULL, 'no_reset', NULL, NULL, NULL, '2024-05-04 00:00:00.000000',
     NULL, NULL, 8, TRUE, 'NEVER', NULL, NULL, NULL, FALSE);
INSERT INTO users_services (user_id, service_id) VALUES (10, 2), (11, 2), (12, 5);

INSERT INTO nodes (id, name, address, port, connection_backend, status, created_at, usage_coefficient) VALUES
    (4, 'fin', 'fin.example.org', 62050, 'grpclib', 'healthy', NULL, 1.5);
INSERT INTO backends (id, name, node_id, backend_type, version, running) VALUES (8, 'xray', 4, 'xray', '25.1.1', TRUE);
INSERT INTO inbounds (id, protocol, tag, config, node_id) VALUES
    (6, 'VLESS', 'main', '{"tag": "main", "protocol": "vless", "port": 8443, "network": "ws", "tls": "tls", "sni": ["fin.example.org"], "host": [], "path": "/ws", "header_type": null, "flow": null}', 4);
INSERT INTO inbounds_services (inbound_id, service_id) VALUES (6, 2);
INSERT INTO hosts (id, remark, address, port, security, alpn, fingerprint, allowinsecure, is_disabled, fragment, weight,
    udp_noises, http_headers, host_protocol, host_network, password, mux_settings, universal, inbound_id) VALUES
    (14, 'Fin {USERNAME}', 'cdn.example.org', 443, 'tls', 'h2,http/1.1', 'chrome', TRUE, FALSE,
     '{"packets": "tlshello", "length": "10-20", "interval": "5"}', 3, '[{"type": "rand", "packet": "8-16", "delay": "1-2"}]',
     '{"X-Way": "7"}', NULL, NULL, NULL, '{"protocol": "h2mux"}', FALSE, 6),
    (15, 'For all', '192.0.2.9', 993, 'inbound_default', 'none', 'none', NULL, FALSE, 'null', 1, 'null', '{}', 'trojan', 'tcp',
     'open sesame', 'null', TRUE, NULL);
INSERT INTO hosts_services (host_id, service_id) VALUES (15, 5);
INSERT INTO host_chains (host_id, chained_host_id, seq) VALUES (14, 15, 0);

INSERT INTO settings (id, subscription, telegram) VALUES (1, '{"template_on_acceptance": false, "profile_title": "Fin", "support_link": "https://help.example.org", "update_interval": 6, "rules": [{"pattern": "^Hiddify", "result": "sing-box"}, {"pattern": ".*", "result": "base64-links"}]}', 'null');
INSERT INTO jwt (id, secret_key) VALUES (1, 'c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00');
INSERT INTO tls (id, "key", certificate) VALUES (1, '-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgYbaVbDk+lz7+kqtN
HmCVqzqlbtJ30694DxVHjRW/HSyhRANCAAR+DmhMiAg6ud1X8dqcImPyrDBWDuKX
71IFE2zAMr2Oo11+imaEcEw7s/0g9e9y73utl8Q34kLf2Ezigfr1pQ0h
-----END PRIVATE KEY-----', '-----BEGIN CERTIFICATE-----
MIIBVDCB+6ADAgECAhQ3QLEYJZcwE9Q9nPjDUoRs4yGJwjAKBggqhkjOPQQDAjAA
MB4XDTI2MTEyOTExMTUyNVoXDTM2MTEyNjExMTUyNVowADBZMBMGByqGSM49AgEG
CCqGSM49AwEHA0IABH4OaEyICDq53Vfx2pwiY/KsMFYO4pfvUgUTbMAyvY6jXX6K
ZoRwTDuz/SD173Lve62XxDfiQt/YTOKB+vWlDSGjUzBRMB0GA1UdDgQWBBQuP+BT
Yukcx2sjGKA9jjQ+JOEM0TAfBgNVHSMEGDAWgBQuP+BTYukcx2sjGKA9jjQ+JOEM
0TAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIQDUtKYw87hTT4vE
BS9RHbQl0HpMhox4ogWwG34G2xbH4QIgL899WMy1gzwyZHz0hj79lEFbalH88zvV
ILsEQWrT4R4=
-----END CERTIFICATE-----');
INSERT INTO "system" (id, uplink, downlink) VALUES (1, 0, 0);
INSERT INTO node_usages (id, created_at, node_id, uplink, downlink) VALUES
    (1, '2025-05-05 04:00:00.000000', 4, 1, 400), (2, '2025-05-05 05:00:00.000000', 4, 0, 60);
INSERT INTO node_user_usages (id, created_at, user_id, node_id, used_traffic) VALUES
    (1, '2025-05-05 04:00:00.000000', 10, 4, 600), (2, '2025-05-05 05:00:00.000000', 10, 4, 90),
    (3, '2025-05-05 05:00:00.000000', 40, 4, 8);
