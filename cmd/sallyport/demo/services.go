package demo

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/sallyport/sallyport"
	appliance "github.com/sallyport/sallyport/appliance-connector"
	"github.com/sallyport/sallyport/appliance-connector/keyring"
	"github.com/sallyport/sallyport/appliance-connector/trust"
	"github.com/sallyport/sallyport/cloud"
	"github.com/sallyport/sallyport/cloud/enterprise"
	"github.com/sallyport/sallyport/embed"
	"github.com/sallyport/sallyport/internal/deviceproto"
	"github.com/sallyport/sallyport/internal/pki"
	"github.com/sallyport/sallyport/internal/redisconn"
	"github.com/sallyport/sallyport/test/apmsim"
	"github.com/sallyport/sallyport/test/golive"
	"github.com/sallyport/sallyport/tokensvc"
	"github.com/sallyport/sallyport/tokensvc/deviceapi"
	"github.com/sallyport/sallyport/tokensvc/push"
	"github.com/sallyport/sallyport/tokensvc/push/apns"
	"github.com/sallyport/sallyport/tokensvc/push/fcm"
	"github.com/sallyport/sallyport/web/authenticator"
)

// roots is the authority of the demo's directory.
type roots struct {
	pem    []byte
	pool   *x509.CertPool
	server tls.Certificate
}

func (r *roots) make() error {
	ca, err := pki.NewCA(time.Now())
	if err != nil {
		return err
	}
	if r.server, err = ca.ServerCertificate(time.Now(), 24*time.Hour, "localhost", "127.0.0.1"); err != nil {
		return err
	}
	r.pem, r.pool = ca.CertPEM(), ca.Pool()
	return nil
}

func (d *demo) keyDir() string { return filepath.Join(d.dir, "cloud-keys") }

func (d *demo) startCloud(ctx context.Context) (err error) {
	if err := cloud.InitKeys(d.keyDir()); err != nil {
		return err
	}
	d.cloud, err = cloud.New(ctx, cloud.Config{
		Listen: d.addr(portCloud), TunnelListen: d.addr(portTunnel), AdminListen: d.addr(portCloudAdmin),
		Redis: d.redisURL(), KeyDir: d.keyDir(), PublicURL: d.url(portCloud),
		TunnelAddress: d.addr(portTunnel), TokenServiceAddress: d.addr(portTokens),
		Replica: "demo", Version: d.Version, Grace: time.Second,
	}, cloud.Deps{Log: d.log})
	if err != nil {
		return err
	}
	d.group.Go(func() error { return d.cloud.Run(ctx) })
	d.ready.CloudURL = d.url(portCloud)
	return nil
}

func (d *demo) startTokens(ctx context.Context) (err error) {
	keys, err := cloud.LoadKeys(d.keyDir())
	if err != nil {
		return err
	}
	cert, err := keys.CA.ServerCertificate(time.Now(), 24*time.Hour, "localhost", "127.0.0.1")
	if err != nil {
		return err
	}
	client, err := redisconn.Open(ctx, d.redisURL())
	if err != nil {
		return err
	}
	d.group.Go(func() error { <-ctx.Done(); return client.Close() })
	senders, err := d.senders(ctx)
	if err != nil {
		return err
	}
	d.tokens, err = tokensvc.New(tokensvc.Config{
		Redis: client, GRPCAddr: d.addr(portTokens), GRPCTLS: pki.ServerTLS(cert, keys.CA.Pool()),
		DeviceAddr: d.addr(portDevices), DeviceURL: d.url(portDevices), AdminAddr: d.addr(portTokensAdmin),
		Page: authenticator.Files, WebPush: deviceapi.WebPush{URL: d.url(portPush), Provider: deviceproto.ProviderFCM},
		Senders: senders, Texts: d.textConfig(), Log: d.log, Now: time.Now,
	})
	if err != nil {
		return err
	}
	d.group.Go(func() error { return d.tokens.Run(ctx) })
	d.ready.TokensvcURL = d.url(portDevices)
	return nil
}

func (d *demo) senders(ctx context.Context) (map[deviceproto.Provider]push.Sender, error) {
	a, err := apns.New(apns.Config{Host: d.push.APNsURL, Topic: d.push.Topic, Roots: d.push.Roots, Now: time.Now,
		Key: &apns.SigningKey{P8: d.push.P8, KeyID: d.push.KeyID, TeamID: d.push.TeamID}})
	if err != nil {
		return nil, err
	}
	f, err := fcm.New(ctx, fcm.Config{ServiceAccount: d.push.ServiceAccount, Endpoint: d.push.FCMURL, TokenURL: d.push.TokenURL, Roots: d.push.Roots, Now: time.Now})
	return map[deviceproto.Provider]push.Sender{deviceproto.ProviderAPNs: a, deviceproto.ProviderFCM: f}, err
}

func (d *demo) applianceDir() string { return filepath.Join(d.dir, "appliance") }

