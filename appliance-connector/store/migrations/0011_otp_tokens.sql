-- OTP tokens. The seed vouches for what it is used with and for its owner. next is the first counter or step
-- that was not used yet, last_owner who used the one before. A time of 0 is never.

CREATE TABLE otp_tokens (
    id            TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    serial        TEXT NOT NULL,
    serial_folded TEXT COLLATE "C" NOT NULL UNIQUE,
    kind          TEXT COLLATE "C" NOT NULL,
    algorithm     TEXT NOT NULL,
    digits        BIGINT NOT NULL,
    period        BIGINT NOT NULL,
    sealed_seed   BYTEA NOT NULL,
    next          BIGINT NOT NULL,
    last_owner    TEXT NOT NULL,
    drift         BIGINT NOT NULL,
    account       TEXT COLLATE "C" NOT NULL,
    state         TEXT COLLATE "C" NOT NULL,
    maker         TEXT NOT NULL,
    imported      BIGINT NOT NULL,
    assigned      BIGINT NOT NULL,
    used          BIGINT NOT NULL,
    version       BIGINT NOT NULL
);

CREATE INDEX otp_tokens_by_account ON otp_tokens (account, serial_folded);
