-- An integration's language is one of those that there are; what was written more widely ("de-CH") becomes its language,
-- and one that there is not becomes none: English was what users saw there.

UPDATE integrations SET language = CASE
    WHEN lower(substr(language, 1, 2)) IN ('en', 'es', 'fr', 'de', 'ar', 'tr') AND (length(language) = 2 OR substr(language, 3, 1) = '-')
        THEN lower(substr(language, 1, 2))
    ELSE '' END
WHERE language <> '';
