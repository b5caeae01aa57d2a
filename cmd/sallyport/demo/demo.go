// Package demo runs all of Sallyport on this machine, in one process, with nothing to configure: a
// directory, a stand-in BIG-IP, push services of our own, the cloud, the token service, an appliance,
// and an enrolled device. It tells every login step by step. It is for looking, not for use: its
// directory holds passwords in the clear and its Redis is in memory.
package demo

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/alicebob/miniredis/v2"
	"golang.org/x/sync/errgroup"

	"github.com/sallyport/sallyport"
	appliance "github.com/sallyport/sallyport/appliance-connector"
	"github.com/sallyport/sallyport/cloud"
	"github.com/sallyport/sallyport/test/apmsim"
	"github.com/sallyport/sallyport/test/ldapsim"
	"github.com/sallyport/sallyport/test/pushsim"
	"github.com/sallyport/sallyport/test/smssim"
	"github.com/sallyport/sallyport/tokensvc"
)

func now() time.Time { return time.Now() }

// Options are what a person can choose.
type Options struct {
	PortBase  int
	ReadyFile string
	Out       io.Writer // the story
	Log       io.Writer // everything else; nil: a file in the demo's folder
	Version   string
	// Enrol makes a command-line device of an enrolment link, kept in a folder.
	Enrol func(ctx context.Context, link, dir string) error
}

// Ports, counted from the base.
const (
	portGateway = iota
	portDevices
	portCloud
	portTunnel
	portTokens
	portRADIUS
	portLDAP
	portPush
	portPhone
	portCloudAdmin
	portTokensAdmin
	portApplianceAdmin
	portAPNs
	portFCM
	portConsole
	portTexts
	// Ports is how many the demo takes from its base on.
	Ports
)

const (
	enterpriseName = "St. Mary's Hospital"
	netbios        = "HOSPITAL"
	domain         = "hospital.test"
	baseDN         = "DC=hospital,DC=test"
	servicePass    = sallyport.Secret("demo-service-account-1")
)

var accounts = []ldapsim.User{
	{Name: "alice", DisplayName: "Alice Archer", Mail: "alice@hospital.test", Password: "Correct.Horse.1"},
	{Name: "bob", DisplayName: "Bob Baker", Mail: "bob@hospital.test", Password: "Correct.Horse.2", State: sallyport.AccountDisabled},
	{Name: "carol", DisplayName: "Carol Carter", Mail: "carol@hospital.test", Password: "Correct.Horse.3"},
	{Name: "svc", DisplayName: "Service account", Password: servicePass},
}

// demo is the parts as they come up.
type demo struct {
	Options
	dir   string
	log   *slog.Logger
	story *narrator
	group *errgroup.Group
	ready Ready

	redis  *miniredis.Miniredis
	roots  roots
	push   *pushsim.Sim
	texts  *smssim.Sim
	cloud  *cloud.Service
	tokens *tokensvc.Service
	app    *appliance.Service
}

// addr is the address of a port on loopback.
func (d *demo) addr(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(d.PortBase+port))
}

// url is its address for a browser: a name, since browsers keep some things from bare addresses.
func (d *demo) url(port int) string { return "http://localhost:" + strconv.Itoa(d.PortBase+port) }

// Run runs the demo until ctx ends.
func Run(ctx context.Context, o Options) (err error) {
	d := &demo{Options: o}
	if d.dir, err = os.MkdirTemp("", "sallyport-demo-"); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(d.dir)) }()
	if err := d.openLog(); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	d.group, ctx = errgroup.WithContext(ctx)
	if err := d.start(ctx); err != nil {
		stop()
		return errors.Join(err, ignoreCanceled(d.group.Wait()))
	}
	return ignoreCanceled(d.group.Wait())
}

func ignoreCanceled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (d *demo) openLog() error {
	out := d.Log
	if out == nil {
		f, err := os.Create(filepath.Join(d.dir, "demo.log"))
		if err != nil {
			return fmt.Errorf("make log: %w", err)
		}
		out = f // ends with the process
	}
	d.story = newNarrator(d.Out, slog.NewTextHandler(out, nil))
	d.log = slog.New(d.story)
	return nil
}

// start brings everything up in order; what serves runs in the group.
func (d *demo) start(ctx context.Context) error {
	for _, part := range []struct {
		name  string
		start func(context.Context) error
	}{
		{"Redis in memory", d.startRedis},
		{"directory", d.startDirectory},
		{"push services", d.startPush},
		{"gateway for text messages", d.startTexts},
		{"cloud", d.startCloud},
		{"token service", d.startTokens},
		{"appliance", d.startAppliance},
		{"gateway", d.startGateway},
		{"phones", d.startPhones},
	} {
		if err := part.start(ctx); err != nil {
			return fmt.Errorf("start %s: %w", part.name, err)
		}
	}
	return d.announce()
}

