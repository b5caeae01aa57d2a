package stack

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/internal/deviceproto"
	"github.com/sallyport/sallyport/test/harness"
	"github.com/sallyport/sallyport/test/pushsim"
)

// User is somebody in the directory.
type User struct {
	Name     string
	Password sallyport.Secret
}

// NewUser adds a user to the directory and to the lists of users, for one test alone.
func (s *Stack) NewUser(tb testing.TB) User {
	tb.Helper()
	var b [5]byte
	rand.Read(b[:])
	u := User{Name: "u" + hex.EncodeToString(b[:]), Password: sallyport.Secret("Horse.Battery-" + hex.EncodeToString(b[:]))}
	s.Samba.AddUser(u.Name, string(u.Password))
	if err := s.lists.add(u.Account()); err != nil {
		tb.Fatal(err)
	}
	return u
}

// Enrolment is 'sallyport appliance enrol', waiting for a phone.
type Enrolment struct {
	Link  sallyport.Secret
	ended chan error
}

// Invite runs 'sallyport appliance enrol' up to the link.
func (s *Stack) Invite(tb testing.TB, user string) *Enrolment {
	tb.Helper()
	return s.invite(tb, s.ApplianceConfig(0), user)
}

func (s *Stack) invite(tb testing.TB, config, user string) *Enrolment {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	cmd := exec.CommandContext(ctx, s.bin, "appliance", "enrol", "--config", config, "--user", user, "-o", "json")
	var errw bytes.Buffer
	cmd.Stderr = &errw
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		tb.Fatalf("invite %s: %v", user, err)
	}
	e := &Enrolment{ended: make(chan error, 1)}
	printed := json.NewDecoder(bufio.NewReader(out))
	var first struct{ Link string }
	err = printed.Decode(&first)
	go func() {
		var second struct{ DeviceID string }
		again := printed.Decode(&second)
		werr := cmd.Wait()
		if werr == nil && again == nil && second.DeviceID == "" {
			werr = fmt.Errorf("no device in what was printed")
		}
		if werr != nil {
			werr = fmt.Errorf("enrol %s: %w\n%s", user, werr, errw.String())
		}
		e.ended <- werr
	}()
	stop := func() error { cancel(); return <-e.ended }
	if err != nil {
		tb.Fatalf("invite %s: %v: %v", user, err, stop())
	}
	tb.Cleanup(func() { cancel() })
	e.Link = sallyport.Secret(first.Link)
	return e
}

// Done waits until the phone is enrolled.
func (e *Enrolment) Done(tb testing.TB) {
	tb.Helper()
	if err := e.Ended(tb); err != nil {
		tb.Fatal(err)
	}
}

// Ended waits for the command's end and returns what it complained of.
func (e *Enrolment) Ended(tb testing.TB) error {
	tb.Helper()
	select {
	case err := <-e.ended:
		return err
	case <-time.After(patience):
		tb.Fatal("the enrolment does not end")
		return nil
	}
}

// Device is an enrolled phone in the test's own process.
type Device struct {
	*deviceproto.Client
	Keys      deviceproto.Keys
	PushToken string // its address at the push simulator
}

// Enrol enrols a phone for a user, with an address at the push simulator.
func (s *Stack) Enrol(tb testing.TB, user string) *Device {
	tb.Helper()
	return s.complete(tb, s.Invite(tb, user))
}

// complete enrols a phone with an invitation.
func (s *Stack) complete(tb testing.TB, e *Enrolment) *Device {
	tb.Helper()
	d := s.register(tb, e)
	e.Done(tb)
	d.await(tb, e)
	return d
}

// Follow makes a phone of a link that a page shows.
func (s *Stack) Follow(tb testing.TB, link sallyport.Secret) *Device {
	tb.Helper()
	return s.register(tb, &Enrolment{Link: link})
}

