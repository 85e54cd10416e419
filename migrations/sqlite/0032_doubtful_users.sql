-- Since when a node has refused its users, in unix microseconds, and the users of whom its engines and its memory may differ: a
-- JSON object of ids and names. Both NULL: none. Adding columns without a default rewrites no row: the table is locked for a
-- moment, however large it is. An older version next to this one leaves both as they are, and `synced_at` says that they are old.
ALTER TABLE nodes ADD COLUMN refused_since BIGINT;
ALTER TABLE nodes ADD COLUMN doubtful_users TEXT;
