package radiusload

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/appliance-connector/claims"
	"github.com/sallyport/sallyport/appliance-connector/radius"
	"github.com/sallyport/sallyport/appliance-connector/radius/tokencheck"
	"github.com/sallyport/sallyport/internal/gatewaytoken"
)

// Integration is the gateway that the load plays.
const Integration = sallyport.IntegrationID("load")

const domain = "hospital"

// Mint makes gateway tokens for n log-ins of users, good for as long as a token can be.
func Mint(ring gatewaytoken.Ring, integration sallyport.IntegrationID, n, users int, now time.Time) []Login {
	logins := make([]Login, n)
	var nonce [8]byte
	rand.Read(nonce[:])
	first := binary.BigEndian.Uint64(nonce[:])
	for i := range logins {
		binary.BigEndian.PutUint64(nonce[:], first+uint64(i))
		user := UserName(i % users)
		logins[i] = Login{user, ring.Mint(integration, sallyport.NewAccountName(domain, user), nonce,
			now.Add(gatewaytoken.Lifetime+gatewaytoken.Skew))}
	}
	return logins
}

// UserName names the users of a load.
func UserName(i int) string { return fmt.Sprintf("user%04d", i) }

// names is a directory in which every bare name is an account.
type names struct{}

func (names) IdentifyNow(typed string) (sallyport.AccountName, bool) {
	if d, user, found := strings.Cut(typed, `\`); found {
		return sallyport.NewAccountName(d, user), true
	}
	return sallyport.NewAccountName(domain, typed), true
}

func (n names) Identify(_ context.Context, typed string) (sallyport.AccountName, error) {
	account, _ := n.IdentifyNow(typed)
	return account, nil
}

// noCodes is a user base without devices.
type noCodes struct{}

func (noCodes) CheckCode(context.Context, sallyport.AccountName, sallyport.Secret, string, []sallyport.Method, []sallyport.Secret) (sallyport.Method, string, error) {
	return "", "no device", nil
}

func (noCodes) Standing(context.Context, sallyport.AccountName) (sallyport.Standing, error) {
	return sallyport.Standing{}, nil
}

// Ring reads a key from a file that StartSallyport wrote.
func Ring(keyFile string) (gatewaytoken.Ring, error) {
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return gatewaytoken.Ring{}, fmt.Errorf("read token key: %w", err)
	}
	return gatewaytoken.NewRing(gatewaytoken.Key{ID: 1, Secret: key})
}

// Serve is our RADIUS server with the token check and claims in memory, on loopback.
func Serve(ctx context.Context, address string, secret sallyport.Secret, ring gatewaytoken.Ring) error {
	claimer := claims.New(claims.Options{Capacity: 32 << 20})
	defer claimer.Close()
	s, err := radius.Listen(radius.Options{
		Address: address,
		Integrations: []sallyport.Integration{{
			ID: Integration, Nickname: "load", Secret: secret, MessageAuthenticator: sallyport.MessageAuthenticatorAlways,
			Clients: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		}},
		Verifier: tokencheck.New(tokencheck.Options{
			Keys: func() gatewaytoken.Ring { return ring }, Claimer: claimer, Directory: names{}, Standings: noCodes{}, Codes: noCodes{},
		}),
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return err
	}
	return s.Serve(ctx)
}

// StartSallyport runs Serve on one core, as a process: program is called with "serve", the address,
// the file of the shared secret and the file of the token key, which are made in dir.
func StartSallyport(ctx context.Context, dir, core, program string, secret sallyport.Secret) (*Process, gatewaytoken.Ring, error) {
	var none gatewaytoken.Ring
	key := make([]byte, 32)
	rand.Read(key)
	keyFile, secretFile := filepath.Join(dir, "key"), filepath.Join(dir, "secret")
	for file, content := range map[string][]byte{keyFile: key, secretFile: []byte(secret)} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			return nil, none, fmt.Errorf("configure our server: %w", err)
		}
	}
	ring, err := Ring(keyFile)
	if err != nil {
		return nil, none, err
	}
	port, err := freePort()
	if err != nil {
		return nil, none, err
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	p, err := start(ctx, "sallyport", core, program, "serve", address, secretFile, keyFile)
	if err != nil {
		return nil, none, err
	}
	p.Address = address
	return p, ring, p.ready(ctx, Load{Secret: secret, Logins: Mint(ring, Integration, 1, 1, time.Now())})
}
