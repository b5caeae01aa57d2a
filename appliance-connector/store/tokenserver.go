package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/sallyport/sallyport"
)

// tokenServers is the noun of the external token servers, and the id of the one record of them.
const (
	tokenServers   = "token servers"
	tokenServersID = "token-servers"
)

// TokenServers returns the external token servers with how they are asked and who has a token of theirs; Version
// 0 when they were never set.
func (s *Store) TokenServers(ctx context.Context) (v sallyport.TokenServers, err error) {
	ctx, cancel := deadline(ctx)
	defer cancel()
	err = s.engine.snapshot(ctx, func(tx *sql.Tx) error {
		v, err = s.readTokenServers(ctx, tx, "")
		return err
	})
	return v, s.engine.failure("read token servers", err)
}

// PutTokenServers replaces all of it when Version is the one now, and returns it as it is then. A server without
// ID gets one. An empty Secret keeps the one before, as long as the server has the same address: it is not to be
// carried to another.
func (s *Store) PutTokenServers(ctx context.Context, v sallyport.TokenServers) (sallyport.TokenServers, error) {
	v.Servers, v.Policies = slices.Clone(v.Servers), slices.Sorted(slices.Values(v.Policies))
	for i := range v.Servers {
		v.Servers[i].ID = cmp.Or(v.Servers[i].ID, sallyport.TokenServerID(sallyport.NewID()))
		v.Servers[i].Sites = slices.Clone(v.Servers[i].Sites)
	}
	if err := checkTokenServers(v); err != nil {
		return sallyport.TokenServers{}, err
	}
	given := v.Version
	err := s.change(ctx, "save token servers", func(ctx context.Context, tx *changing) error {
		before, err := s.readTokenServers(ctx, tx.Tx, s.engine.lockRows)
		if err != nil {
			return err
		}
		if before.Version != given {
			return tx.overtaken(ctx, tokenServers, tokenServersID)
		}
		v.Version = given + 1
		if err := first(keepTokenSecrets(&v, before), s.checkTokenUse(ctx, tx, v), s.writeTokenServers(ctx, tx.Tx, v)); err != nil {
			return err
		}
		return tx.record(tokenServers+"."+verb(given), tokenServers, tokenServersID, orNothing(given, before), v)
	})
	if err != nil {
		return sallyport.TokenServers{}, err
	}
	return v, nil
}

// keepTokenSecrets fills in the secrets that were not given.
func keepTokenSecrets(v *sallyport.TokenServers, before sallyport.TokenServers) error {
	for i := range v.Servers {
		n := &v.Servers[i]
		for _, b := range before.Servers {
			if n.Secret == "" && b.ID == n.ID && b.Host == n.Host && b.Port == n.Port {
				n.Secret = b.Secret
			}
		}
		if n.Secret == "" {
			return invalidf("Type the shared secret of the token server %s.", n.Host)
		}
	}
	return nil
}

// checkTokenUse refuses sites and user policies that there are not.
func (s *Store) checkTokenUse(ctx context.Context, tx *changing, v sallyport.TokenServers) error {
	sites, err := s.lockSites(ctx, tx)
	if err != nil {
		return err
	}
	for _, server := range v.Servers {
		for _, id := range server.Sites {
			if siteAt(sites, id) < 0 {
				return notFound(siteNoun)
			}
		}
	}
	policies, err := readPolicies(ctx, tx.Tx, "")
	if err != nil {
		return err
	}
	for _, id := range v.Policies {
		if !slices.ContainsFunc(policies, func(p sallyport.UserPolicy) bool { return p.ID == id }) {
			return notFound(userPolicy)
		}
	}
	return nil
}

// checkNoTokenServer refuses to let a site go that has token servers of its own.
func checkNoTokenServer(ctx context.Context, tx *changing, id sallyport.SiteID) error {
	rows, err := tx.QueryContext(ctx, `SELECT s.host FROM token_servers s JOIN token_server_sites t ON t.server_id = s.id WHERE t.site_id = $1 ORDER BY s.position`, string(id))
	if err != nil {
		return fmt.Errorf("look for token servers of site: %w", err)
	}
	host, found, err := one(collect(rows, func(rows *sql.Rows) (host string, err error) { return host, rows.Scan(&host) }))
	if err == nil && found {
		err = conflictf("The token server %s is for this site. Give it other sites first, or remove it.", host)
	}
	return err
}

