-- What administrators call an appliance; '' is the name of its host, which it tells of itself.

ALTER TABLE appliances ADD COLUMN given_name TEXT NOT NULL DEFAULT '';
