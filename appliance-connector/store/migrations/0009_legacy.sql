-- The whole login in RADIUS: what an integration says of it, and the steps that any appliance goes on with.

ALTER TABLE integrations ADD COLUMN experience TEXT NOT NULL DEFAULT '';
ALTER TABLE integrations ADD COLUMN password_encoding TEXT NOT NULL DEFAULT '';
ALTER TABLE integrations ADD COLUMN passcode_separator TEXT NOT NULL DEFAULT '';
ALTER TABLE integrations ADD COLUMN ask_method BIGINT NOT NULL DEFAULT 0;

ALTER TABLE radius_activity ADD COLUMN called_station TEXT NOT NULL DEFAULT '';

-- step and owner are keyed hashes; result is sealed, and empty while the step is being taken.
CREATE TABLE radius_steps (
    step    BYTEA NOT NULL PRIMARY KEY,
    owner   BYTEA NOT NULL,
    result  BYTEA,
    expires BIGINT NOT NULL
);

CREATE INDEX radius_steps_by_expiry ON radius_steps (expires);
