-- The enterprise's people: domains, users, their policies, and what logging in asks of them. Columns
-- named "…_folded" hold what is compared without case. A user's path is the DN from its top, folded, so
-- that "below an OU" is a beginning of it.

CREATE TABLE domains (
    id                   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name                 TEXT NOT NULL,
    name_folded          TEXT NOT NULL UNIQUE,
    netbios              TEXT NOT NULL,
    netbios_folded       TEXT NOT NULL UNIQUE,
    servers              TEXT NOT NULL,
    authority            TEXT NOT NULL,
    bind_name            TEXT NOT NULL,
    sealed_bind_password BYTEA NOT NULL,
    base                 TEXT NOT NULL,
    upn_suffixes         TEXT NOT NULL,
    scope                TEXT NOT NULL,
    every                BIGINT NOT NULL,
    version              BIGINT NOT NULL
);

-- Where the synchronisation of a domain stands; its row is locked by every batch of users.
CREATE TABLE domain_states (
    domain_id    TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES domains (id) ON DELETE CASCADE,
    cursor       BYTEA NOT NULL,
    lease_holder TEXT NOT NULL,
    lease_until  BIGINT NOT NULL
);

CREATE TABLE synchronisations (
    id        TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    domain_id TEXT COLLATE "C" NOT NULL REFERENCES domains (id) ON DELETE CASCADE,
    kind      TEXT NOT NULL,
    state     TEXT NOT NULL,
    started   BIGINT NOT NULL,
    ended     BIGINT NOT NULL,
    asked_by  TEXT NOT NULL,
    entries   BIGINT NOT NULL,
    added     BIGINT NOT NULL,
    changed   BIGINT NOT NULL,
    removed   BIGINT NOT NULL,
    message   TEXT NOT NULL
);

CREATE INDEX synchronisations_by_domain ON synchronisations (domain_id, started, id);

CREATE TABLE enrol_rules (
    id                TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name              TEXT NOT NULL,
    name_folded       TEXT NOT NULL UNIQUE,
    unenrolled        TEXT NOT NULL,
    prompt_at_gateway BIGINT NOT NULL CHECK (prompt_at_gateway IN (0, 1)),
    prompt_on_site    BIGINT NOT NULL CHECK (prompt_on_site IN (0, 1)),
    may_delay         BIGINT NOT NULL CHECK (may_delay IN (0, 1)),
    temporary_code    BIGINT NOT NULL CHECK (temporary_code IN (0, 1)),
    version           BIGINT NOT NULL
);

INSERT INTO enrol_rules (id, name, name_folded, unenrolled, prompt_at_gateway, prompt_on_site, may_delay, temporary_code, version)
VALUES ('standard', 'Standard', 'standard', 'other_method', 1, 1, 0, 0, 1);

-- A policy belongs to one enrol rule at most: it has but one column for it.
CREATE TABLE user_policies (
    id            TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name          TEXT NOT NULL,
    name_folded   TEXT NOT NULL UNIQUE,
    note          TEXT NOT NULL,
    standard      BIGINT NOT NULL CHECK (standard IN (0, 1)),
    licensed      BIGINT NOT NULL CHECK (licensed IN (0, 1)),
    remote_access BIGINT NOT NULL CHECK (remote_access IN (0, 1)),
    enrol_rule_id TEXT COLLATE "C" REFERENCES enrol_rules (id),
    version       BIGINT NOT NULL
);

CREATE UNIQUE INDEX user_policies_standard ON user_policies (standard) WHERE standard = 1;
CREATE INDEX user_policies_by_enrol_rule ON user_policies (enrol_rule_id);

INSERT INTO user_policies (id, name, name_folded, note, standard, licensed, remote_access, version)
VALUES ('default', 'Default', 'default', '', 1, 1, 0, 1);

CREATE TABLE assignment_rules (
    position  BIGINT NOT NULL PRIMARY KEY,
    domain_id TEXT COLLATE "C" NOT NULL REFERENCES domains (id) ON DELETE CASCADE,
    kind      TEXT NOT NULL,
    dn        TEXT NOT NULL,
    policy_id TEXT COLLATE "C" NOT NULL REFERENCES user_policies (id)
);

