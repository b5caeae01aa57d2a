-- How a gateway is known that asks over TLS: sealed, so that nobody can put a certificate of their own there. A
-- certificate belongs to one integration, which the table sees to.

ALTER TABLE integrations ADD COLUMN sealed_tls BYTEA;

CREATE TABLE integration_certificates (
    fingerprint    TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    integration_id TEXT NOT NULL REFERENCES integrations (id) ON DELETE CASCADE,
    position       BIGINT NOT NULL
);

CREATE INDEX integration_certificates_by_integration ON integration_certificates (integration_id, position);
