-- How often a node has become unhealthy, how often its engines were restarted because it refused its users, and the number
-- of users in the last full list that it confirmed. Columns with a constant default or none rewrite no row: the table is
-- locked for a moment, however large it is.
ALTER TABLE nodes ADD COLUMN failures BIGINT NOT NULL DEFAULT 0;
ALTER TABLE nodes ADD COLUMN healings BIGINT NOT NULL DEFAULT 0;
ALTER TABLE nodes ADD COLUMN synced_users BIGINT;