CREATE INDEX assignment_rules_by_domain ON assignment_rules (domain_id);
CREATE INDEX assignment_rules_by_policy ON assignment_rules (policy_id);

CREATE TABLE assignment_rules_version (
    one     BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    version BIGINT NOT NULL
);

INSERT INTO assignment_rules_version (one, version) VALUES (1, 1);

CREATE TABLE login_workflow (
    one              BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    allowed          TEXT NOT NULL,
    number_matching  BIGINT NOT NULL CHECK (number_matching IN (0, 1)),
    remember_allowed BIGINT NOT NULL CHECK (remember_allowed IN (0, 1)),
    remember_for     BIGINT NOT NULL,
    remember_since   BIGINT NOT NULL,
    version          BIGINT NOT NULL
);

INSERT INTO login_workflow (one, allowed, number_matching, remember_allowed, remember_for, remember_since, version)
VALUES (1, '["password+app","password+sms"]', 1, 0, 2592000000000, 0, 1);

CREATE TABLE users (
    id                  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    domain_id           TEXT COLLATE "C" NOT NULL,
    guid                TEXT COLLATE "C" NOT NULL,
    account             TEXT COLLATE "C" NOT NULL UNIQUE,
    upn                 TEXT NOT NULL,
    dn                  TEXT NOT NULL,
    display_name        TEXT NOT NULL,
    mail                TEXT NOT NULL,
    state               TEXT COLLATE "C" NOT NULL,
    policy_id           TEXT COLLATE "C" NOT NULL REFERENCES user_policies (id),
    policy_from         TEXT NOT NULL,
    second_factor_since BIGINT NOT NULL,
    created             BIGINT NOT NULL,
    synchronised        BIGINT NOT NULL,
    version             BIGINT NOT NULL,
    name_folded         TEXT COLLATE "C" NOT NULL,
    path                TEXT COLLATE "C" NOT NULL,
    UNIQUE (domain_id, guid)
);

-- The state stands in them so that users can be counted without reading them.
CREATE INDEX users_by_name ON users (name_folded, id, state);
CREATE INDEX users_by_domain ON users (domain_id, name_folded, id, state);
CREATE INDEX users_by_policy ON users (policy_id, name_folded, id, state);
CREATE INDEX users_by_path ON users (path, id);
CREATE INDEX users_disabled ON users (name_folded, id) WHERE state = 'disabled';
CREATE INDEX users_removed ON users (name_folded, id) WHERE state = 'removed';

-- What a user is found by: the words of display name, account, UPN and mail.
CREATE TABLE user_words (
    word    TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (word, user_id)
) /* in the order of its key */;

-- Account names that a renamed user had last: who takes one does not get what is left under it.
CREATE TABLE former_accounts (
    account TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    user_id TEXT COLLATE "C" NOT NULL
);

-- A code that can still be used has its sealed_code; an account has at most one.
CREATE TABLE temporary_codes (
    id          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    account     TEXT COLLATE "C" NOT NULL,
    sealed_code BYTEA,
    issued      BIGINT NOT NULL,
    expires     BIGINT NOT NULL,
    issued_by   TEXT NOT NULL,
    ended       BIGINT NOT NULL,
    ended_by    TEXT NOT NULL
);

CREATE UNIQUE INDEX temporary_codes_of_use ON temporary_codes (account) WHERE sealed_code IS NOT NULL;
CREATE INDEX temporary_codes_by_account ON temporary_codes (account, issued);
CREATE INDEX temporary_codes_by_expiry ON temporary_codes (expires);

CREATE INDEX enrolments_by_account ON enrolments (account);

-- Settings that belong together, as JSON, or sealed where they are secret.
CREATE TABLE sections (
    name         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value        TEXT NOT NULL,
    sealed_value BYTEA,
    version      BIGINT NOT NULL
);
