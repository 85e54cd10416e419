-- The names of users apart, with what searches are narrowed by. Whoever searches for a text that many names have looks at
-- each of these rows: a name in `users` is on a page with few others, and each change of a user wrote to the index of
-- trigrams, though names never change. SQLite's index of trigrams is a table apart anyway.
--
-- Nobody reads or writes users meanwhile: some seconds for a million.

-- Kept by triggers: only users that are not removed, for the others have no name.
CREATE TABLE user_names (
    id BIGINT PRIMARY KEY,
    username TEXT COLLATE "C" NOT NULL,
    owner_id BIGINT
);

INSERT INTO user_names (id, username, owner_id)
SELECT id, username, owner_id FROM users WHERE username IS NOT NULL ORDER BY id;
-- Now: earlier, each of the rows would have been looked up in users, and written to there.
ALTER TABLE user_names ADD FOREIGN KEY (id) REFERENCES users (id) ON DELETE CASCADE;

CREATE FUNCTION user_names_of_new_users() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO user_names (id, username, owner_id)
    SELECT id, username, owner_id FROM made WHERE username IS NOT NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER user_names_new_users AFTER INSERT ON users
    REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION user_names_of_new_users();

CREATE FUNCTION user_names_of_changed_user() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.username IS NULL THEN
        DELETE FROM user_names WHERE id = NEW.id;
    ELSE
        INSERT INTO user_names (id, username, owner_id) VALUES (NEW.id, NEW.username, NEW.owner_id)
        ON CONFLICT (id) DO UPDATE SET username = excluded.username, owner_id = excluded.owner_id;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER user_names_changed_user AFTER UPDATE OF username, owner_id ON users FOR EACH ROW
    WHEN (OLD.username IS DISTINCT FROM NEW.username OR OLD.owner_id IS DISTINCT FROM NEW.owner_id)
    EXECUTE FUNCTION user_names_of_changed_user();

DROP INDEX IF EXISTS users_username_parts;
-- As in migration 6.
DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
    CREATE INDEX user_names_parts ON user_names USING gin (username gin_trgm_ops);
EXCEPTION
    WHEN insufficient_privilege OR undefined_file OR feature_not_supported OR undefined_object THEN NULL;
END $$;
ANALYZE user_names;
