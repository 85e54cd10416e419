-- What keeps lists quick with a million users.

-- How many users each admin has and what they have used: counting a million rows takes longer than showing a page.
-- An owner's total is the sum of its rows. Writers only add rows, so that none waits for another; `prune` folds them.
CREATE TABLE owner_totals (
    -- 0: users without an owner.
    owner_id BIGINT NOT NULL,
    -- Users that are not removed.
    users BIGINT NOT NULL,
    -- Bytes, of removed users too. NUMERIC: a few thousand absurd users exceed a BIGINT.
    traffic NUMERIC NOT NULL
);
CREATE INDEX owner_totals_owner ON owner_totals (owner_id);

INSERT INTO owner_totals (owner_id, users, traffic)
SELECT COALESCE(u.owner_id, 0), COUNT(*) FILTER (WHERE u.removed = FALSE), COALESCE(SUM(t.lifetime_used_traffic), 0)
FROM users u LEFT JOIN user_traffic t ON t.user_id = u.id GROUP BY 1;

CREATE FUNCTION owner_totals_of_new_users() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO owner_totals (owner_id, users, traffic)
    SELECT COALESCE(owner_id, 0), COUNT(*), 0 FROM made WHERE removed = FALSE GROUP BY 1;
    RETURN NULL;
END $$;
CREATE TRIGGER owner_totals_new_users AFTER INSERT ON users
    REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION owner_totals_of_new_users();

-- Recordings of usage add to the totals themselves; this is for rows that are born with a past.
CREATE FUNCTION owner_totals_of_new_traffic() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO owner_totals (owner_id, users, traffic)
    SELECT COALESCE(u.owner_id, 0), 0, SUM(m.lifetime_used_traffic)
    FROM made m JOIN users u ON u.id = m.user_id WHERE m.lifetime_used_traffic <> 0 GROUP BY 1;
    RETURN NULL;
END $$;
CREATE TRIGGER owner_totals_new_traffic AFTER INSERT ON user_traffic
    REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION owner_totals_of_new_traffic();

CREATE FUNCTION owner_totals_of_changed_user() RETURNS TRIGGER LANGUAGE plpgsql AS $$
DECLARE
    lifetime BIGINT := 0;
BEGIN
    IF OLD.owner_id IS DISTINCT FROM NEW.owner_id THEN
        -- Locked: a recording under way has added to the old owner, and what it added must move too.
        SELECT COALESCE(SUM(t.lifetime_used_traffic), 0) INTO lifetime
        FROM (SELECT lifetime_used_traffic FROM user_traffic WHERE user_id = NEW.id FOR UPDATE) AS t;
    END IF;
    INSERT INTO owner_totals (owner_id, users, traffic)
    VALUES (COALESCE(OLD.owner_id, 0), CASE WHEN OLD.removed THEN 0 ELSE -1 END, -lifetime),
           (COALESCE(NEW.owner_id, 0), CASE WHEN NEW.removed THEN 0 ELSE 1 END, lifetime);
    RETURN NULL;
END $$;
CREATE TRIGGER owner_totals_changed_user AFTER UPDATE OF owner_id, removed ON users FOR EACH ROW
    WHEN (OLD.owner_id IS DISTINCT FROM NEW.owner_id OR OLD.removed <> NEW.removed)
    EXECUTE FUNCTION owner_totals_of_changed_user();

-- Parts of names are found by their trigrams, where the role may have the extension; else names are read one by one,
-- and the panel says so when it starts.
DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
    CREATE INDEX users_username_parts ON users USING gin (username gin_trgm_ops) WHERE removed = FALSE;
EXCEPTION
    WHEN insufficient_privilege OR undefined_file OR feature_not_supported OR undefined_object THEN NULL;
END $$;

-- A service shows all its users but these.
CREATE INDEX users_removed ON users (id) WHERE removed = TRUE;
