package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/sallyport/sallyport"
	appliance "github.com/sallyport/sallyport/appliance-connector"
	"github.com/sallyport/sallyport/appliance-connector/devices"
	"github.com/sallyport/sallyport/appliance-connector/keyring"
	"github.com/sallyport/sallyport/appliance-connector/store"
	"github.com/sallyport/sallyport/appliance-connector/trust"
	"github.com/sallyport/sallyport/internal/telemetry"
)

// owner is whose phones the demo enrols.
var owner = sallyport.NewAccountName(netbios, accounts[0].Name)

// maxInvites bounds the enrolments that wait for a browser at a time.
const maxInvites = 32

// phoneDoor sends every browser that comes for the first time to an enrolment link of its own, and one
// that came before to its phone. A company hands links out by other ways, and never like this.
type phoneDoor struct {
	d      *demo
	trust  *trust.Trust
	store  *store.Store
	client *devices.Client
	places chan struct{}
	ctx    context.Context // of the demo: an enrolment outlives the request that began it
}

func (d *demo) startPhones(ctx context.Context) (err error) {
	p := &phoneDoor{d: d, places: make(chan struct{}, maxInvites), ctx: ctx}
	if p.trust, err = trust.Load(d.applianceDir()); err != nil {
		return err
	}
	ring, err := keyring.Load(d.applianceDir())
	if err != nil {
		return err
	}
	if p.store, err = appliance.OpenStore(ctx, d.applianceDir(), "", ring, d.log); err != nil {
		return err
	}
	if p.client, err = devices.Dial(p.trust.TokenService, p.trust.TLS("")); err != nil {
		return err
	}
	d.group.Go(func() error { <-ctx.Done(); return errors.Join(p.client.Close(), p.store.Close()) })
	l, err := net.Listen("tcp", d.addr(portPhone))
	if err != nil {
		return err
	}
	d.group.Go(func() error { return telemetry.Serve(ctx, l, p) })
	d.ready.PhoneURL = d.url(portPhone) + "/"
	d.ready.DeviceStore = filepath.Join(d.dir, "command-line-phone")
	return p.enrolCommandLine(ctx)
}

// enrolCommandLine enrols a device on the command line, so that somebody is enrolled from the start.
func (p *phoneDoor) enrolCommandLine(ctx context.Context) error {
	link, done, err := p.invite(ctx)
	if err != nil {
		return err
	}
	if err := p.d.Enrol(ctx, string(link), p.d.ready.DeviceStore); err != nil {
		return fmt.Errorf("enrol the command-line device: %w", err)
	}
	return <-done
}

// invite makes a link; done tells how the enrolment ended.
func (p *phoneDoor) invite(ctx context.Context) (link sallyport.Secret, done <-chan error, err error) {
	select {
	case p.places <- struct{}{}:
	default:
		return "", nil, errors.New("too many phones are being enrolled; wait a minute")
	}
	e, err := p.client.Invite(ctx, p.trust.Tenant, p.trust.EnterpriseName, owner)
	if err != nil {
		<-p.places
		return "", nil, err
	}
	ended := make(chan error, 1)
	p.d.group.Go(func() error {
		defer func() { <-p.places }()
		ctx, cancel := context.WithTimeout(p.ctx, devices.LinkLife)
		defer cancel()
		_, err := p.client.Await(ctx, e, time.Now, p.store.PutDevice)
		ended <- err
		return nil // a link that nobody used ends no demo
	})
	return e.Link.Text(), ended, nil
}

const cameCookie = "sallyport-demo-phone"

func (p *phoneDoor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/" || r.Method != http.MethodGet {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	target := p.d.url(portDevices) + "/authenticator/"
	if c, err := r.Cookie(cameCookie); err != nil || c.Value != p.d.ready.EnterpriseID {
		link, _, err := p.invite(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		target = string(link)
		http.SetCookie(w, &http.Cookie{Name: cameCookie, Value: p.d.ready.EnterpriseID, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	}
	http.Redirect(w, r, target, http.StatusFound)
}
