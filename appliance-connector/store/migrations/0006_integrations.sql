-- What administrators say of an integration besides address and secret. A time of 0 is never.

ALTER TABLE integrations ADD COLUMN note TEXT NOT NULL DEFAULT '';
ALTER TABLE integrations ADD COLUMN sealed_previous_secret BYTEA;
ALTER TABLE integrations ADD COLUMN previous_until BIGINT NOT NULL DEFAULT 0;
ALTER TABLE integrations ADD COLUMN message_authenticator TEXT NOT NULL DEFAULT 'once_seen';
ALTER TABLE integrations ADD COLUMN message_authenticator_seen BIGINT NOT NULL DEFAULT 0;
ALTER TABLE integrations ADD COLUMN allow_non_licensed BIGINT NOT NULL DEFAULT 0;
ALTER TABLE integrations ADD COLUMN attributes TEXT NOT NULL DEFAULT '[]';
ALTER TABLE integrations ADD COLUMN language TEXT NOT NULL DEFAULT '';
ALTER TABLE integrations ADD COLUMN version BIGINT NOT NULL DEFAULT 1;

-- Where it was not demanded, nothing is refused now either.
UPDATE integrations SET message_authenticator = CASE require_message_authenticator WHEN 1 THEN 'always' ELSE 'never' END;
ALTER TABLE integrations DROP COLUMN require_message_authenticator;

-- A name in DNS belongs to one integration.
CREATE TABLE integration_hosts (
    host           TEXT NOT NULL PRIMARY KEY,
    integration_id TEXT NOT NULL REFERENCES integrations (id) ON DELETE CASCADE,
    position       BIGINT NOT NULL
);

CREATE INDEX integration_hosts_by_integration ON integration_hosts (integration_id, position);

-- What can be done about the error, and when the secret that is being replaced was last used. The zero time
-- is that of the other times here.
ALTER TABLE gateway_health ADD COLUMN cure TEXT NOT NULL DEFAULT '';
ALTER TABLE gateway_health ADD COLUMN old_secret BIGINT NOT NULL DEFAULT -62135596800000000;

-- Addresses that no integration has, as each appliance counts them.
CREATE TABLE unknown_sources (
    appliance TEXT COLLATE "C" NOT NULL,
    source    TEXT COLLATE "C" NOT NULL,
    first     BIGINT NOT NULL,
    last      BIGINT NOT NULL,
    count     BIGINT NOT NULL,
    PRIMARY KEY (appliance, source)
);
