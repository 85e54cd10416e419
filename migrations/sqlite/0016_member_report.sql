-- What each process reports about itself, as JSON: its round trip to the database, and what else it can say later without
-- another column. Instant: no row is rewritten.
ALTER TABLE cluster_member ADD COLUMN report TEXT NOT NULL DEFAULT '{}';
