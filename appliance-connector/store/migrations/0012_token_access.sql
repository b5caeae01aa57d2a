-- An API token may read, or read and write; '' is of those made before, which may read.

ALTER TABLE api_tokens ADD COLUMN access TEXT NOT NULL DEFAULT '';
