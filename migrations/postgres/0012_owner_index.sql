-- What an owner's statistics count is in the index of its users, so that no user has to be looked up. All of it is in other
-- indexes already: no row is rewritten more dearly for it.
DROP INDEX users_live_owner;
CREATE INDEX users_live_owner ON users (owner_id, id) INCLUDE (enabled, expire_date, expire_strategy) WHERE removed = FALSE;

-- A search among an owner's users reads the names that both this index and the one of trigrams have.
CREATE INDEX user_names_owner ON user_names (owner_id);

-- Counts read indexes alone on pages that were vacuumed since they changed, and must look at rows on all others. PostgreSQL
-- waits for a fifth of a table by default, which after a change of many users is minutes of dear counts.
ALTER TABLE users SET (autovacuum_vacuum_scale_factor = 0.02);
ALTER TABLE user_names SET (autovacuum_vacuum_scale_factor = 0.02);
