-- How often the leader has tried to end a change that its panel left open, and the last reason why it could not. The table has a
-- row for each change in progress: a moment's lock, at any size of the panel.
ALTER TABLE engine_change ADD COLUMN attempts BIGINT NOT NULL DEFAULT 0;
ALTER TABLE engine_change ADD COLUMN trouble TEXT;
