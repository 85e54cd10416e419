-- What people are to be told of, written in the transaction that causes it: a row per cause and destination.
CREATE TABLE outbox (
    -- In the order in which one user's events happened; never used twice.
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    channel TEXT NOT NULL CHECK (channel IN ('webhook', 'telegram')),
    -- On Telegram the chat; else empty.
    recipient TEXT NOT NULL,
    -- Names what happened, so that it is told once: a second row of the same cause and destination is not entered.
    cause TEXT NOT NULL,
    action TEXT NOT NULL,
    -- No reference: the news of a user outlives the user.
    user_id BIGINT NOT NULL,
    -- The JSON that is posted, as it was true then.
    payload TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    -- 'dead': tried as often as allowed; an admin may have it tried again.
    state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'dead')),
    attempts BIGINT NOT NULL DEFAULT 0,
    next_attempt_at BIGINT NOT NULL,
    finished_at BIGINT,
    error TEXT,
    -- Until then a row that is done stays, because its cause may be found again.
    keep_until BIGINT NOT NULL,
    UNIQUE (cause, channel, recipient)
);
CREATE INDEX outbox_due ON outbox (channel, recipient, next_attempt_at, id) WHERE state = 'waiting';
CREATE INDEX outbox_waiting ON outbox (channel, recipient, user_id, id) WHERE state = 'waiting';
CREATE INDEX outbox_kept ON outbox (keep_until);
