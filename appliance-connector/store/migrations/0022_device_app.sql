-- What a device says of the app on it. Those enrolled before have said nothing: their apps ask for the number.

ALTER TABLE devices ADD COLUMN app_version TEXT NOT NULL DEFAULT '';
ALTER TABLE devices ADD COLUMN without_number_matching BIGINT NOT NULL DEFAULT 0;
