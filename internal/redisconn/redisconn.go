// Package redisconn opens the connection to Redis for every service alike. It knows nothing of what
// is kept there.
package redisconn

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Open connects to Redis and asks it once for a sign of life. address is a redis:// or rediss:// URL;
// several addresses joined by commas are a Cluster, or, with ?master_name=NAME in the first, Sentinels.
func Open(ctx context.Context, address string) (redis.UniversalClient, error) {
	opts, err := options(address)
	if err != nil {
		return nil, err
	}
	c := redis.NewUniversalClient(opts)
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := c.Ping(ctx).Err(); err != nil {
		_ = c.Close()
		return nil, fmt.Errorf("reach redis: %w", err)
	}
	return c, nil
}

func options(address string) (*redis.UniversalOptions, error) {
	u := &redis.UniversalOptions{
		DisableIdentity:          true, // CLIENT SETINFO is unknown to Redis 7.0
		Protocol:                 2,    // with 3 the client looks for pushes around every command, and nobody here wants any
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		DialTimeout:              2 * time.Second,
		ReadTimeout:              2 * time.Second,
		WriteTimeout:             2 * time.Second,
		ContextTimeoutEnabled:    true,
		PoolSize:                 64,
	}
	for i, part := range strings.Split(address, ",") {
		part, master := cutMaster(part)
		o, err := redis.ParseURL(part)
		if err != nil {
			// The URL may hold a password: say what is wrong without it.
			return nil, fmt.Errorf("redis address %d is not a redis:// or rediss:// URL", i+1)
		}
		u.Addrs = append(u.Addrs, o.Addr)
		if i == 0 {
			u.Username, u.Password, u.DB, u.TLSConfig = o.Username, o.Password, o.DB, tlsConfig(o.TLSConfig)
			u.MasterName = master
		}
	}
	return u, nil
}

func cutMaster(address string) (rest, master string) {
	rest, master, _ = strings.Cut(address, "?master_name=")
	return rest, master
}

func tlsConfig(c *tls.Config) *tls.Config {
	if c != nil {
		c.MinVersion = tls.VersionTLS12
	}
	return c
}
