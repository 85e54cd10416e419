-- What keeps lists quick with a million users.

-- How many users each admin has and what they have used: counting a million rows takes longer than showing a page.
CREATE TABLE owner_totals (
    -- 0: users without an owner.
    owner_id INTEGER PRIMARY KEY,
    -- Users that are not removed.
    users BIGINT NOT NULL,
    -- Bytes, of removed users too.
    traffic BIGINT NOT NULL
);

INSERT INTO owner_totals (owner_id, users, traffic)
SELECT COALESCE(u.owner_id, 0), SUM(u.removed = FALSE), COALESCE(SUM(t.lifetime_used_traffic), 0)
FROM users u LEFT JOIN user_traffic t ON t.user_id = u.id GROUP BY 1;

CREATE TRIGGER owner_totals_new_user AFTER INSERT ON users WHEN NEW.removed = FALSE
BEGIN
    INSERT INTO owner_totals (owner_id, users, traffic) VALUES (COALESCE(NEW.owner_id, 0), 1, 0)
    ON CONFLICT (owner_id) DO UPDATE SET users = users + 1;
END;

-- Recordings of usage add to the totals themselves; this is for rows that are born with a past.
CREATE TRIGGER owner_totals_new_traffic AFTER INSERT ON user_traffic WHEN NEW.lifetime_used_traffic <> 0
BEGIN
    INSERT INTO owner_totals (owner_id, users, traffic)
    SELECT COALESCE(u.owner_id, 0), 0, NEW.lifetime_used_traffic FROM users u WHERE u.id = NEW.user_id
    ON CONFLICT (owner_id) DO UPDATE SET traffic = traffic + excluded.traffic;
END;

CREATE TRIGGER owner_totals_changed_user AFTER UPDATE OF owner_id, removed ON users
WHEN OLD.owner_id IS NOT NEW.owner_id OR OLD.removed <> NEW.removed
BEGIN
    INSERT INTO owner_totals (owner_id, users, traffic)
    VALUES (COALESCE(OLD.owner_id, 0), OLD.removed - 1,
            -COALESCE((SELECT lifetime_used_traffic FROM user_traffic WHERE user_id = OLD.id), 0))
    ON CONFLICT (owner_id) DO UPDATE SET users = users + excluded.users, traffic = traffic + excluded.traffic;
    INSERT INTO owner_totals (owner_id, users, traffic)
    VALUES (COALESCE(NEW.owner_id, 0), 1 - NEW.removed,
            COALESCE((SELECT lifetime_used_traffic FROM user_traffic WHERE user_id = NEW.id), 0))
    ON CONFLICT (owner_id) DO UPDATE SET users = users + excluded.users, traffic = traffic + excluded.traffic;
END;

-- Parts of names are found by their trigrams. Removed users have no name, and are not in here.
CREATE VIRTUAL TABLE users_fts USING fts5 (username, content = 'users', content_rowid = 'id', tokenize = 'trigram');
INSERT INTO users_fts (users_fts) VALUES ('rebuild');

CREATE TRIGGER users_fts_new AFTER INSERT ON users WHEN NEW.username IS NOT NULL
BEGIN
    INSERT INTO users_fts (rowid, username) VALUES (NEW.id, NEW.username);
END;

CREATE TRIGGER users_fts_renamed AFTER UPDATE OF username ON users WHEN OLD.username IS NOT NEW.username
BEGIN
    INSERT INTO users_fts (users_fts, rowid, username) SELECT 'delete', OLD.id, OLD.username WHERE OLD.username IS NOT NULL;
    INSERT INTO users_fts (rowid, username) SELECT NEW.id, NEW.username WHERE NEW.username IS NOT NULL;
END;

CREATE TRIGGER users_fts_gone AFTER DELETE ON users WHEN OLD.username IS NOT NULL
BEGIN
    INSERT INTO users_fts (users_fts, rowid, username) VALUES ('delete', OLD.id, OLD.username);
END;

-- A service shows all its users but these.
CREATE INDEX users_removed ON users (id) WHERE removed = TRUE;
