-- Hours of usage that are old become days. A day is unix microseconds at midnight, UTC; the columns are those of the
-- hours.
CREATE TABLE user_usage_days (
    user_id BIGINT NOT NULL,
    day BIGINT NOT NULL,
    node_id BIGINT NOT NULL,
    counted BIGINT NOT NULL,
    PRIMARY KEY (user_id, day, node_id)
) WITHOUT ROWID;

CREATE TABLE node_usage_days (
    node_id BIGINT NOT NULL,
    day BIGINT NOT NULL,
    uplink BIGINT NOT NULL,
    downlink BIGINT NOT NULL,
    counted BIGINT NOT NULL,
    PRIMARY KEY (node_id, day)
) WITHOUT ROWID;