func (s *Store) readTokenServers(ctx context.Context, tx *sql.Tx, lock string) (v sallyport.TokenServers, err error) {
	var everyone, timeout int64
	if err := tx.QueryRowContext(ctx, `SELECT name, everyone, user_name, timeout, tries, version FROM token_system`+lock).
		Scan(&v.Name, &everyone, &v.UserName, &timeout, &v.Tries, &v.Version); err != nil {
		return v, fmt.Errorf("read token system: %w", err)
	}
	v.Everyone, v.Timeout = everyone == 1, time.Duration(timeout)*time.Microsecond
	if v.Policies, err = readTokenPolicies(ctx, tx); err != nil {
		return v, err
	}
	rows, err := tx.QueryContext(ctx, `SELECT id, host, port, unsigned, sealed_secret FROM token_servers ORDER BY position, id`)
	if err != nil {
		return v, fmt.Errorf("read token servers: %w", err)
	}
	if v.Servers, err = collect(rows, s.scanTokenServer); err != nil {
		return v, fmt.Errorf("read token servers: %w", err)
	}
	rows, err = tx.QueryContext(ctx, `SELECT server_id, site_id FROM token_server_sites ORDER BY server_id, position`)
	if err != nil {
		return v, fmt.Errorf("read sites of token servers: %w", err)
	}
	_, err = collect(rows, func(rows *sql.Rows) (struct{}, error) {
		var server sallyport.TokenServerID
		var site sallyport.SiteID
		err := rows.Scan(&server, &site)
		for i := range v.Servers {
			if v.Servers[i].ID == server {
				v.Servers[i].Sites = append(v.Servers[i].Sites, site)
			}
		}
		return struct{}{}, err
	})
	return v, err
}

func (s *Store) scanTokenServer(rows *sql.Rows) (v sallyport.TokenServer, err error) {
	var unsigned int64
	var box []byte
	if err := rows.Scan(&v.ID, &v.Host, &v.Port, &unsigned, &box); err != nil {
		return v, err
	}
	v.Unsigned = unsigned == 1
	secret, err := s.box.open(tokenSecretPlace(v), box)
	v.Secret = sallyport.Secret(secret)
	return v, err
}

func readTokenPolicies(ctx context.Context, tx *sql.Tx) ([]sallyport.UserPolicyID, error) {
	rows, err := tx.QueryContext(ctx, `SELECT policy_id FROM token_policies ORDER BY policy_id`)
	if err != nil {
		return nil, fmt.Errorf("read user policies with tokens: %w", err)
	}
	return collect(rows, func(rows *sql.Rows) (id sallyport.UserPolicyID, err error) { return id, rows.Scan(&id) })
}

// readTokenUsers is what a login needs of the token servers: no secret is opened for it.
func readTokenUsers(ctx context.Context, tx *sql.Tx) (u sallyport.TokenUsers, err error) {
	var everyone, servers int64
	if err := tx.QueryRowContext(ctx, `SELECT everyone, (SELECT COUNT(*) FROM token_servers) FROM token_system`).Scan(&everyone, &servers); err != nil {
		return u, fmt.Errorf("read token system: %w", err)
	}
	if servers == 0 {
		return u, nil
	}
	u.Everyone = everyone == 1
	u.Policies, err = readTokenPolicies(ctx, tx)
	return u, err
}

func (s *Store) writeTokenServers(ctx context.Context, tx *sql.Tx, v sallyport.TokenServers) error {
	if _, err := tx.ExecContext(ctx, `UPDATE token_system SET name = $1, everyone = $2, user_name = $3, timeout = $4, tries = $5, version = $6`,
		v.Name, b2i(v.Everyone), string(v.UserName), v.Timeout.Microseconds(), v.Tries, v.Version); err != nil {
		return fmt.Errorf("write token system: %w", err)
	}
	for _, table := range []string{"token_policies", "token_server_sites", "token_servers"} {
		if _, err := tx.ExecContext(ctx, `DELETE FROM `+table); err != nil {
			return fmt.Errorf("clear %s: %w", table, err)
		}
	}
	for _, id := range v.Policies {
		if _, err := tx.ExecContext(ctx, `INSERT INTO token_policies (policy_id) VALUES ($1)`, string(id)); err != nil {
			return fmt.Errorf("write user policy with tokens: %w", err)
		}
	}
	for i, server := range v.Servers {
		if _, err := tx.ExecContext(ctx, `INSERT INTO token_servers (id, position, host, port, sealed_secret, unsigned) VALUES ($1, $2, $3, $4, $5, $6)`,
			string(server.ID), i, server.Host, server.Port, s.box.seal(tokenSecretPlace(server), []byte(server.Secret)), b2i(server.Unsigned)); err != nil {
			return fmt.Errorf("write token server: %w", err)
		}
		for j, site := range server.Sites {
			if _, err := tx.ExecContext(ctx, `INSERT INTO token_server_sites (server_id, site_id, position) VALUES ($1, $2, $3)`, string(server.ID), string(site), j); err != nil {
				return fmt.Errorf("write site of token server: %w", err)
			}
		}
	}
	return nil
}

// tokenSecretPlace binds a secret to where it is used: whoever can write to the database cannot have a server of
// their own answer under it, nor have unsigned answers taken.
func tokenSecretPlace(v sallyport.TokenServer) place {
	return place{table: "token_servers", column: "sealed_secret", row: string(v.ID),
		binding: []string{v.Host, strconv.Itoa(v.Port), strconv.FormatInt(b2i(v.Unsigned), 10)}}
}
