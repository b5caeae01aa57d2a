package demo

import (
	"context"
	"encoding/base32"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport"
	appliance "github.com/sallyport/sallyport/appliance-connector"
	"github.com/sallyport/sallyport/appliance-connector/admin"
	"github.com/sallyport/sallyport/appliance-connector/keyring"
	"github.com/sallyport/sallyport/appliance-connector/trust"
	"github.com/sallyport/sallyport/internal/deviceproto"
)

const (
	consoleUser     = "olive"
	consolePassword = sallyport.Secret("Correct.Horse.Console.1")
)

// generator is the code generator of the console's administrator.
type generator struct{ seed sallyport.Key }

// code is what it shows at a time.
func (g generator) code(at time.Time) string {
	c, err := deviceproto.TokenCode(g.seed, at)
	if err != nil {
		return err.Error() // a seed of the wrong length: cannot be
	}
	return string(c)
}

// addAdministrator goes through the console's first start as a person does: a setup code, a name and a
// password, and a code generator.
func (d *demo) addAdministrator(ctx context.Context, ring *keyring.Ring) (err error) {
	s, err := appliance.OpenStore(ctx, d.applianceDir(), "", ring, d.log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	t, err := trust.Load(d.applianceDir())
	if err != nil {
		return err
	}
	a, err := admin.New(appliance.Administration(s, t, ring))
	if err != nil {
		return err
	}
	code, err := a.IssueSetupCode(ctx)
	if err != nil {
		return err
	}
	session, err := a.Setup(ctx, admin.SetupRequest{Code: code, Name: consoleUser, DisplayName: "Olive Oakley", Mail: "olive@hospital.test",
		Password: consolePassword, Visitor: admin.Visitor{Address: "127.0.0.1", Origin: d.consoleURL()}})
	if err != nil {
		return err
	}
	offer, err := a.OfferTOTP(ctx, session)
	if err != nil {
		return err
	}
	g := generator{}
	if g.seed, err = base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(string(offer.Secret)); err != nil {
		return fmt.Errorf("read secret: %w", err)
	}
	// The code before this one, so that the one of now can still be used.
	session, _, err = a.EnrolTOTP(ctx, session, offer.State, sallyport.Secret(g.code(now().Add(-30*time.Second))))
	if err != nil {
		return err
	}
	d.story.generator.Store(&g)
	d.ready.ConsoleURL, d.ready.ConsoleUser, d.ready.ConsolePassword = d.consoleURL()+"/", consoleUser, string(consolePassword)
	d.ready.ConsoleTOTPSecret = string(offer.Secret)
	return a.SignOut(ctx, session)
}

func (d *demo) consoleURL() string {
	return fmt.Sprintf("https://localhost:%d", d.PortBase+portConsole)
}
