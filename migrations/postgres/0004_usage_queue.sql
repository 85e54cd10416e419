-- A batch that can't be worked on is set aside with the reason, so that it holds up nothing behind it. To have it
-- tried again, set `trouble` back to NULL.
ALTER TABLE usage_batch ADD COLUMN trouble TEXT;
DROP INDEX usage_batch_open;
DROP INDEX usage_batch_unfolded;
CREATE INDEX usage_batch_open ON usage_batch (fetched_at, part, batch_id) WHERE state = 'staged' AND trouble IS NULL;
CREATE INDEX usage_batch_unfolded ON usage_batch (fetched_at) WHERE state = 'applied' AND trouble IS NULL;
CREATE INDEX usage_batch_unfolded_hours ON usage_batch (node_id, part, fetched_at) WHERE state = 'applied' AND trouble IS NULL;
CREATE INDEX usage_batch_trouble ON usage_batch (batch_id, part) WHERE trouble IS NOT NULL;
-- Payloads go an hour after folding and ids after 90 days: the former must not be looked for among all of the latter.
CREATE INDEX usage_batch_payloads ON usage_batch (state_at) WHERE state = 'folded' AND payload IS NOT NULL;