// startAppliance does what an administrator does: an enterprise at the cloud, trust with its code, keys.
func (d *demo) startAppliance(ctx context.Context) error {
	ring, err := d.establishTrust(ctx)
	if err != nil {
		return err
	}
	d.ready.EnterpriseID = string(ring.Tenant)
	if err := d.addDomain(ctx, ring); err != nil {
		return err
	}
	if err := d.addAdministrator(ctx, ring); err != nil {
		return err
	}
	d.app, err = appliance.New(ctx, appliance.Config{
		DataDir: d.applianceDir(), RADIUSListen: d.addr(portRADIUS), AdminListen: d.addr(portApplianceAdmin), Version: d.Version,
		Console: appliance.ConsoleConfig{Listen: d.addr(portConsole), URL: d.consoleURL()},
	}, d.log)
	if err != nil {
		return err
	}
	d.group.Go(func() error { return d.app.Run(ctx) })
	d.ready.RADIUSAddr = d.app.RADIUSAddr()
	return d.untilConnected(ctx)
}

// addDomain adds the directory's domain, and reads its users.
func (d *demo) addDomain(ctx context.Context, ring *keyring.Ring) (err error) {
	s, err := appliance.OpenStore(ctx, d.applianceDir(), "", ring, d.log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := setRegion(ctx, s); err != nil {
		return err
	}
	added, err := s.PutDomain(ctx, sallyport.Domain{
		Name: domain, NetBIOS: netbios, Servers: []string{d.ready.LDAPURL}, Authority: string(d.roots.pem), Base: baseDN,
		BindName: "svc@" + domain, BindPassword: servicePass, Every: time.Hour,
	})
	if err != nil {
		return err
	}
	dir, err := appliance.OpenDirectory(ctx, s, 0, d.log)
	if err != nil {
		return err
	}
	defer dir.Close()
	demo := sallyport.Actor{Kind: sallyport.ActorSystem, Name: "demo"}
	y, err := appliance.NewSynchroniser(s, dir, "demo", d.log).Synchronise(ctx, added.ID, sallyport.SynchroniseFull, demo)
	if err == nil && y.State != sallyport.SynchronisationDone {
		err = errors.New(y.Message)
	}
	return err
}

func (d *demo) establishTrust(ctx context.Context) (_ *keyring.Ring, err error) {
	client, err := redisconn.Open(ctx, d.redisURL())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	e, code, err := enterprise.New(client, time.Now).Create(ctx, enterpriseName)
	if err != nil {
		return nil, err
	}
	if _, _, err = trust.Establish(ctx, trust.Request{
		Dir: d.applianceDir(), CloudURL: d.url(portCloud), Tenant: e.ID, Code: code, Name: "demo", Client: &http.Client{Timeout: 10 * time.Second},
	}); err != nil {
		return nil, err
	}
	ring, err := keyring.New(e.ID)
	if err != nil {
		return nil, err
	}
	return ring, ring.Save(d.applianceDir())
}

func (d *demo) untilConnected(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !d.app.Connected() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.New("the appliance's tunnel does not come up")
		}
	}
	return nil
}

// legacyGateway is the address from which the gateway asks where RADIUS alone decides.
const legacyGateway = "127.0.0.2"

// integration is the demo's gateway as configured.
type integration struct {
	secret sallyport.Secret
	legacy sallyport.Secret // of the gateway's access policy without the overlay
	tag    string
	modern apmsim.ExternalScript
}

func (d *demo) addIntegration(ctx context.Context) (in integration, err error) {
	ring, err := keyring.Load(d.applianceDir())
	if err != nil {
		return in, err
	}
	s, err := appliance.OpenStore(ctx, d.applianceDir(), "", ring, d.log)
	if err != nil {
		return in, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	in.secret, in.legacy = sallyport.NewCode(6), sallyport.NewCode(6)
	row := sallyport.Integration{
		ID: "demo-vpn", Kind: "f5-big-ip", Nickname: "Hospital VPN", Secret: in.secret, MessageAuthenticator: sallyport.MessageAuthenticatorAlways,
		Clients: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Origins: []string{d.url(portGateway)},
	}
	if _, err := s.PutIntegration(ctx, row); err != nil {
		return in, err
	}
	// The longest prefix wins: by its address this is another gateway than the one above.
	_, err = s.PutIntegration(ctx, sallyport.Integration{
		ID: "demo-legacy", Kind: "f5-big-ip", Nickname: "Hospital VPN (RADIUS alone)", Secret: in.legacy, MessageAuthenticator: sallyport.MessageAuthenticatorAlways,
		Clients: []netip.Prefix{netip.MustParsePrefix(legacyGateway + "/32")}, Experience: sallyport.ExperienceLegacy, AskMethod: true,
	})
	if err != nil {
		return in, err
	}
	if err := golive.Prepare(ctx, s); err != nil {
		return in, err
	}
	d.ready.RADIUSSecret = string(in.secret)
	in.tag, in.modern.Address, in.modern.Integrity, err = embed.Script(d.url(portCloud), row.ID, ring.Tenant, ring.Fingerprint(), "")
	return in, err
}