// register makes a phone of a link.
func (s *Stack) register(tb testing.TB, e *Enrolment) *Device {
	tb.Helper()
	link, err := deviceproto.ParseLink(string(e.Link))
	if err != nil {
		tb.Fatalf("read link: %v", err)
	}
	key, err := deviceproto.NewKey()
	if err != nil {
		tb.Fatalf("make key: %v", err)
	}
	id := deviceproto.Thumbprint(&key.PublicKey)
	d := &Device{
		Client: &deviceproto.Client{Base: link.Base, Tenant: link.Tenant, Key: key, HTTP: newHTTP(), Now: time.Now},
		Keys:   deviceproto.DeriveKeys(link.Secret, id), PushToken: s.Push.Register(pushsim.FCM),
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err = d.Client.Register(ctx, link.Enrolment, d.Keys.Proof, deviceproto.About{
		Name: "Phone of the test", Platform: "android", AppVersion: "1.0",
		Push: deviceproto.Push{Provider: deviceproto.ProviderFCM, Token: d.PushToken},
	})
	if err != nil {
		tb.Fatalf("register phone: %v", err)
	}
	return d
}

// await opens what the appliance says of whom the phone belongs to.
func (d *Device) await(tb testing.TB, e *Enrolment) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	link, err := deviceproto.ParseLink(string(e.Link))
	if err != nil {
		tb.Fatal(err)
	}
	st, err := d.EnrolmentStatus(ctx, link.Enrolment, 20*time.Second)
	if err != nil {
		tb.Fatalf("ask about enrolment: %v", err)
	}
	box, err := deviceproto.Decode(st.Sealed)
	if err != nil {
		tb.Fatalf("read enrolment: %v", err)
	}
	a, err := deviceproto.OpenAccount(d.Keys.Details, d.Device(), box)
	if err != nil || a.Enterprise == "" {
		tb.Fatalf("open enrolment: %v, %+v", err, a)
	}
}

func newHTTP() *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2, IdleConnTimeout: 10 * time.Second}, Timeout: 40 * time.Second}
}

// Challenge is a question that has reached the phone.
type Challenge struct {
	ID      sallyport.ChallengeID
	Details sallyport.ChallengeDetails
	Left    time.Duration
	device  *Device
}

// Challenge waits for the question, as an app that was opened does. Errors of an outage are tried again.
func (d *Device) Challenge(ctx context.Context) (*Challenge, error) {
	return d.ChallengeOtherThan(ctx, "")
}

// ChallengeOtherThan is Challenge, but passes over one that is known already.
func (d *Device) ChallengeOtherThan(ctx context.Context, old sallyport.ChallengeID) (*Challenge, error) {
	for {
		list, err := d.Challenges(ctx, 2*time.Second)
		for _, p := range list {
			if p.ID == old {
				continue
			}
			return d.open(p)
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("wait for a challenge: %w (last: %w)", ctx.Err(), err)
		}
		if err != nil || len(list) > 0 {
			pause(ctx, 50*time.Millisecond)
		}
	}
}

func (d *Device) open(p deviceproto.Pending) (*Challenge, error) {
	box, err := deviceproto.Decode(p.Sealed)
	if err != nil {
		return nil, fmt.Errorf("read challenge: %w", err)
	}
	det, err := deviceproto.OpenDetails(d.Keys.Details, d.Device(), p.ID, box)
	if err != nil {
		return nil, fmt.Errorf("open challenge: %w", err)
	}
	return &Challenge{p.ID, det, time.Duration(p.RemainingMS) * time.Millisecond, d}, nil
}

// Seal signs and seals an answer.
func (c *Challenge) Seal(decision sallyport.Decision, number string) ([]byte, error) {
	return deviceproto.SealAnswer(c.device.Key, c.device.Keys.Details, deviceproto.Answer{
		Challenge: c.ID, Decision: decision, Number: number, User: c.Details.User, Application: c.Details.Application, At: time.Now(),
	})
}

// Answer answers, and tries again while the service is out of reach: the same octets each time.
func (c *Challenge) Answer(ctx context.Context, decision sallyport.Decision, number string) error {
	box, err := c.Seal(decision, number)
	if err != nil {
		return err
	}
	for {
		err := c.device.Client.Answer(ctx, c.ID, box)
		switch sallyport.ErrorCode(err) {
		case "", sallyport.CodeExpired, sallyport.CodeConflict, sallyport.CodeNotFound, sallyport.CodeInvalid, sallyport.CodeDenied:
			return err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("answer: %w (last: %w)", ctx.Err(), err)
		}
		pause(ctx, 100*time.Millisecond)
	}
}

// Approve waits for the question and approves it.
func (d *Device) Approve(ctx context.Context, number string) error {
	c, err := d.Challenge(ctx)
	if err != nil {
		return err
	}
	return c.Answer(ctx, sallyport.DecisionApprove, number)
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// Account is the user's name as the whole product agrees on it.
func (u User) Account() sallyport.AccountName {
	return sallyport.NewAccountName(harness.SambaDomain, strings.ToLower(u.Name))
}

// CodeAt is the token code that the phone shows when its clock says now.
func (d *Device) CodeAt(now time.Time) (sallyport.Secret, error) {
	return deviceproto.TokenCode(d.Keys.Seed, now)
}
