-- Messages to send by e-mail, reports that are sent on a schedule, and who of the appliances does what one of
-- them does for all. A time of 0 is never.

CREATE TABLE leases (
    name   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    holder TEXT NOT NULL,
    until  BIGINT NOT NULL
);

-- What a message says is sealed, and gone as soon as it was sent. A row is swept once it has expired.
CREATE TABLE mails (
    id             TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    created        BIGINT NOT NULL,
    recipients     TEXT NOT NULL,
    subject        TEXT NOT NULL,
    size           BIGINT NOT NULL,
    sealed_content BYTEA,
    state          TEXT NOT NULL,
    tries          BIGINT NOT NULL,
    next_try       BIGINT NOT NULL,
    ended          BIGINT NOT NULL,
    answer         TEXT NOT NULL,
    lease_holder   TEXT NOT NULL,
    lease_until    BIGINT NOT NULL,
    expires        BIGINT NOT NULL
);

CREATE INDEX mails_by_next_try ON mails (state, next_try);
CREATE INDEX mails_by_creation ON mails (created, id);
CREATE INDEX mails_by_expiry ON mails (expires);

CREATE TABLE report_schedules (
    id           TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name         TEXT NOT NULL,
    name_folded  TEXT NOT NULL UNIQUE,
    schedule     TEXT NOT NULL,
    due          BIGINT NOT NULL,
    last_time    BIGINT NOT NULL,
    last_rows    BIGINT NOT NULL,
    last_mail    TEXT NOT NULL,
    last_trouble TEXT NOT NULL,
    version      BIGINT NOT NULL
);
