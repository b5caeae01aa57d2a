-- Phone numbers that get codes by text message. A number vouches for its account.

CREATE TABLE phones (
    id            TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    account       TEXT COLLATE "C" NOT NULL,
    sealed_number BYTEA NOT NULL,
    enrolled      BIGINT NOT NULL
);

CREATE INDEX phones_by_account ON phones (account, enrolled);
