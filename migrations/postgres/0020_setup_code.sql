-- One-time codes with which the first sudo admin is made. A new table: no lock on others, at any size.
CREATE TABLE setup_code (
    -- Plain: who can read this table can read the secret that signs tokens, too.
    code TEXT PRIMARY KEY,
    -- Unix microseconds.
    expires_at BIGINT NOT NULL
);
-- No code; whoever makes the first admin locks this row, so that one wins.
INSERT INTO setup_code (code, expires_at) VALUES ('', 0);
