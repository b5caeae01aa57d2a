// Package enterprise keeps the cloud's records of its customers: which enterprises there are, the
// one-time provisioning codes with which their appliances establish trust, and the appliances that
// did. It signs the appliances' certificates.
//
// Only the hash of a provisioning code is kept. The authority's key is in files of the operator and
// never in Redis. Private keys of appliances are never seen.
package enterprise

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/redis/go-redis/v9"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/pki"
	"github.com/sallyport/sallyport/internal/revocation"
)

const (
	// DefaultCodeTTL is how long a provisioning code can be used.
	DefaultCodeTTL = 72 * time.Hour
	// maxCodeTTL bounds what an administrator may choose.
	maxCodeTTL = 30 * 24 * time.Hour
	// codeGroups: 100 bits. No number of guesses finds one.
	codeGroups = 4
	// certificateTTL is how long an appliance's certificate holds; it renews it well before.
	certificateTTL = 30 * 24 * time.Hour
	// maxName bounds names, in characters.
	maxName = 80
	// serialsKept is how many certificates of an appliance are remembered.
	serialsKept = 16
	// maxAppliances bounds the appliances of one enterprise.
	maxAppliances = 1000
)

// Enterprise is a customer.
type Enterprise struct {
	ID      sallyport.TenantID
	Name    string
	Created time.Time
}

// Appliance is a host that established trust.
type Appliance struct {
	ID      sallyport.ApplianceID
	Name    string
	Trusted time.Time
	// Expires is when its latest certificate ends.
	Expires time.Time
	// Serials are those of its latest certificates, hexadecimal, newest first.
	Serials []string
	Revoked bool
}

// Store keeps the records in Redis.
type Store struct {
	Redis   redis.UniversalClient
	Revoked revocation.List
	Now     func() time.Time
}

// New makes a Store.
func New(r redis.UniversalClient, now func() time.Time) *Store {
	return &Store{Redis: r, Revoked: revocation.List{Redis: r}, Now: now}
}

const listKey = "sp:enterprises"

func tenantKey(t sallyport.TenantID, what string) string { return "sp:{" + string(t) + "}:" + what }

func enterpriseKey(t sallyport.TenantID) string { return tenantKey(t, "enterprise") }
func appliancesKey(t sallyport.TenantID) string { return tenantKey(t, "appliances") }
func applianceKey(id pki.Identity) string {
	return tenantKey(id.Tenant, "appliance:"+string(id.Appliance))
}
func serialsKey(id pki.Identity) string { return applianceKey(id) + ":serials" }

func codeKey(t sallyport.TenantID, code sallyport.Secret) string {
	h := sha256.Sum256([]byte(sallyport.CanonicalCode(code)))
	return tenantKey(t, "code:"+hex.EncodeToString(h[:]))
}

// Create makes an enterprise and the provisioning code for its first appliance. The code is shown
// once, here.
func (s *Store) Create(ctx context.Context, name string) (Enterprise, sallyport.Secret, error) {
	name, err := cleanName("enterprise", name)
	if err != nil {
		return Enterprise{}, "", err
	}
	e := Enterprise{ID: sallyport.TenantID(sallyport.NewID()), Name: name, Created: s.Now()}
	if err := s.Redis.HSet(ctx, enterpriseKey(e.ID), "name", name, "created", e.Created.UnixMilli()).Err(); err != nil {
		return Enterprise{}, "", fmt.Errorf("create enterprise: %w", err)
	}
	if err := s.Redis.SAdd(ctx, listKey, string(e.ID)).Err(); err != nil {
		return Enterprise{}, "", fmt.Errorf("list enterprise: %w", err)
	}
	code, err := s.NewCode(ctx, e.ID, DefaultCodeTTL)
	return e, code, err
}

// NewCode makes another provisioning code. It can be used once, within ttl; 0 is DefaultCodeTTL.
func (s *Store) NewCode(ctx context.Context, tenant sallyport.TenantID, ttl time.Duration) (sallyport.Secret, error) {
	if ttl == 0 {
		ttl = DefaultCodeTTL
	}
	if ttl < time.Second || ttl > maxCodeTTL {
		return "", sallyport.Errorf(sallyport.CodeInvalid, "A provisioning code can be used for a second at least and 30 days at most.", nil)
	}
	if _, err := s.Get(ctx, tenant); err != nil {
		return "", err
	}
	code := sallyport.NewCode(codeGroups)
	if err := s.Redis.Set(ctx, codeKey(tenant, code), "1", ttl).Err(); err != nil {
		return "", fmt.Errorf("keep provisioning code: %w", err)
	}
	return code, nil
}

