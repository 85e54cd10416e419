-- What gives PostgreSQL the names of users apart. SQLite's index of trigrams is a table apart already: nothing to do here,
-- and a step for the schemas of both engines to have the same number.
SELECT 1;
