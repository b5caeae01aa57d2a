-- PINs that are typed before the code of an OTP token.

CREATE TABLE otp_pins (
    account     TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    sealed_hash BYTEA NOT NULL,
    set_at      BIGINT NOT NULL,
    set_by      TEXT NOT NULL
);
