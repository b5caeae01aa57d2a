package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sallyport/sallyport"
	appliance "github.com/sallyport/sallyport/appliance-connector"
	"github.com/sallyport/sallyport/appliance-connector/devices"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/appliance-connector/trust"
	"github.com/sallyport/sallyport/internal/deviceproto"
	"github.com/sallyport/sallyport/test/golive"
	"github.com/sallyport/sallyport/test/pushsim"
)

// person is a user with an enrolled phone that answers by itself.
type person struct {
	name  string
	phone *deviceproto.Client
	keys  deviceproto.Keys
	push  string // the phone's address at the push simulator
}

func personName(i int) string { return fmt.Sprintf("person%04d", i) }

// behind sends requests as through the proxy in front of the token service, each phone with an
// address of its own: the service limits addresses.
type behind struct {
	address string
	next    http.RoundTripper
}

func (b behind) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Forwarded-For", b.address)
	return b.next.RoundTrip(r)
}

// enrol enrols a phone for each of n users, as 'sallyport appliance enrol' does beside a running appliance.
func (f *founded) enrol(ctx context.Context, n int, sim *pushsim.Sim) (list []*person, err error) {
	t, err := trust.Load(f.dir)
	if err != nil {
		return nil, err
	}
	db, err := appliance.OpenStore(ctx, f.dir, "", f.ring, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	client, err := devices.Dial(t.TokenService, t.TLS(""))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	list = make([]*person, n)
	accounts := make([]sallyport.AccountName, n)
	for i := range accounts {
		accounts[i] = sallyport.NewAccountName(netbios, personName(i))
	}
	if err := errors.Join(golive.Prepare(ctx, db), putUsers(ctx, db, f.domain, accounts)); err != nil {
		return nil, err
	}
	through := &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for i := range list {
		p := &person{name: personName(i), push: sim.Register(pushsim.FCM)}
		p.phone = &deviceproto.Client{Tenant: f.ring.Tenant, Now: time.Now, HTTP: &http.Client{
			Transport: behind{net.IPv4(10, 0, byte(i>>8), byte(i)).String(), through}, Timeout: 30 * time.Second,
		}}
		list[i] = p
		g.Go(func() error { return p.enrol(ctx, client, t.EnterpriseName, db) })
	}
	return list, g.Wait()
}

// putUsers puts accounts into the list of users, as active ones with the default policy.
func putUsers(ctx context.Context, s *store.Store, domain sallyport.DomainID, accounts []sallyport.AccountName) error {
	for part := range slices.Chunk(accounts, 1000) {
		changes := make([]store.UserChange, len(part))
		for i, a := range part {
			sum := sha256.Sum256([]byte(a)) // an objectGUID of its own, always the same
			changes[i] = store.UserChange{
				GUID: hex.EncodeToString(sum[:16]), State: sallyport.UserActive, Account: a,
				DN: "CN=" + a.User() + ",OU=Staff,DC=hospital,DC=test", DisplayName: a.User(),
			}
		}
		if _, err := s.ApplyUsers(ctx, domain, changes); err != nil {
			return fmt.Errorf("put users into the list: %w", err)
		}
	}
	return nil
}

func (p *person) enrol(ctx context.Context, client *devices.Client, enterprise string, db *store.Store) error {
	e, err := client.Invite(ctx, p.phone.Tenant, enterprise, sallyport.NewAccountName(netbios, p.name))
	if err != nil {
		return err
	}
	key, err := deviceproto.NewKey()
	if err != nil {
		return err
	}
	p.phone.Base, p.phone.Key = e.Link.Base, key
	p.keys = deviceproto.DeriveKeys(e.Link.Secret, deviceproto.Thumbprint(&key.PublicKey))
	ended := make(chan error, 1)
	go func() {
		_, err := client.Await(ctx, e, time.Now, db.PutDevice)
		ended <- err
	}()
	err = p.phone.Register(ctx, e.ID, p.keys.Proof, deviceproto.About{
		Name: "Phone", Platform: "android", AppVersion: "1.0", Push: deviceproto.Push{Provider: deviceproto.ProviderFCM, Token: p.push},
	})
	if err != nil {
		return err
	}
	return <-ended
}

// approve fetches the question and approves it with the number.
func (p *person) approve(ctx context.Context, number string) error {
	list, err := p.phone.Challenges(ctx, 5*time.Second)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return errors.New("nothing to approve")
	}
	box, err := deviceproto.Decode(list[0].Sealed)
	if err != nil {
		return err
	}
	d, err := deviceproto.OpenDetails(p.keys.Details, p.phone.Device(), list[0].ID, box)
	if err != nil {
		return err
	}
	answer, err := deviceproto.SealAnswer(p.phone.Key, p.keys.Details, deviceproto.Answer{
		Challenge: list[0].ID, Decision: sallyport.DecisionApprove, Number: number, User: d.User, Application: d.Application, At: time.Now(),
	})
	if err != nil {
		return err
	}
	return p.phone.Answer(ctx, list[0].ID, answer)
}