func (d *demo) startRedis(ctx context.Context) error {
	d.redis = miniredis.NewMiniRedis()
	if err := d.redis.StartAddr("127.0.0.1:0"); err != nil {
		return err
	}
	d.group.Go(func() error { return runRedis(ctx, d.redis) })
	return nil
}

func (d *demo) redisURL() string { return "redis://" + d.redis.Addr() }

func (d *demo) startDirectory(ctx context.Context) error {
	if err := d.roots.make(); err != nil {
		return err
	}
	s, err := ldapsim.New(ldapsim.Config{NetBIOS: netbios, DNSName: domain, Users: accounts, LockoutThreshold: 10, Now: time.Now})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", d.addr(portLDAP))
	if err != nil {
		return err
	}
	d.group.Go(func() error {
		return s.Serve(tls.NewListener(l, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{d.roots.server}}))
	})
	d.group.Go(func() error { <-ctx.Done(); s.Close(); return nil })
	d.ready.LDAPURL = "ldaps://localhost:" + strconv.Itoa(d.PortBase+portLDAP)
	return nil
}

func (d *demo) startPush(ctx context.Context) (err error) {
	d.push, err = pushsim.Start(pushsim.Config{APNsAddr: d.addr(portAPNs), FCMAddr: d.addr(portFCM), ControlAddr: d.addr(portPush)})
	if err != nil {
		return err
	}
	d.group.Go(func() error { <-ctx.Done(); d.push.Close(); return nil })
	d.group.Go(func() error { return d.tellPushes(ctx) })
	return nil
}

// tellPushes tells of every notification that reached the push services.
func (d *demo) tellPushes(ctx context.Context) error {
	for told := 0; ; {
		arrived := d.push.Arrived()
		list := d.push.Pushes()
		for ; told < len(list); told++ {
			d.story.Step(8, fmt.Sprintf("%q: %q", list[told].Title, list[told].Body))
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return nil
		}
	}
}

func (d *demo) startGateway(ctx context.Context) error {
	in, err := d.addIntegration(ctx)
	if err != nil {
		return err
	}
	g, err := apmsim.Listen(apmsim.Config{
		Listen: d.addr(portGateway), LDAPURL: d.ready.LDAPURL, LDAPRoots: d.roots.pool, BaseDN: baseDN,
		BindDN: "svc@" + domain, BindPassword: servicePass,
		RADIUSServers: []string{d.app.RADIUSAddr()}, RADIUSSecret: in.secret, MessageAuthenticator: true,
		Legacy: apmsim.Legacy{Secret: in.legacy, From: legacyGateway},
		Script: in.tag, ModernScript: in.modern, Log: d.story.Step,
	})
	if err != nil {
		return err
	}
	d.group.Go(func() error { return g.Serve(ctx) })
	d.ready.GatewayURL, d.ready.ModernURL, d.ready.LegacyURL = d.url(portGateway)+"/", d.url(portGateway)+"/modern", d.url(portGateway)+"/legacy"
	return nil
}

func (d *demo) announce() error {
	d.ready.Users = nil
	for _, a := range accounts[:3] {
		d.ready.Users = append(d.ready.Users, User{
			Username: a.Name, Password: string(a.Password), Enrolled: a.Name == "alice", Disabled: a.State == sallyport.AccountDisabled,
		})
	}
	_, err := fmt.Fprintf(d.Out, `
Sallyport runs. Everything is on this machine and ends with Ctrl-C.

  1. Open the phone, and leave it open beside the next window:
       %s
  2. Open the gateway's logon page and log in as alice, password %s:
       %s          (the standard page)
       %s    (the modern page)
       %s    (without the overlay: everything happens in RADIUS)
  3. Type the two digits that the page shows on the phone.

  The console for administrators (the browser warns: its certificate is the appliance's own):
       %s     as %s, password %s; the code is told below when it is asked for.

  To try as well: bob, %s (right password, account disabled); carol, %s (has nothing enrolled, and is asked to).
  A phone on the command line, enrolled for alice as well:
       sallyport authenticator watch --store %s

What happens is told below, text messages included; the numbers are those of docs/login-steps.md.

`, d.ready.PhoneURL, string(accounts[0].Password), d.ready.GatewayURL, d.ready.ModernURL, d.ready.LegacyURL, d.ready.ConsoleURL, consoleUser, string(consolePassword), string(accounts[1].Password), string(accounts[2].Password), d.ready.DeviceStore)
	if err != nil || d.ReadyFile == "" {
		return err
	}
	return d.ready.write(d.ReadyFile)
}
