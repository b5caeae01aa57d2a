package tokencheck_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport"
	"github.com/sallyport/sallyport/api/tunnelpb"
	"github.com/sallyport/sallyport/appliance-connector/claims"
	"github.com/sallyport/sallyport/appliance-connector/radius"
	"github.com/sallyport/sallyport/appliance-connector/radius/tokencheck"
	"github.com/sallyport/sallyport/internal/gatewaytoken"
	wire "layeh.com/radius"
	"layeh.com/radius/rfc2865"
)

const (
	vpn    = sallyport.IntegrationID("vpn")
	alice  = sallyport.AccountName(`hospital\alice`)
	carol  = sallyport.AccountName(`hospital\carol`)
	olga   = sallyport.AccountName(`hospital\olga`)
	secret = "gateway-shared-secret-22"
)

// directory knows alice, by bare name and DOMAIN\ without being asked, by mail address after a while.
type directory struct{ asked atomic.Int32 }

func (d *directory) IdentifyNow(typed string) (sallyport.AccountName, bool) {
	if strings.Contains(typed, "@") {
		return "", false
	}
	if domain, user, found := strings.Cut(typed, `\`); found {
		return sallyport.NewAccountName(domain, user), true
	}
	return sallyport.NewAccountName("hospital", typed), true
}

func (d *directory) Identify(_ context.Context, typed string) (sallyport.AccountName, error) {
	d.asked.Add(1)
	if name, ok := d.IdentifyNow(typed); ok {
		return name, nil
	}
	switch typed {
	case "alice@hospital.example":
		time.Sleep(10 * time.Millisecond) // as a search takes
		return alice, nil
	case "down@hospital.example":
		return "", sallyport.Errorf(sallyport.CodeUnavailable, "try again", errors.New("no domain controller"))
	}
	return "", sallyport.Errorf(sallyport.CodeNotFound, "no such user", nil)
}

// codes takes 123456 from alice, once, from carol the temporary code 87654321, and from olga 70123456 of her token.
type codes struct{ used atomic.Bool }

func (c *codes) CheckCode(_ context.Context, account sallyport.AccountName, code sallyport.Secret, _ string, methods []sallyport.Method, _ []sallyport.Secret) (sallyport.Method, string, error) {
	switch {
	case account == `hospital\broken`:
		return "", "", errors.New("store is locked")
	case account == carol && code == "87654321" && slices.Contains(methods, sallyport.MethodTemporary):
		return sallyport.MethodTemporary, "", nil
	case account == olga && code == "70123456" && slices.Contains(methods, sallyport.MethodOTP):
		return sallyport.MethodOTP, "", nil
	case account != alice || code != "123456" || !slices.Contains(methods, sallyport.MethodCode):
		return "", "wrong code", nil
	case !c.used.CompareAndSwap(false, true):
		return "", "code used before", nil
	}
	return sallyport.MethodCode, "", nil
}

// people have a licence and the app, those named otherwise aside.
type people struct{}

func (people) Standing(_ context.Context, account sallyport.AccountName) (sallyport.Standing, error) {
	s := sallyport.Standing{
		User:     &sallyport.User{Account: account, State: sallyport.UserActive},
		Policy:   sallyport.UserPolicy{Name: "Nurses", Licensed: true, RemoteAccess: true},
		Rule:     &sallyport.EnrolRule{Name: "Grace", Unenrolled: sallyport.UnenrolledPassword},
		Workflow: sallyport.LoginWorkflow{Allowed: []sallyport.Combination{sallyport.PasswordAndApp, sallyport.PasswordAndSMS}},
		Has:      sallyport.Authenticators{Apps: 1},
	}
	switch account.User() {
	case "away":
		return s, errors.New("database is away")
	case "carol":
		s.Has = sallyport.Authenticators{TemporaryCodes: []sallyport.TemporaryCode{{Expires: time.Now().Add(time.Hour)}}}
	case "dave": // would get in through the overlay on the password alone
		s.Has = sallyport.Authenticators{}
	case "erin":
		s.User.State = sallyport.UserDisabled
	case "frank":
		s.Policy.Licensed = false
	case "grace":
		s.Has = sallyport.Authenticators{Phones: 1}
	case "olga", "paul": // both have a token, and it is allowed to her
		s.Has = sallyport.Authenticators{OTP: true}
		if account == olga {
			s.Workflow.Allowed = append(s.Workflow.Allowed, sallyport.PasswordAndOTP)
		}
	case "visitor":
		s.User = nil
		s.Has = sallyport.Authenticators{}
	}
	return s, nil
}

// cloud is one shared by two appliances.
type cloud struct{ owners sync.Map }

func (c *cloud) Claim(_ context.Context, list []*tunnelpb.Claim) ([]bool, error) {
	first := make([]bool, len(list))
	for i, l := range list {
		who, _ := c.owners.LoadOrStore(string(l.Key), string(l.Owner))
		first[i] = who == string(l.Owner)
	}
	return first, nil
}

type appliance struct {
	*radius.Server
	log     *safeLog
	records *records
}

var ring = func() gatewaytoken.Ring {
	r, err := gatewaytoken.NewRing(gatewaytoken.Key{ID: 1, Secret: sallyport.Key("0123456789abcdef0123456789abcdef")})
	if err != nil {
		panic(err)
	}
	return r
}()

// start runs an appliance's RADIUS server with the real token check; up may be nil.
func start(t testing.TB, up claims.Cloud, even time.Duration) *appliance {
	t.Helper()
	claimer := claims.New(claims.Options{Cloud: up, Capacity: 1 << 16})
	log, records := &safeLog{}, &records{}
	s, err := radius.Listen(radius.Options{
		Address: "127.0.0.1:0", Log: log.logger(),
		Integrations: []sallyport.Integration{{ID: vpn, Nickname: "Hospital VPN", Secret: secret, AllowNonLicensed: true,
			Clients: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}},
		Verifier: tokencheck.New(tokencheck.Options{
			Keys: func() gatewaytoken.Ring { return ring }, Claimer: claimer,
			Directory: &directory{}, Standings: people{}, Codes: &codes{}, Even: even,
			Recorder: records, SupportCode: func(nonce [8]byte) string { return fmt.Sprintf("%x", nonce) },
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		claimer.Close()
	})
	return &appliance{s, log, records}
}

var nonces atomic.Uint64

func mint(account sallyport.AccountName, integration sallyport.IntegrationID, expires time.Time) string {
	var nonce [8]byte
	binary.BigEndian.PutUint64(nonce[:], nonces.Add(1))
	return string(ring.Mint(integration, account, nonce, expires))
}

func fresh() string { return mint(alice, vpn, time.Now().Add(gatewaytoken.Lifetime)) }

func packet(t testing.TB, user, password string) *wire.Packet {
	t.Helper()
	p := wire.New(wire.CodeAccessRequest, []byte(secret))
	if err := errors.Join(rfc2865.UserName_SetString(p, user), rfc2865.UserPassword_SetString(p, password)); err != nil {
		t.Fatal(err)
	}
	return p
}

// ask sends a packet from a socket of its own and says whether it was accepted.
func ask(t testing.TB, a *appliance, p *wire.Packet) bool {
	t.Helper()
	code, _ := answer(t, a, p)
	return code == wire.CodeAccessAccept
}

func answer(t testing.TB, a *appliance, p *wire.Packet) (wire.Code, string) {
	t.Helper()
	c, err := net.Dial("udp", a.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	request, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	for range 5 {
		if _, err := c.Write(request); err != nil {
			t.Error(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(2 * time.Second))
		if n, err := c.Read(buf); err == nil {
			if !wire.IsAuthenticResponse(buf[:n], request, []byte(secret)) {
				t.Error("answer is not authentic")
			}
			got, err := wire.Parse(buf[:n], []byte(secret))
			if err != nil {
				t.Error(err)
				return 0, ""
			}
			return got.Code, rfc2865.ReplyMessage_GetString(got)
		}
	}
	t.Error("no answer")
	return 0, ""
}

func TestTokenLetsItsUserInOnce(t *testing.T) {
	up := &cloud{}
	for name, on := range map[string][2]*appliance{
		"claims in memory":              {start(t, nil, 0)},
		"claims in the cloud":           {start(t, up, 0)},
		"replayed at another appliance": {start(t, up, 0), start(t, up, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			if on[1] == nil {
				on[1] = on[0]
			}
			for _, user := range []string{"alice", "ALICE", `HOSPITAL\Alice`, "alice@hospital.example"} {
				token := fresh()
				if !ask(t, on[0], packet(t, user, token)) {
					t.Errorf("%s: refused\n%s", user, on[0].log)
				}
				if ask(t, on[1], packet(t, user, token)) {
					t.Errorf("%s: accepted twice", user)
				}
			}
			if !strings.Contains(on[1].log.String(), "gateway token used before") {
				t.Errorf("log:\n%s", on[1].log)
			}
		})
	}
}

func TestRepeatedPacketHasTheSameAnswerOnAnotherAppliance(t *testing.T) {
	up := &cloud{}
	a, b := start(t, up, 0), start(t, up, 0)
	p := packet(t, "alice", fresh())
	for range 2 {
		if !ask(t, a, p) || !ask(t, b, p) {
			t.Fatal("a repetition is refused")
		}
	}
}

func TestRefusalsAreAllAlikeAndTheLogTellsThemApart(t *testing.T) {
	a := start(t, nil, time.Millisecond)
	edited := []byte(fresh())
	edited[30] ^= 1
	other, err := gatewaytoken.NewRing(gatewaytoken.Key{ID: 2, Secret: sallyport.Key("0123456789abcdef0123456789abcdef")})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ user, password, cause string }{
		{"bob", fresh(), "another user or gateway"},
		{"alice", mint(alice, "vpn2", time.Now().Add(time.Minute)), "another user or gateway"},
		{"alice", mint(alice, vpn, time.Now().Add(-62*time.Second)), "gateway token expired"},
		{"alice", mint(alice, vpn, time.Now().Add(5*time.Minute)), "clock is more than 60 s ahead"},
		{"alice", string(edited), "forged, damaged"},
		{"alice", string(other.Mint(vpn, alice, [8]byte{}, time.Now())), "under a key that this appliance does not have"},
		{"alice", fresh()[:47], "neither a gateway token nor a passcode (47 characters)"},
		{"alice", "Correct-Horse-7", "neither a gateway token nor"},
		{"alice", "", "empty passcode"},
		{"alice", "654321", "passcode refused: wrong code"},
		{"nobody", "123456", "passcode refused: wrong code"},
		{"broken", "123456", "could not check the passcode: store is locked"},
		{"away", "123456", "could not read what is known of the user: database is away"},
		{"nobody@hospital.example", "123456", "unknown user"},
		{"nobody@hospital.example", fresh(), "unknown user"},
		{"down@hospital.example", fresh(), "directory did not answer"},
	} {
		before := strings.Count(a.log.String(), "\n")
		code, message := answer(t, a, packet(t, c.user, c.password))
		if code != wire.CodeAccessReject || message != "Login failed." {
			t.Errorf("%s: %v %q", c.cause, code, message)
		}
		lines := strings.Split(strings.TrimSpace(a.log.String()), "\n")[before:]
		if len(lines) != 1 || !strings.Contains(lines[0], c.cause) || !strings.Contains(lines[0], "cure=") || strings.Contains(lines[0], `cure=""`) {
			t.Errorf("%s: log:\n%s", c.cause, strings.Join(lines, "\n"))
		}
		if c.password != "" && strings.Contains(strings.Join(lines, ""), c.password) {
			t.Errorf("%s: the passcode is in the log", c.cause)
		}
	}
}

func TestTokenCodeIsTakenOnceAndARepeatedPacketDoesNotUseAnother(t *testing.T) {
	a := start(t, nil, time.Millisecond)
	if !ask(t, a, packet(t, "alice", "123456")) {
		t.Fatalf("refused:\n%s", a.log)
	}
	if ask(t, a, packet(t, "alice", "123456")) {
		t.Error("used twice")
	}
}

func TestRefusalsTakeTheSameTimeWhetherTheUserExistsOrNot(t *testing.T) {
	const even = 100 * time.Millisecond
	a := start(t, nil, even)
	for _, c := range []struct{ user, password string }{
		{"alice", "654321"}, {"nobody", "654321"},
		{"alice@hospital.example", "654321"}, {"nobody@hospital.example", "654321"},
		{"alice@hospital.example", mint("x", vpn, time.Now())}, {"nobody@hospital.example", mint("x", vpn, time.Now())},
	} {
		begin := time.Now()
		if ask(t, a, packet(t, c.user, c.password)) {
			t.Error("accepted")
		}
		if took := time.Since(begin); took < even {
			t.Errorf("%s: refused after %v already", c.user, took)
		}
	}
}

func TestAThousandAtOnceWithOneTokenLetOneIn(t *testing.T) {
	up := &cloud{}
	a, b := start(t, up, 0), start(t, up, 0)
	p := fresh()
	var accepted atomic.Int32
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			if ask(t, []*appliance{a, b}[i%2], packet(t, "alice", p)) {
				accepted.Add(1)
			}
		})
	}
	wg.Wait()
	if n := accepted.Load(); n != 1 {
		t.Errorf("%d accepted", n)
	}
}

func TestRadclientIsAcceptedOnce(t *testing.T) {
	radclient, err := exec.LookPath("radclient")
	if err != nil {
		t.Fatal("radclient is needed (Debian package freeradius-utils)")
	}
	a := start(t, nil, 0)
	token := fresh()
	for _, want := range []string{"Received Access-Accept", "Received Access-Reject"} {
		cmd := exec.Command(radclient, "-x", "-r", "3", "-t", "5", a.Addr().String(), "auth", secret)
		cmd.Stdin = strings.NewReader(fmt.Sprintf("User-Name = alice\nUser-Password = %q\nMessage-Authenticator = 0x00\n", token))
		out, _ := cmd.CombinedOutput() // radclient fails when it is rejected
		if !strings.Contains(string(out), want) {
			t.Errorf("want %q:\n%s", want, strings.ReplaceAll(string(out), token, "[token]"))
		}
	}
}
