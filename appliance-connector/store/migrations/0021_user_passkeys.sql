-- Passkeys of users. One is bound to the host of a gateway's page; what it is checked with is bound to its account.

CREATE TABLE user_passkeys (
    id             TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    account        TEXT COLLATE "C" NOT NULL,
    host           TEXT COLLATE "C" NOT NULL,
    name           TEXT NOT NULL,
    credential     BYTEA NOT NULL UNIQUE,
    sealed_passkey BYTEA NOT NULL,
    enrolled       BIGINT NOT NULL,
    used           BIGINT NOT NULL,
    copied         BIGINT NOT NULL,
    version        BIGINT NOT NULL
);

CREATE INDEX user_passkeys_by_account ON user_passkeys (account, enrolled);
