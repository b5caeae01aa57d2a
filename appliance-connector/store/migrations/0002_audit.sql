-- The audit trail: a chain of records for each appliance. A record's mac covers the record and the mac
-- before it; a chain's head covers its length. Both are made with a key that is not in the database.

CREATE TABLE audit (
    chain        TEXT COLLATE "C" NOT NULL,
    sequence     BIGINT NOT NULL,
    time         BIGINT NOT NULL,
    actor_kind   TEXT NOT NULL,
    actor_id     TEXT NOT NULL,
    actor_name   TEXT NOT NULL,
    actor_role   TEXT NOT NULL,
    address      TEXT NOT NULL,
    action       TEXT NOT NULL,
    object       TEXT NOT NULL,
    object_id    TEXT NOT NULL,
    before       TEXT NOT NULL,
    after        TEXT NOT NULL,
    reason       TEXT NOT NULL,
    support_code TEXT NOT NULL,
    mac          BYTEA NOT NULL,
    PRIMARY KEY (chain, sequence)
);

CREATE INDEX audit_by_time ON audit (time, chain, sequence);
CREATE INDEX audit_by_object ON audit (object_id, time);
CREATE INDEX audit_by_support_code ON audit (support_code);

CREATE TABLE audit_heads (
    chain    TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    sequence BIGINT NOT NULL,
    mac      BYTEA NOT NULL,
    head_mac BYTEA NOT NULL
);
