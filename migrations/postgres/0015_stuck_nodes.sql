-- Until when leaders leave a node alone because another process's calls are running there, and when its engines were
-- last restarted because it refused its users; both in unix microseconds. Adding columns without a default rewrites no
-- row: the table is locked for a moment, however large it is.
ALTER TABLE nodes ADD COLUMN held_until BIGINT;
ALTER TABLE nodes ADD COLUMN healed_at BIGINT;
