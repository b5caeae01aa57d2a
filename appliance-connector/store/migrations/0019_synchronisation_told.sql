-- When a synchronisation that runs last told how far it is; 0: by a program that did not tell.

ALTER TABLE synchronisations ADD COLUMN told BIGINT NOT NULL DEFAULT 0;
