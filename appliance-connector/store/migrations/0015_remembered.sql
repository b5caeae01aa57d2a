-- Browsers that may skip the second factor, so that the help desk sees and forgets them: what is not here
-- is not remembered, whatever the browser and the cloud say. uses counts how often they asked.

CREATE TABLE remembered (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    account    TEXT COLLATE "C" NOT NULL,
    browser    TEXT NOT NULL,
    place      TEXT NOT NULL,
    last_place TEXT NOT NULL,
    made       BIGINT NOT NULL,
    last_used  BIGINT NOT NULL,
    uses       BIGINT NOT NULL,
    expires    BIGINT NOT NULL
);

CREATE INDEX remembered_by_account ON remembered (account, made);
CREATE INDEX remembered_by_expiry ON remembered (expires);