// Get returns an enterprise; code not_found when there is none.
func (s *Store) Get(ctx context.Context, tenant sallyport.TenantID) (Enterprise, error) {
	if !sallyport.ValidID(string(tenant)) {
		return Enterprise{}, errUnknown()
	}
	m, err := s.Redis.HGetAll(ctx, enterpriseKey(tenant)).Result()
	if err != nil {
		return Enterprise{}, fmt.Errorf("read enterprise: %w", err)
	}
	if len(m) == 0 {
		return Enterprise{}, errUnknown()
	}
	return Enterprise{ID: tenant, Name: m["name"], Created: millis(m["created"])}, nil
}

func errUnknown() error {
	return sallyport.Errorf(sallyport.CodeNotFound, "There is no such enterprise.", nil)
}

// Exists reports whether there is such an enterprise.
func (s *Store) Exists(ctx context.Context, tenant sallyport.TenantID) (bool, error) {
	n, err := s.Redis.Exists(ctx, enterpriseKey(tenant)).Result()
	if err != nil {
		return false, fmt.Errorf("look up enterprise: %w", err)
	}
	return n > 0, nil
}

// List returns all enterprises, by name.
func (s *Store) List(ctx context.Context) ([]Enterprise, error) {
	ids, err := s.Redis.SMembers(ctx, listKey).Result()
	if err != nil {
		return nil, fmt.Errorf("list enterprises: %w", err)
	}
	out := make([]Enterprise, 0, len(ids))
	for _, id := range ids {
		e, err := s.Get(ctx, sallyport.TenantID(id))
		if sallyport.ErrorCode(err) == sallyport.CodeNotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b Enterprise) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(string(a.ID), string(b.ID)))
	})
	return out, nil
}

// Appliances returns the appliances of an enterprise, oldest first.
func (s *Store) Appliances(ctx context.Context, tenant sallyport.TenantID) ([]Appliance, error) {
	if _, err := s.Get(ctx, tenant); err != nil {
		return nil, err
	}
	ids, err := s.Redis.SMembers(ctx, appliancesKey(tenant)).Result()
	if err != nil {
		return nil, fmt.Errorf("list appliances: %w", err)
	}
	out := make([]Appliance, 0, len(ids))
	for _, id := range ids {
		a, err := s.appliance(ctx, pki.Identity{Tenant: tenant, Appliance: sallyport.ApplianceID(id)})
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b Appliance) int {
		return cmp.Or(a.Trusted.Compare(b.Trusted), strings.Compare(string(a.ID), string(b.ID)))
	})
	return out, nil
}

func (s *Store) appliance(ctx context.Context, id pki.Identity) (Appliance, error) {
	m, err := s.Redis.HGetAll(ctx, applianceKey(id)).Result()
	if err != nil {
		return Appliance{}, fmt.Errorf("read appliance: %w", err)
	}
	if len(m) == 0 {
		return Appliance{}, errUnknownAppliance()
	}
	serials, err := s.Redis.LRange(ctx, serialsKey(id), 0, serialsKept-1).Result()
	if err != nil {
		return Appliance{}, fmt.Errorf("read certificates of appliance: %w", err)
	}
	revoked, err := s.Revoked.Revoked(ctx, id)
	if err != nil {
		return Appliance{}, err
	}
	return Appliance{ID: id.Appliance, Name: m["name"], Trusted: millis(m["trusted"]), Expires: millis(m["expires"]),
		Serials: serials, Revoked: revoked}, nil
}

func errUnknownAppliance() error {
	return sallyport.Errorf(sallyport.CodeNotFound, "There is no such appliance in this enterprise.", nil)
}

// Revoke cuts an appliance off, for good.
func (s *Store) Revoke(ctx context.Context, tenant sallyport.TenantID, appliance sallyport.ApplianceID) error {
	id := pki.Identity{Tenant: tenant, Appliance: appliance}
	known, err := s.Redis.SIsMember(ctx, appliancesKey(tenant), string(appliance)).Result()
	if err != nil {
		return fmt.Errorf("look up appliance: %w", err)
	}
	if !known {
		return errUnknownAppliance()
	}
	return s.Revoked.Revoke(ctx, id)
}

// cleanName takes a name as people write it.
func cleanName(of, name string) (string, error) {
	name = strings.TrimSpace(name)
	n := utf8.RuneCountInString(name)
	bad := !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) })
	if n == 0 || n > maxName || bad {
		return "", sallyport.Errorf(sallyport.CodeInvalid,
			fmt.Sprintf("The name of the %s must have 1 to %d printable characters.", of, maxName), errors.New("name refused"))
	}
	return name, nil
}

func millis(s string) time.Time {
	var ms int64
	if _, err := fmt.Sscanf(s, "%d", &ms); err != nil {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}
