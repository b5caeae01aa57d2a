-- The one schema of both engines. BYTEA and BIGINT are PostgreSQL's words; the SQLite engine puts
-- its own in their place. COLLATE "C" compares octets, as SQLite always does. Times are microseconds since 1970 UTC. Columns named "sealed_…" hold
-- ciphertext only.

CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value BYTEA NOT NULL
);

CREATE TABLE revision (
    one   BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    value BIGINT NOT NULL
);

INSERT INTO revision (one, value) VALUES (1, 1);

CREATE TABLE settings (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE integrations (
    id                            TEXT NOT NULL PRIMARY KEY,
    kind                          TEXT NOT NULL,
    nickname                      TEXT NOT NULL,
    nickname_folded               TEXT NOT NULL UNIQUE,
    sealed_secret                 BYTEA NOT NULL,
    require_message_authenticator BIGINT NOT NULL CHECK (require_message_authenticator IN (0, 1))
);

CREATE TABLE integration_clients (
    prefix         TEXT NOT NULL PRIMARY KEY,
    integration_id TEXT NOT NULL REFERENCES integrations (id) ON DELETE CASCADE,
    position       BIGINT NOT NULL
);

CREATE INDEX integration_clients_by_integration ON integration_clients (integration_id, position);

CREATE TABLE integration_origins (
    integration_id TEXT NOT NULL REFERENCES integrations (id) ON DELETE CASCADE,
    position       BIGINT NOT NULL,
    origin         TEXT NOT NULL,
    PRIMARY KEY (integration_id, position)
);

CREATE TABLE devices (
    id                 TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    account            TEXT COLLATE "C" NOT NULL,
    name               TEXT NOT NULL,
    platform           TEXT NOT NULL,
    public_key         BYTEA NOT NULL,
    sealed_seed        BYTEA NOT NULL,
    sealed_details_key BYTEA NOT NULL,
    enrolled           BIGINT NOT NULL,
    last_step          BIGINT NOT NULL DEFAULT -1,
    last_owner         TEXT NOT NULL DEFAULT ''
);

CREATE INDEX devices_by_account ON devices (account, enrolled);

CREATE TABLE claims (
    claim   BYTEA NOT NULL PRIMARY KEY,
    expires BIGINT NOT NULL
);

CREATE INDEX claims_by_expiry ON claims (expires);

CREATE TABLE failures (
    account  TEXT NOT NULL,
    kind     TEXT NOT NULL,
    failures BIGINT NOT NULL,
    since    BIGINT NOT NULL,
    expires  BIGINT NOT NULL,
    PRIMARY KEY (account, kind)
);

CREATE INDEX failures_by_expiry ON failures (expires);

CREATE TABLE enrolments (
    id            TEXT NOT NULL PRIMARY KEY,
    account       TEXT NOT NULL,
    sealed_secret BYTEA NOT NULL,
    created       BIGINT NOT NULL,
    expires       BIGINT NOT NULL
);

CREATE INDEX enrolments_by_expiry ON enrolments (expires);

CREATE TABLE invites (
    id            TEXT NOT NULL PRIMARY KEY,
    sealed_secret BYTEA NOT NULL,
    created       BIGINT NOT NULL,
    expires       BIGINT NOT NULL
);

CREATE INDEX invites_by_expiry ON invites (expires);
