-- What each process would run as leader: JSON, a task's name to its period in microseconds. A newer version that knows
-- more tasks is let ahead.
ALTER TABLE cluster_member ADD COLUMN tasks TEXT NOT NULL DEFAULT '{}';
