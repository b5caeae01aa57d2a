-- Sites, and what each appliance last told of itself. The zero time is never, and kept as 0.

CREATE TABLE sites (
    id           TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name         TEXT NOT NULL,
    name_folded  TEXT NOT NULL UNIQUE,
    kind         TEXT NOT NULL,
    primary_id   TEXT COLLATE "C" REFERENCES sites (id),
    secondary_id TEXT COLLATE "C" REFERENCES sites (id),
    version      BIGINT NOT NULL
);

-- A network belongs to one site.
CREATE TABLE site_ranges (
    prefix   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    site_id  TEXT COLLATE "C" NOT NULL REFERENCES sites (id) ON DELETE CASCADE,
    position BIGINT NOT NULL
);

CREATE TABLE appliances (
    id                  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name                TEXT NOT NULL,
    version             TEXT NOT NULL,
    site_id             TEXT COLLATE "C" REFERENCES sites (id) ON DELETE SET NULL,
    started             BIGINT NOT NULL,
    heard               BIGINT NOT NULL,
    streams             TEXT NOT NULL,
    trouble             TEXT NOT NULL,
    radius              TEXT NOT NULL,
    certificate_expires BIGINT NOT NULL,
    clock_offset        BIGINT
);
