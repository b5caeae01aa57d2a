-- The external token servers, in the order in which they are asked, and who has a token of theirs. The secret of
-- one vouches for where it is sent and for what is taken from there.

CREATE TABLE token_system (
    one       BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    name      TEXT NOT NULL,
    everyone  BIGINT NOT NULL CHECK (everyone IN (0, 1)),
    user_name TEXT NOT NULL,
    timeout   BIGINT NOT NULL,
    tries     BIGINT NOT NULL,
    version   BIGINT NOT NULL
);

INSERT INTO token_system (one, name, everyone, user_name, timeout, tries, version) VALUES (1, 'Token', 0, 'name', 2000000, 3, 0);

CREATE TABLE token_policies (
    policy_id TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES user_policies (id) ON DELETE CASCADE
);

CREATE TABLE token_servers (
    id            TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    position      BIGINT NOT NULL,
    host          TEXT NOT NULL,
    port          BIGINT NOT NULL,
    sealed_secret BYTEA NOT NULL,
    unsigned      BIGINT NOT NULL CHECK (unsigned IN (0, 1))
);

-- A site cannot go as long as it has servers of its own: they would become the whole enterprise's.
CREATE TABLE token_server_sites (
    server_id TEXT COLLATE "C" NOT NULL REFERENCES token_servers (id) ON DELETE CASCADE,
    site_id   TEXT COLLATE "C" NOT NULL REFERENCES sites (id),
    position  BIGINT NOT NULL,
    PRIMARY KEY (server_id, site_id)
);
