package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/sallyport/sallyport"
)

const (
	postgresConns = 16
	// postgresConnect bounds the attempt on one host of several, so that a dead first host, even
	// when it is tried with and without TLS, leaves time for the second within the default deadline.
	postgresConnect = 600 * time.Millisecond
	// postgresConnectOnly bounds it where there is one host: it may be busy.
	postgresConnectOnly = 5 * time.Second
)

// openPostgres prepares a pool for address, a URL or key-value text as libpq takes it. With several
// hosts the one that takes writes is used, also after a fail-over.
func openPostgres(address string) (*engine, error) {
	config, err := pgx.ParseConfig(address)
	if err != nil {
		// pgx leaves the password out of this error.
		return nil, sallyport.Errorf(sallyport.CodeInvalid, "The PostgreSQL address is not one.", err)
	}
	tunePostgres(config, address)
	db := stdlib.OpenDB(*config, stdlib.OptionResetSession(dropStandby))
	db.SetMaxOpenConns(postgresConns)
	db.SetMaxIdleConns(postgresConns)
	db.SetConnMaxIdleTime(5 * time.Minute)
	db.SetConnMaxLifetime(time.Hour)
	return &engine{
		write: db, read: db,
		schema:        func(s string) string { return s },
		migrationLock: `SELECT pg_advisory_xact_lock(7239554231)`,
		skipLocked:    ` FOR UPDATE SKIP LOCKED`,
		lockRows:      ` FOR UPDATE`,
		lockShared:    ` FOR SHARE`,
		takeTime:      `SET LOCAL statement_timeout = '60s'; SET LOCAL lock_timeout = '30s'`,
		clock:         `SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint`,
		classify:      classifyPostgres,
	}, nil
}

func tunePostgres(config *pgx.ConnConfig, address string) {
	if !strings.Contains(address, "connect_timeout=") {
		config.ConnectTimeout = postgresConnectOnly
		if slices.ContainsFunc(config.Fallbacks, func(f *pgconn.FallbackConfig) bool { return f.Host != config.Host || f.Port != config.Port }) {
			config.ConnectTimeout = postgresConnect
		}
	}
	if !strings.Contains(address, "target_session_attrs=") {
		config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	// The server gives up too when nobody waits any longer: a lock must not outlive its caller.
	for name, value := range map[string]string{
		"application_name": "sallyport", "statement_timeout": "5s", "lock_timeout": "3s",
		"idle_in_transaction_session_timeout": "10s",
	} {
		if _, given := config.RuntimeParams[name]; !given {
			config.RuntimeParams[name] = value
		}
	}
}

// dropStandby refuses a pooled connection to a server that no longer takes writes.
func dropStandby(_ context.Context, conn *pgx.Conn) error {
	if conn.PgConn().ParameterStatus("in_hot_standby") == "on" {
		return driver.ErrBadConn
	}
	return nil
}

// classifyPostgres goes by the class of the SQLSTATE (PostgreSQL manual, appendix A).
func classifyPostgres(err error) fault {
	var e *pgconn.PgError
	if !errors.As(err, &e) || len(e.Code) != 5 {
		return faultUnavailable
	}
	switch {
	case e.Code == "23505":
		return faultUnique
	case e.Code == "40001", e.Code == "40P01":
		return faultRetry
	}
	switch e.Code[:2] {
	case "08", "25", "28", "53", "55", "57", "58", "3D":
		return faultUnavailable
	}
	return faultInternal
}
