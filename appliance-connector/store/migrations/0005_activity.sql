-- Where a chain of audit records begins after its oldest ones were deleted: number and mac of the last
-- deleted record, with a mac of their own.
CREATE TABLE audit_anchors (
    chain      TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    sequence   BIGINT NOT NULL,
    mac        BYTEA NOT NULL,
    anchor_mac BYTEA NOT NULL
);

-- Logins and their steps. code is the support code in its canonical form; search holds what is looked
-- for by text, case folded.
CREATE TABLE logins (
    id             TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    time           BIGINT NOT NULL,
    ended          BIGINT NOT NULL,
    support_code   TEXT NOT NULL,
    code           TEXT COLLATE "C" NOT NULL,
    user_name      TEXT NOT NULL,
    account        TEXT COLLATE "C" NOT NULL,
    integration_id TEXT COLLATE "C" NOT NULL,
    door           TEXT NOT NULL,
    outcome        TEXT COLLATE "C" NOT NULL,
    method         TEXT NOT NULL,
    reason         TEXT NOT NULL,
    detail         TEXT NOT NULL,
    address        TEXT NOT NULL,
    appliance      TEXT NOT NULL,
    search         TEXT NOT NULL
);

CREATE INDEX logins_by_time ON logins (time, id);
CREATE INDEX logins_by_account ON logins (account, time, id);
CREATE INDEX logins_by_integration ON logins (integration_id, time, id);
CREATE INDEX logins_by_outcome ON logins (outcome, time, id);
CREATE INDEX logins_by_code ON logins (code, time);

-- An event's id is a hash of it, so that a batch written twice is there once.
CREATE TABLE login_events (
    id           TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    support_code TEXT NOT NULL,
    code         TEXT COLLATE "C" NOT NULL,
    time         BIGINT NOT NULL,
    step         BIGINT NOT NULL,
    message      TEXT NOT NULL,
    detail       TEXT NOT NULL,
    appliance    TEXT NOT NULL
);

CREATE INDEX login_events_by_code ON login_events (code, time);
CREATE INDEX login_events_by_time ON login_events (time);

CREATE TABLE radius_activity (
    id              TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    time            BIGINT NOT NULL,
    integration_id  TEXT COLLATE "C" NOT NULL,
    source          TEXT NOT NULL,
    user_name       TEXT NOT NULL,
    account         TEXT COLLATE "C" NOT NULL,
    outcome         TEXT COLLATE "C" NOT NULL,
    reason          TEXT NOT NULL,
    cure            TEXT NOT NULL,
    nas_identifier  TEXT NOT NULL,
    calling_station TEXT NOT NULL,
    appliance       TEXT NOT NULL,
    search          TEXT NOT NULL
);

CREATE INDEX radius_activity_by_time ON radius_activity (time, id);
CREATE INDEX radius_activity_by_account ON radius_activity (account, time, id);
CREATE INDEX radius_activity_by_integration ON radius_activity (integration_id, time, id);
CREATE INDEX radius_activity_by_outcome ON radius_activity (outcome, time, id);

CREATE TABLE gateway_health (
    integration_id TEXT COLLATE "C" NOT NULL,
    appliance      TEXT COLLATE "C" NOT NULL,
    heard          BIGINT NOT NULL,
    accepted       BIGINT NOT NULL,
    error          TEXT NOT NULL,
    error_time     BIGINT NOT NULL,
    PRIMARY KEY (integration_id, appliance)
);
