-- Quotas of admins. New tables, and two new triggers: no row of another table is read or written, at any size. An
-- older version next to this one counts for the quotas all the same, and does not refuse.
CREATE TABLE admin_quota (
    admin_id INTEGER PRIMARY KEY REFERENCES admins (id) ON DELETE CASCADE,
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

-- Users whom a quota disabled: those and no others are enabled again.
CREATE TABLE quota_disabled_user (user_id INTEGER PRIMARY KEY);

-- The part of an owner's traffic in owner_totals that does not count for its quota: users came with it, or left with it, or it was
-- recorded before the period.
CREATE TABLE owner_moved_traffic (
    owner_id INTEGER PRIMARY KEY,
    traffic BIGINT NOT NULL
);

CREATE TRIGGER owner_moved_new_traffic AFTER INSERT ON user_traffic WHEN NEW.lifetime_used_traffic <> 0
BEGIN
    INSERT INTO owner_moved_traffic (owner_id, traffic)
    SELECT COALESCE(u.owner_id, 0), NEW.lifetime_used_traffic FROM users u WHERE u.id = NEW.user_id
    ON CONFLICT (owner_id) DO UPDATE SET traffic = traffic + excluded.traffic;
END;

CREATE TRIGGER owner_moved_changed_user AFTER UPDATE OF owner_id ON users WHEN OLD.owner_id IS NOT NEW.owner_id
BEGIN
    INSERT INTO owner_moved_traffic (owner_id, traffic)
    SELECT COALESCE(OLD.owner_id, 0), -lifetime_used_traffic FROM user_traffic WHERE user_id = OLD.id
    ON CONFLICT (owner_id) DO UPDATE SET traffic = traffic + excluded.traffic;
    INSERT INTO owner_moved_traffic (owner_id, traffic)
    SELECT COALESCE(NEW.owner_id, 0), lifetime_used_traffic FROM user_traffic WHERE user_id = NEW.id
    ON CONFLICT (owner_id) DO UPDATE SET traffic = traffic + excluded.traffic;
END;
