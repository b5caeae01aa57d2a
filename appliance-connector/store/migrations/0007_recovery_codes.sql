-- What lets an administrator in who has lost the second factor: each once. The hash is keyed.

CREATE TABLE recovery_codes (
    administrator_id TEXT COLLATE "C" NOT NULL REFERENCES administrators (id) ON DELETE CASCADE,
    hash             BYTEA NOT NULL,
    PRIMARY KEY (administrator_id, hash)
);
