-- Quotas of admins. New tables, and two trigger functions that are replaced: no row of another table is read or written, at any
-- size. An older version next to this one counts for the quotas all the same, and does not refuse.
CREATE TABLE admin_quota (
    admin_id BIGINT PRIMARY KEY REFERENCES admins (id) ON DELETE CASCADE,
    -- NULL: no limit.
    users BIGINT,
    active_users BIGINT,
    -- Bytes in a period.
    traffic BIGINT,
    -- As of users: no_reset, day, week, month, year.
    traffic_reset_strategy TEXT NOT NULL,
    -- Of each user: bytes, and seconds.
    max_data_limit BIGINT,
    max_duration BIGINT,
    -- refuse, or disable: the admin's users are disabled when the traffic is used up.
    when_used_up TEXT NOT NULL,
    -- The beginning of the period, in unix microseconds.
    counted_since BIGINT NOT NULL,
    -- Percentages of which was notified in this period.
    notified_users BIGINT NOT NULL DEFAULT 0,
    notified_active_users BIGINT NOT NULL DEFAULT 0,
    notified_traffic BIGINT NOT NULL DEFAULT 0
);

-- Users whom a quota disabled: those and no others are enabled again. Without a reference, which would lock the users.
CREATE TABLE quota_disabled_user (user_id BIGINT PRIMARY KEY);

-- The part of an owner's traffic in owner_totals that does not count for its quota: users came with it, or left with it, or it was
-- recorded before the period.
-- Rows are only added, and folded by `prune`.
CREATE TABLE owner_moved_traffic (
    owner_id BIGINT NOT NULL,
    traffic NUMERIC NOT NULL
);
CREATE INDEX owner_moved_traffic_owner ON owner_moved_traffic (owner_id);

CREATE OR REPLACE FUNCTION owner_totals_of_new_traffic() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    WITH past AS (
        SELECT COALESCE(u.owner_id, 0) AS owner_id, SUM(m.lifetime_used_traffic) AS traffic
        FROM made m JOIN users u ON u.id = m.user_id WHERE m.lifetime_used_traffic <> 0 GROUP BY 1
    ), counted AS (
        INSERT INTO owner_totals (owner_id, users, traffic) SELECT owner_id, 0, traffic FROM past
    )
    INSERT INTO owner_moved_traffic (owner_id, traffic) SELECT owner_id, traffic FROM past;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION owner_totals_of_changed_user() RETURNS TRIGGER LANGUAGE plpgsql AS $$
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
    IF lifetime <> 0 THEN
        INSERT INTO owner_moved_traffic (owner_id, traffic)
        VALUES (COALESCE(OLD.owner_id, 0), -lifetime), (COALESCE(NEW.owner_id, 0), lifetime);
    END IF;
    RETURN NULL;
END $$;
