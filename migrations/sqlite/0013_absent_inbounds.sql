-- Inbounds that their node no longer reports, since when (unix microseconds); NULL: it reports them. They have no users and
-- are in no subscription, but keep their hosts and services: an admin made these. New columns without a value rewrite no
-- row, so this holds the tables for a few milliseconds, however many rows they have.
ALTER TABLE inbounds ADD COLUMN absent_since BIGINT;

-- A deleted node whose inbounds and hosts are deleted in the background, a part at a time. It is disabled and has neither its
-- name nor its address any more, so that an older program leaves it alone too.
ALTER TABLE nodes ADD COLUMN deleted_at BIGINT;
