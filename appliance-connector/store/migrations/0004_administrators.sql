-- Who may administer. A row's mac covers what it permits, under a key that is not in the database, so
-- that who can write to the database cannot make administrators or tokens.

-- What there is one of; its row is locked by every change of administrators, so that the last super
-- administrator is the last on all appliances.
CREATE TABLE administration (
    one                BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    sealed_role_grants BYTEA,
    grants_version     BIGINT NOT NULL,
    sealed_setup       BYTEA
);

INSERT INTO administration (one, grants_version) VALUES (1, 0);

CREATE TABLE administrators (
    id              TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name            TEXT NOT NULL,
    name_folded     TEXT NOT NULL UNIQUE,
    display_name    TEXT NOT NULL,
    mail            TEXT NOT NULL,
    role            TEXT NOT NULL,
    scope           TEXT NOT NULL,
    directory       BIGINT NOT NULL CHECK (directory IN (0, 1)),
    disabled        BIGINT NOT NULL CHECK (disabled IN (0, 1)),
    created         BIGINT NOT NULL,
    last_seen       BIGINT NOT NULL,
    version         BIGINT NOT NULL,
    mac             BYTEA NOT NULL,
    sealed_password BYTEA,
    sealed_totp     BYTEA
);

CREATE TABLE passkeys (
    credential       BYTEA NOT NULL PRIMARY KEY,
    administrator_id TEXT COLLATE "C" NOT NULL REFERENCES administrators (id) ON DELETE CASCADE,
    sealed_passkey   BYTEA NOT NULL,
    created          BIGINT NOT NULL
);

CREATE INDEX passkeys_by_administrator ON passkeys (administrator_id, created);

CREATE TABLE console_sessions (
    hash             BYTEA NOT NULL PRIMARY KEY,
    administrator_id TEXT COLLATE "C" NOT NULL REFERENCES administrators (id) ON DELETE CASCADE,
    sealed_csrf      BYTEA NOT NULL,
    second_factor    BIGINT NOT NULL CHECK (second_factor IN (0, 1)),
    address          TEXT NOT NULL,
    created          BIGINT NOT NULL,
    used             BIGINT NOT NULL,
    idle             BIGINT NOT NULL,
    expires          BIGINT NOT NULL
);

CREATE INDEX console_sessions_by_administrator ON console_sessions (administrator_id, created);
CREATE INDEX console_sessions_by_expiry ON console_sessions (expires);

CREATE TABLE api_tokens (
    id       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    hash     BYTEA NOT NULL UNIQUE,
    owner_id TEXT COLLATE "C" NOT NULL REFERENCES administrators (id) ON DELETE CASCADE,
    name     TEXT NOT NULL,
    role     TEXT NOT NULL,
    created  BIGINT NOT NULL,
    expires  BIGINT NOT NULL,
    used     BIGINT NOT NULL,
    mac      BYTEA NOT NULL
);

CREATE INDEX api_tokens_by_owner ON api_tokens (owner_id, created);
